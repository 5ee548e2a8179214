//! What one worker changes, without locks: its flows, their timers, its share of the SNAT ports; and the two tables that
//! all workers share: of ClientIP affinity, and of the ports of fragmented datagrams.

mod clock;
mod tuple;
mod tcp;
mod sctp;
mod timeouts;
mod flow;
mod ways;
mod last_hops;
mod record;
mod account;
mod index;
mod flow_table;
mod busy;
mod sweep;
mod snat;
mod flows;
mod bucket;
mod fragments;
mod affinity;
#[cfg(test)]
mod tests;

pub use affinity::AffinityTable;
pub use bucket::TokenBucket;
pub use clock::Millis;
pub use flow::{Deltas, Direction, Flow, FlowState, StateCode, Traffic};
pub use flow_table::{FlowId, FlowTable, Found};
pub use flows::{Flows, OpenError, Reply, client_hash, reply_tuple};
pub use fragments::{
    Datagram, Datagrams, Fate, First, Fragments, FreePlaces, HELD, PATIENCE, Place, Waiting,
};
pub use index::Entry;
pub use last_hops::{Inbound, LastHop, LastHopId, LastHops};
pub use record::Record;
pub use sctp::{SctpEvent, SctpState};
pub use snat::{SnatPorts, UsedUp};
pub use tcp::{TcpEvent, TcpState, Transition, reset_is_in_window};
pub use timeouts::Timeouts;
pub use tuple::Tuple;
pub use ways::{Way, Ways};
