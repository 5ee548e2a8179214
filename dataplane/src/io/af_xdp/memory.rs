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

/// The descriptors of all frames, by their place. xsk-rs makes them once and fills them in from its rings, and no
/// other way, so those that were seen are kept.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// With the address that a packet usually starts at.
    usual: Vec<FrameDesc>,
    /// With the address that a packet last started at, where that was another. Empty while none did.
    unusual: Vec<FrameDesc>,
    shift: u32,
    umem: Umem,
}

impl Descriptors {
    /// The descriptor for receiving into the frame of `address`.
    #[inline]
    pub(super) fn of(&self, address: usize) -> FrameDesc {
        self.usual[address >> self.shift]
    }

    /// Notes where a received packet starts.
    #[inline]
    pub(super) fn note(&mut self, received: &FrameDesc) {
        let index = received.addr() >> self.shift;
        if self.usual[index].addr() != received.addr() {
            self.note_unusual(index, received);
        }
    }

    #[cold]
    fn note_unusual(&mut self, index: usize, received: &FrameDesc) {
        if self.unusual.is_empty() {
            self.unusual = self.usual.clone();
        }
        self.unusual[index] = *received;
    }

    /// The descriptor for sending `len` bytes from `address` on, where a packet was received or is usual.
    #[inline]
    pub(super) fn to_send(&self, address: usize, len: usize) -> FrameDesc {
        let index = address >> self.shift;
        let mut descriptor = self.usual[index];
        if descriptor.addr() != address {
            descriptor = self.unusual[index];
        }
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
        descriptors: Descriptors {
            usual: of_frame,
            unusual: Vec::new(),
            shift: frame_size.trailing_zeros(),
            umem: umem.clone(),
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::PortId;
    use crate::io::testing::root_or_skip;

    /// Drivers may put a packet elsewhere in its frame; once it is recycled, the frame is as before.
    #[test]
    fn root_packets_are_sent_from_where_they_start() {
        if !root_or_skip() {
            return;
        }
        let config = UmemConfig::default();
        let mut memory = make(config, NonZeroU32::new(8).unwrap(), false).unwrap();
        let usual = memory.pool.take().unwrap();
        assert_eq!(usual % 4096, 256);
        let elsewhere = memory.descriptors.usual[1];
        assert_eq!(elsewhere.addr(), usual + 4096);
        assert_eq!(memory.descriptors.to_send(usual, 60).lengths().data(), 60);
        // A stand-in for a descriptor from the receive ring: that of frame 1, noted for frame 0.
        memory.descriptors.note_unusual(0, &elsewhere);
        assert_eq!(memory.descriptors.to_send(usual, 60).addr(), usual);
        assert_eq!(memory.descriptors.of(usual).addr(), usual);
        memory.pool.put(usual + 64);
        let frame = memory.pool.allocate(PortId(0)).unwrap();
        assert_eq!(frame.room(), 4096 - 256);
        memory.pool.release(frame);
    }
}
