//! A packet buffer with one owner, and the memory it is cut from.
//!
//! A [`Frame`] points into a [`FrameRegion`] (a UMEM, or heap memory). The region counts the frames that are out,
//! and if it is dropped while any is, it leaks its memory and says so in the log: a frame can therefore never
//! point at freed memory, whatever its owner forgets.

use super::PortId;

/// The most packets in one batch.
pub const BATCH: usize = 64;

/// A batch of frames.
pub type FrameBatch = arrayvec::ArrayVec<Frame, BATCH>;
