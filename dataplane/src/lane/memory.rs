//! Memory that the classifier shares, or, where there is none, memory of the same shape.
//!
//! Shared memory is a BPF array that is mapped: reading and writing it is no system call. The kernel keeps it as long as it
//! is mapped, whatever becomes of the map's descriptor.

#![expect(unsafe_code, reason = "a mapping, and a promise about layout")]

use super::{Bucket, Hop, Notices, Slot};
use crate::wire::Family;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::{fmt, io, num::NonZeroUsize, ops::Deref, os::fd::AsFd, ptr::NonNull, slice};

/// What may lie in memory that others read and write: atomics only, of which every pattern of bits is a value.
///
/// # Safety
/// All fields are atomics, there is no padding that anything depends on, and the size is a multiple of 8, as that of the
/// rows of a BPF array is.
pub unsafe trait Shared: Default + Send + Sync {}

/// A table of `T`.
pub struct Memory<T>(Kind<T>);

enum Kind<T> {
    Private(Box<[T]>),
    Mapped(Mapping<T>),
}

struct Mapping<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T: Shared> Memory<T> {
    /// A table of our own, which no classifier sees: for tests and models.
    pub fn private(len: usize) -> Self {
        Self(Kind::Private(std::iter::repeat_with(T::default).take(len).collect()))
    }

    /// The `len` rows of a BPF array that may be mapped (`BPF_F_MMAPABLE`) and has rows as long as `T`.
    pub fn mapped(array: impl AsFd, len: usize) -> io::Result<Self> {
        let bytes = len.checked_mul(size_of::<T>()).and_then(NonZeroUsize::new);
        let bytes = bytes.ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a new mapping, at a place that the kernel chooses; it refuses one longer than the array.
        let start = unsafe { mmap(None, bytes, protection, flags, array, 0) }?;
        Ok(Self(Kind::Mapped(Mapping { start: start.cast(), len })))
    }
}

impl<T> Deref for Memory<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Kind::Private(rows) => rows,
            // SAFETY: mapped until it is dropped, readable and writable, `len` rows of `T` at an address that is a page's;
            // `T` is atomics of any bits ([`Shared`]), so that others may write meanwhile.
            Kind::Mapped(Mapping { start, len }) => unsafe { slice::from_raw_parts(start.as_ptr(), *len) },
        }
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `mapped` made, and nobody has a reference into it any longer.
        let result = unsafe { munmap(self.start.cast(), self.len * size_of::<T>()) };
        debug_assert!(result.is_ok(), "{result:?}");
    }
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("rows", &self.len()).finish_non_exhaustive()
    }
}

// SAFETY: it is no thread's own, and gives out shared references only, to what threads may share.
unsafe impl<T: Shared> Send for Mapping<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Mapping<T> {}

// SAFETY: atomics only, and a multiple of 64 bytes.
unsafe impl<F: Family> Shared for Slot<F> {}
// SAFETY: atomics only, 32 bytes.
unsafe impl Shared for Hop {}
// SAFETY: atomics only, 64 bytes.
unsafe impl Shared for Bucket {}
// SAFETY: atomics only, and a multiple of 64 bytes.
unsafe impl Shared for Notices {}
