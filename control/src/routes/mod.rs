//! What the kernel knows about reaching backends, followed live by netlink.
//!
//! In: the names of the configured interfaces, and the backend addresses to reach ([`Routes::set_targets`]).
//! Out: a [`View`]: a [`Way`] for each target (port, MACs, tag, source address, MTU, or the reason why there is
//! none), the node's addresses, and the state of the interfaces.
//!
//! The kernel makes the decisions: each target is looked up in its FIB (policy rules and longest prefix
//! included), and neighbours are resolved and kept fresh by it, ahead of traffic, because we ask it to.
//! Nothing is copied that the kernel can be asked for: the routing tables are never read as a whole.
//!
//! Read in this order: plain data, the pure state ("events in, view out"), then the only two files that do I/O.
//! Cost: one look-up per target that a change may concern, and each of them every 30 s. A change of targets costs what
//! changes; one of neighbours a comparison for each distinct next hop.
//! Limits: look-ups are those of the node's own traffic, so rules by source or incoming interface are not seen;
//! of a multipath route, a target uses the one path the kernel's hash gives it; one 802.1Q tag.

mod facts;
mod view;
mod state;
mod targets;
mod resolve;
mod asks;
mod parse;
mod kernel;
mod follow;
pub mod hints;
#[cfg(test)]
mod netns_lab;
#[cfg(test)]
mod netns_tests;

pub use follow::{Routes, RoutesError};
pub use view::{
    Change, Interface, InterfaceEvent, LinkStatus, Mac, NodeAddress, Unresolved, View, Way, WayLink, Ways,
};
