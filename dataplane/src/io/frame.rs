//! A packet buffer with one owner, and the memory it is cut from.
//!
//! A [`Frame`] points into a [`FrameRegion`] (a UMEM, or heap memory). The region counts the frames that are out,
//! and if it is dropped while any is, it leaks its memory and says so in the log: a frame can therefore never
//! point at freed memory, whatever its owner forgets.
//!
//! A frame has no destructor: dropping one instead of giving it back loses it for good, and shows as
//! [`FrameAccounts::outstanding`](super::FrameAccounts::outstanding) that never returns to zero. That keeps a frame
//! at 24 bytes, and moving a batch of them a plain copy.
//!
//! Addresses, as in AF_XDP, are offsets of a packet's first byte from the start of the region. Frame sizes are
//! powers of two, so that the frame of an address is found with a mask.
#![expect(unsafe_code, reason = "frames are raw slices of memory which the network also writes to")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::PortId;
use crate::pages::Table;

/// The most packets in one batch.
pub const BATCH: usize = 64;

/// A batch of frames.
pub type FrameBatch = arrayvec::ArrayVec<Frame, BATCH>;

/// One packet's buffer, with the port it arrived on. It dereferences to the packet's bytes.
#[must_use = "a frame that is neither transmitted nor recycled is lost to its region"]
pub struct Frame {
    start: NonNull<u8>,
    len: u32,
    room: u32,
    port: PortId,
}

// SAFETY: a frame is the only handle to its bytes until it is given back, and its region never frees them before.
unsafe impl Send for Frame {}

impl Frame {
    /// The port this packet arrived on (or [`set_port`](Self::set_port) noted).
    #[inline]
    pub fn port(&self) -> PortId {
        self.port
    }

    /// Notes another port.
    #[inline]
    pub fn set_port(&mut self, port: PortId) {
        self.port = port;
    }

    /// The most bytes this frame can hold.
    #[inline]
    pub fn room(&self) -> usize {
        self.room as usize
    }

    /// Sets the packet's length. The start never moves; bytes that are gained hold whatever was there before.
    #[inline]
    pub fn resize(&mut self, len: usize) -> Result<(), FrameTooSmall> {
        if len > self.room() {
            return Err(FrameTooSmall { wanted: len, room: self.room() });
        }
        self.len = len as u32;
        Ok(())
    }

    /// Makes the packet a copy of `bytes`.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FrameTooSmall> {
        self.resize(bytes.len())?;
        self.copy_from_slice(bytes);
        Ok(())
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len <= room` bytes from `start` are inside the region, initialised, and nobody else's.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes this the only slice.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len as usize) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("port", &self.port.0).field("len", &self.len).finish_non_exhaustive()
    }
}

/// A packet does not fit in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {wanted} bytes does not fit in a frame with room for {room}")]
pub struct FrameTooSmall {
    /// Length asked for.
    pub wanted: usize,
    /// The frame's room.
    pub room: usize,
}

/// The memory frames are cut from, and the count of those that are out.
pub struct FrameRegion {
    start: NonNull<u8>,
    frame_size: usize,
    frames: usize,
    out: usize,
    /// Frees the memory when dropped. Never dropped while a frame is out.
    owner: ManuallyDrop<Box<dyn Send>>,
}

// SAFETY: the pointer is to memory that `owner`, which is `Send`, owns.
unsafe impl Send for FrameRegion {}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

impl FrameRegion {
    /// `frames` frames of `frame_size` bytes (rounded up to a power of two, at least a cache line) on the heap.
    pub fn heap(frames: usize, frame_size: usize) -> FrameRegion {
        let frame_size = frame_size.next_power_of_two().max(size_of::<CacheLine>());
        // Not a box: moving one would claim sole access to bytes that frames point at.
        let mut lines = Table::filled(CacheLine([0; 64]), frames * frame_size / size_of::<CacheLine>());
        let start = NonNull::new(lines.as_mut_ptr().cast()).unwrap_or(NonNull::dangling());
        // SAFETY: the table has these bytes, initialised, on the heap, and is moved into the region untouched.
        unsafe { FrameRegion::over(start, frames, frame_size, Box::new(lines)) }
    }

    /// `frames` frames of `frame_size` bytes from `start` on.
    ///
    /// # Safety
    /// These bytes are initialised, stay where they are until `owner` is dropped, and nobody touches the bytes of a
    /// frame while it is lent. `frame_size` is a power of two that fits in 32 bits.
    pub(super) unsafe fn over(
        start: NonNull<u8>,
        frames: usize,
        frame_size: usize,
        owner: Box<dyn Send>,
    ) -> FrameRegion {
        debug_assert!(frame_size.is_power_of_two() && u32::try_from(frame_size).is_ok());
        FrameRegion { start, frame_size, frames, out: 0, owner: ManuallyDrop::new(owner) }
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Bytes of one frame, headroom included.
    pub fn frame_size(&self) -> usize {
        self.frame_size
    }

    /// Frames lent and not yet back.
    #[inline]
    pub fn out(&self) -> usize {
        self.out
    }

    /// The address of the first byte of the frame that `address` lies in.
    #[inline]
    pub(super) fn frame_of(&self, address: usize) -> usize {
        address & !(self.frame_size - 1)
    }

    /// Lends the frame of `address`: a packet of `len` bytes starts there, and may grow to the end of the frame.
    /// A length beyond that (nothing sends one) is cut.
    ///
    /// # Safety
    /// `address` is in the region, its frame is not lent, and the network has no claim to it until it is back.
    #[inline]
    pub(super) unsafe fn lend(&mut self, address: usize, len: usize, port: PortId) -> Frame {
        debug_assert!(address < self.frames * self.frame_size, "address {address} outside the region");
        let room = self.frame_size - (address & (self.frame_size - 1));
        self.out += 1;
        Frame {
            // SAFETY: the caller says that the address is in the region.
            start: unsafe { self.start.add(address) },
            len: len.min(room) as u32,
            room: room as u32,
            port,
        }
    }

    /// The address of a frame's packet, if the frame is of this region.
    #[inline]
    pub(super) fn address_of(&self, frame: &Frame) -> Option<usize> {
        let address = (frame.start.as_ptr() as usize).wrapping_sub(self.start.as_ptr() as usize);
        (address < self.frames * self.frame_size).then_some(address)
    }

    /// Takes a frame back and returns the address of its packet. A frame of another region is refused.
    #[inline]
    pub(super) fn take_back(&mut self, frame: Frame) -> Result<usize, Frame> {
        let Some(address) = self.address_of(&frame) else { return Err(frame) };
        self.out -= 1;
        Ok(address)
    }
}

impl Drop for FrameRegion {
    fn drop(&mut self) {
        if self.out > 0 {
            tracing::error!(
                outstanding = self.out,
                frames = self.frames,
                "packet memory is dropped while frames are out: it is leaked"
            );
            return;
        }
        // SAFETY: dropped once, here, and no frame points at the memory.
        unsafe { ManuallyDrop::drop(&mut self.owner) }
    }
}

impl fmt::Debug for FrameRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameRegion")
            .field("frames", &self.frames)
            .field("frame_size", &self.frame_size)
            .field("out", &self.out)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_frame_is_small() {
        assert!(size_of::<Frame>() <= 24);
        assert!(size_of::<Option<Frame>>() <= 24);
    }

    #[test]
    fn resize_keeps_to_the_room() {
        let mut region = FrameRegion::heap(2, 100);
        assert_eq!(region.frame_size(), 128);
        // SAFETY: nothing is lent yet.
        let mut frame = unsafe { region.lend(128 + 28, 0, PortId(3)) };
        assert_eq!((frame.room(), frame.len(), frame.port()), (100, 0, PortId(3)));
        assert_eq!(frame.resize(101), Err(FrameTooSmall { wanted: 101, room: 100 }));
        frame.resize(100).unwrap();
        frame[99] = 7;
        frame.resize(10).unwrap();
        frame.resize(100).unwrap();
        assert_eq!(frame[99], 7);
        assert_eq!(region.take_back(frame).unwrap(), 156);
        assert_eq!(region.frame_of(156), 128);
        assert_eq!(region.out(), 0);
    }

    #[test]
    fn a_foreign_frame_is_refused() {
        let mut ours = FrameRegion::heap(1, 64);
        let mut theirs = FrameRegion::heap(1, 64);
        // SAFETY: nothing is lent yet.
        let frame = unsafe { theirs.lend(0, 1, PortId(0)) };
        let frame = ours.take_back(frame).unwrap_err();
        assert_eq!((ours.out(), theirs.out()), (0, 1));
        theirs.take_back(frame).unwrap();
    }

    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn freed_with(frames_out: usize) -> bool {
        let freed = Arc::new(AtomicBool::new(false));
        let mut bytes = vec![CacheLine([0; 64]); 2];
        let start = NonNull::new(bytes.as_mut_ptr().cast()).unwrap();
        let owner = Box::new((bytes, Flag(freed.clone())));
        // SAFETY: the vector is part of the owner.
        let mut region = unsafe { FrameRegion::over(start, 2, 64, owner) };
        // SAFETY: different frames, each lent once.
        let mut frames: Vec<Frame> =
            (0..frames_out).map(|i| unsafe { region.lend(i * 64, 64, PortId(0)) }).collect();
        drop(region);
        frames.iter_mut().for_each(|frame| frame.fill(1));
        assert!(frames.iter().all(|frame| frame.iter().all(|&byte| byte == 1)));
        freed.load(Ordering::SeqCst)
    }

    #[test]
    fn memory_is_leaked_while_a_frame_is_out() {
        assert!(freed_with(0));
        assert!(!freed_with(1));
    }
}
