//! Datagrams that account for themselves, one by one: for tests that must say of every single one what became of it.
//!
//! * Job: send datagrams that carry their flow, their number and a check of their contents, at a stated pace; receive
//!   them; and say of every one what became of it: arrived, lost, duplicated, out of order, corrupt.
//! * In: an interface, a [`FrameTemplate`], how many or how long. Out: a [`Sent`] and a [`Summary`].
//! * Cost: one system call a packet (AF_PACKET), about half a million a second, and a bit of memory for each datagram;
//!   enough to prove, not to overload. What overloads is everything else in this crate.
//! * Limits: IPv4 and IPv6 over Ethernet, UDP and TCP segments without a connection; a receiver that the kernel
//!   could not keep up with says so ([`Received::missed`]), since it cannot then call anything lost.

mod payload;
mod ledger;
mod frame;
mod send;
mod receive;

pub use frame::{FrameTemplate, Transport, read_payload};
pub use ledger::{Ledger, Summary};
pub use payload::{MIN_PAYLOAD_BYTES, Stamp, StampError};
pub use receive::{Received, receive};
pub use send::{Bound, Sent, send};
