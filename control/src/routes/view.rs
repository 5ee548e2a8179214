//! What the rest of the control plane sees: one immutable [`View`], replaced whole, and the difference of two.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use imbl::OrdMap;
use penstock_dataplane::io::PortId;
use penstock_dataplane::table;
use penstock_dataplane::wire::{EtherAddr, EtherType, VlanTag, VlanTags};
use thiserror::Error;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Ways by target. Two versions share what they have in common, and targets that are reached in the same way share it.
pub type Ways = OrdMap<IpAddr, Arc<Way>>;

/// Everything that is known at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// One for every target.
    pub ways: Ways,
    /// The usable addresses of global scope of all interfaces of the node, in a stable order.
    pub addresses: Vec<NodeAddress>,
    /// The configured interfaces, in the order they were given.
    pub interfaces: Vec<Interface>,
}

/// How a target is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The link layer, or why there is none.
    pub link: Result<WayLink, Unresolved>,
    /// The address the node itself would send from; `None` if it has none of the family on the way.
    pub source: Option<IpAddr>,
    /// The largest packet that fits, in bytes of IP.
    pub mtu: u16,
}

/// The link layer of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayLink {
    /// The port to send on.
    pub port: u8,
    /// Our own MAC (that of the sub-interface, where there is a tag).
    pub source_mac: Mac,
    /// The neighbour's MAC.
    pub dest_mac: Mac,
    /// The 802.1Q tag to send with.
    pub vlan: Option<u16>,
}

impl From<WayLink> for table::Link {
    fn from(way: WayLink) -> Self {
        let mut vlan = VlanTags::NONE;
        if let Some(id) = way.vlan {
            // There is room: it is the first.
            vlan.push(VlanTag { tpid: EtherType::VLAN, tci: id });
        }
        Self {
            port: PortId(way.port),
            source: EtherAddr(way.source_mac),
            destination: EtherAddr(way.dest_mac),
            vlan,
        }
    }
}

/// Why a target has no way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum Unresolved {
    /// Its first look-up is under way.
    #[error("its route is being looked up")]
    LookingUp,
    /// No route.
    #[error("there is no route to it")]
    NoRoute,
    /// A blackhole route.
    #[error("its route is a blackhole")]
    Blackhole,
    /// An unreachable route.
    #[error("its route is of type unreachable")]
    Unreachable,
    /// A prohibit route.
    #[error("its route is of type prohibit")]
    Prohibited,
    /// One of the node's own addresses.
    #[error("it is an address of this node, which traffic cannot be sent to from an interface")]
    Local,
    /// Broadcast, multicast or anycast.
    #[error("it is not a unicast address")]
    NotUnicast,
    /// The route pushes a tunnel or label header.
    #[error("its route adds a tunnel or MPLS header, which is not supported")]
    Encapsulated,
    /// The kernel refused the look-up for some other reason.
    #[error("its route could not be looked up: {0}")]
    LookUpFailed(String),
    /// The route leaves by an interface that is not one of ours.
    #[error("its route leaves by {interface}, which is not among the configured interfaces{}", Hint(.ports))]
    ForeignInterface {
        /// The name of that interface.
        interface: String,
        /// Configured interfaces that are enslaved to it, if any: the likely mistake.
        ports: Vec<String>,
    },
    /// The interface is down or has no carrier.
    #[error("{interface} is down")]
    InterfaceDown {
        /// Its name.
        interface: String,
    },
    /// The interface has no MAC.
    #[error("{interface} is not an Ethernet interface")]
    NotEthernet {
        /// Its name.
        interface: String,
    },
    /// More tags than one, or a service tag.
    #[error("{interface} adds an 802.1ad tag or a second tag; one 802.1Q tag is supported")]
    VlanStack {
        /// Its name.
        interface: String,
    },
    /// The neighbour is being asked.
    #[error("waiting for neighbour {next_hop} on {interface} to answer")]
    NeighbourPending {
        /// The gateway, or the target itself.
        next_hop: IpAddr,
        /// The interface it is asked on.
        interface: String,
    },
    /// The neighbour was asked in vain.
    #[error("neighbour {next_hop} on {interface} does not answer")]
    NeighbourSilent {
        /// The gateway, or the target itself.
        next_hop: IpAddr,
        /// The interface it was asked on.
        interface: String,
    },
    /// The kernel would not ask the neighbour.
    #[error("neighbour {next_hop} on {interface} could not be asked for: {error}")]
    NeighbourRefused {
        /// The gateway, or the target itself.
        next_hop: IpAddr,
        /// The interface it should have been asked on.
        interface: String,
        /// The kernel's error, with the remedy where it is known.
        error: String,
    },
}

impl Unresolved {
    /// Whether an answer is still awaited that will change this reason in seconds.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::LookingUp | Self::NeighbourPending { .. })
    }
}

/// What to tell about configured interfaces which are ports of the foreign one.
struct Hint<'a>(&'a [String]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            ports => write!(f, "; {} is enslaved to it: take the addresses off the master", ports.join(", ")),
        }
    }
}

/// One usable address of the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    /// The interface that has it.
    pub interface: String,
    /// The port packets to it arrive on, if it is on a configured interface or on a VLAN of one.
    pub port: Option<u8>,
    /// The tag they arrive with.
    pub vlan: Option<u16>,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix_len: u8,
    /// It still receives, but should not be used as the source of new flows.
    pub deprecated: bool,
}

/// A configured interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its port.
    pub port: u8,
    /// Its name.
    pub name: String,
    /// `None` while no interface of that name exists.
    pub link: Option<LinkStatus>,
}

impl Interface {
    /// The state of the interface that is this port, if it exists.
    pub fn link_of(interfaces: &[Self], port: PortId) -> Option<LinkStatus> {
        interfaces.iter().find(|interface| interface.port == port.0)?.link
    }
}

/// The state of an interface that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkStatus {
    /// The kernel's number; another one means another interface under the same name.
    pub index: u32,
    /// Its MAC; `None` if it is not Ethernet.
    pub mac: Option<Mac>,
    /// The largest packet, in bytes of IP.
    pub mtu: u32,
    /// Administratively up, with a carrier.
    pub up: bool,
    /// Receive queues the driver allocated (it may use fewer).
    pub rx_queues: u32,
    /// Transmit queues the driver allocated (it may use fewer).
    pub tx_queues: u32,
}

/// Something happened to a configured interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceEvent {
    /// It exists (again), as another interface than before: sockets and programs must be attached anew.
    Appeared {
        /// Its port.
        port: u8,
        /// Its name.
        name: String,
        /// Its new number.
        index: u32,
    },
    /// It no longer exists.
    Vanished {
        /// Its port.
        port: u8,
        /// Its name.
        name: String,
    },
    /// It went up or down, or its MAC, MTU or queues changed.
    Altered {
        /// Its port.
        port: u8,
        /// Its name.
        name: String,
    },
}

/// What differs between two views.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Some way.
    pub ways: bool,
    /// Some address.
    pub addresses: bool,
    /// What happened to the interfaces.
    pub interfaces: Vec<InterfaceEvent>,
}

impl Change {
    /// What changed from `before` to `after`, which are views of the same configuration.
    pub fn between(before: &View, after: &View) -> Self {
        Self {
            ways: before.ways != after.ways,
            addresses: before.addresses != after.addresses,
            interfaces: (before.interfaces.iter().zip(&after.interfaces))
                .filter_map(|(before, after)| interface_event(before, after))
                .collect(),
        }
    }
}

fn interface_event(before: &Interface, after: &Interface) -> Option<InterfaceEvent> {
    let (port, name) = (after.port, after.name.clone());
    match (before.link, after.link) {
        (None, None) => None,
        (Some(_), None) => Some(InterfaceEvent::Vanished { port, name }),
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) if old.index == new.index => Some(InterfaceEvent::Altered { port, name }),
        (_, Some(new)) => Some(InterfaceEvent::Appeared { port, name, index: new.index }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_becomes_the_link_of_a_next_hop() {
        let way = WayLink { port: 3, source_mac: [1; 6], dest_mac: [2; 6], vlan: Some(100) };
        let link = table::Link::from(way);
        assert_eq!(link.port, PortId(3));
        assert_eq!((link.source, link.destination), (EtherAddr([1; 6]), EtherAddr([2; 6])));
        assert_eq!(link.vlan.iter().collect::<Vec<_>>(), [VlanTag { tpid: EtherType::VLAN, tci: 100 }]);
        assert!(table::Link::from(WayLink { vlan: None, ..way }).vlan.is_empty());
    }
}
