//! What netlink tells, as plain data: the vocabulary between [`parse`](super::parse), which reads messages, and
//! [`state`](super::state), which draws the conclusions.
//!
//! Only what resolution needs is kept. An interface is known by its index, which the kernel gives anew to an
//! interface that is made again under an old name.

use std::net::IpAddr;

use ipnet::IpNet;

use super::view::{Mac, Unresolved};

/// The kernel's number of an interface.
pub(super) type IfIndex = u32;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: IfIndex,
    pub(super) name: String,
    /// `None` if it is not Ethernet.
    pub(super) mac: Option<Mac>,
    pub(super) mtu: u32,
    /// Administratively up, with a carrier.
    pub(super) running: bool,
    pub(super) vlan: Option<Vlan>,
    /// The bridge, bond or VRF it is enslaved to.
    pub(super) master: Option<IfIndex>,
    pub(super) rx_queues: u32,
    pub(super) tx_queues: u32,
}

/// What makes a link a VLAN sub-interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vlan {
    pub(super) lower: IfIndex,
    pub(super) id: u16,
    /// The tag is an 802.1ad service tag.
    pub(super) service_tag: bool,
}

/// One address of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AddressKey {
    pub(super) interface: IfIndex,
    pub(super) address: IpAddr,
    pub(super) prefix_len: u8,
}

/// What else is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressFacts {
    /// Scope global (or the obsolete site).
    pub(super) global: bool,
    /// Duplicate address detection is not done, or found a duplicate: the address is not ours to use.
    pub(super) unusable: bool,
    pub(super) deprecated: bool,
}

/// A neighbour's place: addresses are only unique per interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NeighbourKey {
    pub(super) interface: IfIndex,
    pub(super) address: IpAddr,
}

/// One entry of the neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) mac: Option<Mac>,
    pub(super) state: NeighbourState,
    /// The kernel keeps it fresh by itself (`NTF_EXT_MANAGED`).
    pub(super) managed: bool,
}

/// The kernel's `NUD_*` states, as far as they differ for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NeighbourState {
    /// Being asked for the first time.
    Incomplete,
    /// Reachable, delayed or being probed: the MAC is good and the kernel is seeing to it.
    Valid,
    /// The MAC was good when last heard of.
    Stale,
    /// It did not answer.
    Failed,
    /// Set by hand or by the nature of the link: never to be asked, and asking would take the permanence away.
    Fixed,
}

/// What the FIB says about a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Via(Via),
    Refused(Unresolved),
}

/// A usable route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Via {
    pub(super) interface: IfIndex,
    /// The gateway, or the target itself where it is on the link.
    pub(super) next_hop: IpAddr,
    pub(super) source: Option<IpAddr>,
    /// The route's own MTU, if it has one.
    pub(super) mtu: Option<u32>,
}

impl Answer {
    /// The neighbour that packets are given to.
    pub(super) fn next_hop(&self) -> Option<NeighbourKey> {
        match self {
            Self::Via(via) => Some(NeighbourKey { interface: via.interface, address: via.next_hop }),
            Self::Refused(_) => None,
        }
    }
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Link(Link),
    LinkGone(IfIndex),
    Address(AddressKey, AddressFacts),
    AddressGone(AddressKey),
    Neighbour(NeighbourKey, Neighbour),
    NeighbourGone(NeighbourKey),
    /// A route to this prefix appeared, changed or went.
    Route(IpNet),
    /// A policy rule changed.
    Rule,
}
