//! The commands of bpf(2) that aya lacks: changing many elements of a map by one call, and taking a device out of a devmap.
//!
//! Keys and values lie one behind the other, as the kernel wants them. A batch ends at the first element that fails; what
//! came before it is done.

#![expect(unsafe_code, reason = "bpf(2) takes pointers in a union")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// `enum bpf_cmd`.
#[derive(Debug, Clone, Copy)]
enum Command {
    UpdateElem = 2,
    DeleteElem = 3,
    UpdateBatch = 26,
    DeleteBatch = 27,
}

/// The member of `union bpf_attr` for single elements.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The member of `union bpf_attr` for batches.
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// What a batch came to.
#[derive(Debug)]
pub(super) struct Done {
    /// How many elements were changed, from the first on.
    pub(super) count: usize,
    /// Why no more were.
    pub(super) result: io::Result<()>,
}

/// Sets elements, or puts others in their place.
pub(super) fn update_batch<K: aya::Pod>(map: BorrowedFd<'_>, keys: &[K], values: &[u64]) -> Done {
    let count = keys.len().min(values.len());
    batch(Command::UpdateBatch, map, &keys[..count], values.as_ptr() as u64)
}

/// Takes elements out.
pub(super) fn delete_batch<K: aya::Pod>(map: BorrowedFd<'_>, keys: &[K]) -> Done {
    batch(Command::DeleteBatch, map, keys, 0)
}

/// Sets one element.
pub(super) fn update<K: aya::Pod>(map: BorrowedFd<'_>, key: &K, value: &u64) -> io::Result<()> {
    element(Command::UpdateElem, map, key, &raw const *value as u64)
}

/// Takes one element out.
pub(super) fn delete<K: aya::Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    element(Command::DeleteElem, map, key, 0)
}

fn batch<K: aya::Pod>(command: Command, map: BorrowedFd<'_>, keys: &[K], values: u64) -> Done {
    let mut attributes = Batch {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr() as u64,
        values,
        count: keys.len() as u32,
        map: map.as_raw_fd() as u32,
        element_flags: 0,
        flags: 0,
    };
    let result = bpf(command, &mut attributes);
    let is_whole = result.is_ok();
    // The kernel writes how many it did; where it does not know the command, it writes nothing.
    let written = (attributes.count as usize).min(keys.len());
    let is_told = is_whole || written < keys.len();
    Done { count: if is_told { written } else { 0 }, result }
}

fn element<K: aya::Pod>(command: Command, map: BorrowedFd<'_>, key: &K, value: u64) -> io::Result<()> {
    let mut attributes =
        Element { map: map.as_raw_fd() as u32, padding: 0, key: &raw const *key as u64, value, flags: 0 };
    bpf(command, &mut attributes)
}

fn bpf<A>(command: Command, attributes: &mut A) -> io::Result<()> {
    // SAFETY: `attributes` is the command's member of `union bpf_attr`, without padding; the memory it points to has as
    // many keys and values as it says, of the map's sizes, and outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attributes, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
