//! Frames: built once a flow, finished once a packet.
//!
//! * In: a [`Spec`](crate::spec::Spec). Out: a [`Source`] that fills buffers with the next frame, or the
//!   [`FlowFrame`]s themselves, for the generator in the kernel, which finishes them in the same way.
//! * Cost: a copy of 96 bytes, a few additions, and zeros for the rest of the frame.
//! * Checksums (RFC 1071) are kept as sums of all that is constant, so a frame adds only what differs.

mod flow;
mod mark;
mod source;

pub use flow::{FlowFrame, HEADER_BYTES, flows, least_bytes};
pub use mark::{MARK_BYTES, Mark, find_mark};
pub use source::Source;
