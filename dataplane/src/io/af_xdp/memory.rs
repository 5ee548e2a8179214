//! The UMEM: making it, from huge pages where they are to be had, and the descriptors of its frames.
#![expect(unsafe_code, reason = "the UMEM's memory becomes a frame region")]

use std::io;
use std::num::NonZeroU32;
use std::ptr::NonNull;

use xsk_rs::config::UmemConfig;
use xsk_rs::{FrameDesc, Umem};

use super::super::FrameRegion;
use super::super::pool::FramePool;

const HUGE_PAGE: u64 = 2 << 20;

/// The descriptor of every frame, by its place. It has the address its last packet started at.
#[derive(Debug)]
pub(super) struct Descriptors {
    of_frame: Vec<FrameDesc>,
    shift: u32,
    umem: Umem,
}

impl Descriptors {
    #[inline]
    fn index(&self, address: usize) -> usize {
        address >> self.shift
    }

    /// The descriptor for any address in a frame.
    #[inline]
    pub(super) fn of(&self, address: usize) -> FrameDesc {
        self.of_frame[self.index(address)]
    }

    /// Notes the descriptor of a received packet. Most start where the last one in this frame did.
    #[inline]
    pub(super) fn note(&mut self, received: &FrameDesc) {
        let index = self.index(received.addr());
        if self.of_frame[index].addr() != received.addr() {
            self.of_frame[index] = *received;
        }
    }

    /// The descriptor for sending `len` bytes from `address` on, where a noted packet starts.
    #[inline]
    pub(super) fn to_send(&self, address: usize, len: usize) -> FrameDesc {
        let mut descriptor = self.of(address);
        debug_assert_eq!(descriptor.addr(), address);
        descriptor.set_options(0);
        // SAFETY: the descriptor is of this UMEM. The caller has just given the frame up, the kernel doesn't have it
        // yet, and nothing is read or written: setting the position is how a descriptor gets its length.
        unsafe { self.umem.data_mut(&mut descriptor) }.cursor().set_pos(len);
        descriptor
    }
}

/// The memory of a worker.
pub(super) struct Memory {
    pub(super) umem: Umem,
    pub(super) pool: FramePool,
    pub(super) descriptors: Descriptors,
}

/// Makes a UMEM of `frames` frames. With `huge_pages` it may get a few more, to fill the last page.
pub(super) fn make(config: UmemConfig, frames: NonZeroU32, huge_pages: bool) -> io::Result<Memory> {
    let frame_size = config.frame_size().get();
    let (umem, of_frame) = match huge_pages.then(|| whole_huge_pages(frames, frame_size)) {
        // Fails where no huge pages are reserved, which is usual.
        Some(more) => Umem::new(config, more, true).or_else(|error| {
            tracing::debug!(%error, "no huge pages for the UMEM, using ordinary ones");
            Umem::new(config, frames, false)
        }),
        None => Umem::new(config, frames, false),
    }
    .map_err(|error| os_error(&error))?;

    // SAFETY: the first frame is of this UMEM and nobody uses it yet. Its packet starts after the headroom.
    let first = unsafe { umem.data(&of_frame[0]) }.contents().as_ptr();
    let headroom = of_frame[0].addr();
    // From the number, because the pointer is only good for the (empty) packet it came from.
    let start = std::ptr::with_exposed_provenance_mut(first.expose_provenance() - headroom);
    let start = NonNull::new(start).ok_or_else(|| io::Error::other("the UMEM has no address"))?;
    // SAFETY: the UMEM is this many frames, zeroed by the kernel, and its memory lives as long as any clone of it.
    // The kernel writes only to frames that are in its rings, which are not lent.
    let region =
        unsafe { FrameRegion::over(start, of_frame.len(), frame_size as usize, Box::new(umem.clone())) };
    Ok(Memory {
        pool: FramePool::new(region, headroom),
        descriptors: Descriptors { of_frame, shift: frame_size.trailing_zeros(), umem: umem.clone() },
        umem,
    })
}

/// Enough frames to end where a huge page ends, which unmapping asks for.
fn whole_huge_pages(frames: NonZeroU32, frame_size: u32) -> NonZeroU32 {
    let bytes = (u64::from(frames.get()) * u64::from(frame_size)).next_multiple_of(HUGE_PAGE);
    u32::try_from(bytes / u64::from(frame_size)).ok().and_then(NonZeroU32::new).unwrap_or(frames)
}

/// The system's error at the bottom of one of xsk-rs.
pub(super) fn os_error(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let number = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    match number {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error.to_string()),
    }
}
