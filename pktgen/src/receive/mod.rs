//! Receiving: finding the marks of a run where they come out.
//!
//! * In: a place and a run. Out: what arrived, and how long it was under way, while it comes ([`Receiver::look`]).
//! * A program of our own on the interface (`catch`) takes the run's frames, and nothing else, from the kernel, counts
//!   them, and hands one in `sample` to an AF_XDP socket with the time of its arrival. Where there is an XDP program
//!   already, or none can be, a packet socket listens: slower, and with the time at which it was read.
//! * A receiver that is too slow says so ([`Received::missed`]): a loss is then not the network's.

mod catch;
mod inlet;
mod receiver;

pub use receiver::{Look, Received, Receiver};
