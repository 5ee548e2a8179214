//! The fast lane: established flows that the classifier rewrites and redirects by itself, without a worker.
//!
//! Where an AF_XDP socket has no zero-copy, a packet that leaves by it costs the kernel a buffer and a softirq; an XDP
//! redirect costs a fifth. So a worker **promotes** a flow that is established and busy: it writes what its packets of
//! each direction leave with into a [`Slot`], and puts that slot into the [`Index`] that the classifier looks packets up in.
//! Both lie in memory that it shares with the classifier, so neither is a system call. From then on the classifier
//! forwards what it fully understands and counts it in the slot; everything else comes to the worker as before, which alone
//! owns the flow. It **demotes** by one store that ends the slot, at once, and takes over what was counted.
//!
//! The lane is a cache. Where it is emptied, full or wrong nothing is lost but speed.
//!
//! A slot that has ended rests before it is used again, for longer than any run of the classifier may take, so that no
//! packet is ever rewritten by half of one flow and half of another; and a packet uses a slot only if the slot itself
//! names the packet's tuple and the epoch in force ([`Epoch`]).
//!
//! Memory for a promoted IPv4 flow, both directions: two slots of 64 bytes, entries of the index of up to 32 bytes, and 12
//! bytes of its worker's; 4 bytes for each flow there may be.

mod epoch;
mod hop;
mod grow;
mod hash;
mod index;
mod memory;
mod notices;
mod ports;
mod share;
mod slot;
mod slots;
mod settings;
mod clock;
mod pairs;
mod last_ways;
mod why_not;
mod promoted;
mod work;
mod strays;
#[cfg(test)]
pub(crate) mod classifier;

pub use epoch::{Epoch, Flushes};
pub(crate) use grow::IndexKeeper;
pub(crate) use hash::HashSecret;
pub(crate) use hop::clear_hops;
pub use hop::{Hop, HopId, Hops};
#[cfg(test)]
pub(crate) use index::BUCKET_ENTRIES;
pub use index::{Bucket, Index, MOST_SLOTS};
pub use memory::{Memory, Shared};
pub use notices::Notices;
pub use ports::UsablePorts;
pub use promoted::{Counted, Lane, LaneCounters};
pub use settings::{LaneSettings, Lanes};
pub use share::WorkerLane;
pub use slot::{Entry, Seen, Slot, Ticks};
pub(crate) use slots::end_slots;
pub use slots::{PairId, SlotId, Slots};
pub use strays::{Fate, STRAYS_A_TURN, Stray};
pub use why_not::{FlowLane, WhyNot};
pub use work::FLOWS_A_TURN;
