//! A region and the list of its free frames: what every [`PacketIo`](super::PacketIo) allocates from.
//!
//! The list is a stack, so the frame given out next is the one whose bytes are likeliest in cache. An address on the
//! list is always the start of a frame plus the pool's headroom.
#![expect(unsafe_code, reason = "lends frames of a region by address")]

use super::{Frame, FrameRegion, PortId};

/// A region with its free list.
#[derive(Debug)]
pub(super) struct FramePool {
    region: FrameRegion,
    headroom: usize,
    free: Vec<usize>,
}

impl FramePool {
    /// A pool over `region`, none of whose frames is lent or known to the network. Frames start after `headroom`.
    pub(super) fn new(region: FrameRegion, headroom: usize) -> FramePool {
        debug_assert!(region.out() == 0 && headroom < region.frame_size());
        // Highest first, so that the lowest addresses are used first.
        let free = (0..region.frames()).rev().map(|i| i * region.frame_size() + headroom).collect();
        FramePool { region, headroom, free }
    }

    /// A free frame of length zero.
    #[inline]
    pub(super) fn allocate(&mut self, port: PortId) -> Option<Frame> {
        let address = self.free.pop()?;
        // SAFETY: a frame on the free list is neither lent nor the network's.
        Some(unsafe { self.region.lend(address, 0, port) })
    }

    /// Takes a frame back. A frame of another pool stays lost to its own: that is a fault in the caller, which shows
    /// in the other pool's accounts.
    #[inline]
    pub(super) fn release(&mut self, frame: Frame) {
        if let Some(address) = self.surrender(frame) {
            self.put(address);
        }
    }

    /// Ends the lending of `frame` to the caller, for giving it to the network: returns its packet's address.
    #[inline]
    pub(super) fn surrender(&mut self, frame: Frame) -> Option<usize> {
        match self.region.take_back(frame) {
            Ok(address) => Some(address),
            Err(_foreign) => {
                tracing::error!("a frame was given back to memory that it is not part of: it is lost");
                debug_assert!(false, "foreign frame");
                None
            }
        }
    }

    /// Takes the address of a free frame off the list, for giving it to the network.
    #[inline]
    pub(super) fn take(&mut self) -> Option<usize> {
        self.free.pop()
    }

    /// Puts the frame of `address`, which the network or the caller has finished with, on the list.
    #[inline]
    pub(super) fn put(&mut self, address: usize) {
        debug_assert!(self.free.len() < self.region.frames());
        self.free.push(self.region.frame_of(address) + self.headroom);
    }

    /// Lends what the network has received.
    ///
    /// # Safety
    /// The network has just given up the frame of `address`, which is in the region.
    #[inline]
    pub(super) unsafe fn lend(&mut self, address: usize, len: usize, port: PortId) -> Frame {
        // SAFETY: the caller's promise.
        unsafe { self.region.lend(address, len, port) }
    }

    /// Which of the pool's frames this is, from 0.
    pub(super) fn index_of(&self, frame: &Frame) -> Option<usize> {
        Some(self.region.address_of(frame)? / self.region.frame_size())
    }

    /// Frames in all.
    pub(super) fn total(&self) -> usize {
        self.region.frames()
    }

    /// Frames on the list.
    #[inline]
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Frames lent.
    #[inline]
    pub(super) fn out(&self) -> usize {
        self.region.out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_given_once_and_comes_back() {
        let mut pool = FramePool::new(FrameRegion::heap(4, 256), 64);
        let frames: Vec<Frame> = std::iter::from_fn(|| pool.allocate(PortId(0))).collect();
        assert_eq!((frames.len(), pool.free(), pool.out()), (4, 0, 4));
        let mut starts: Vec<_> = frames.iter().map(|frame| frame.as_ptr()).collect();
        starts.sort();
        starts.dedup();
        assert_eq!(starts.len(), 4);
        assert!(frames.iter().all(|frame| frame.room() == 192));
        frames.into_iter().for_each(|frame| pool.release(frame));
        assert_eq!((pool.free(), pool.out()), (4, 0));
    }
}
