//! What the rest of the control plane is told about announcing, and what it asks for.

use super::Interfaces;
use penstock_dataplane::wire::EtherAddr;
use std::{fmt, net::IpAddr};

/// How an address is to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// On which interfaces.
    pub interfaces: Interfaces,
    /// No gateway has announced it before, so that a host that has it is looked for with more patience.
    pub never_announced: bool,
}

/// What happened to an address on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum L2Event {
    /// It is announced and answered for from now on.
    Announced {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// The gateway that had it until now, and was still there to say so.
        former: Option<EtherAddr>,
    },
    /// A host that is no gateway of ours has it.
    Conflict {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// The host.
        mac: EtherAddr,
        /// We announced it before that host did, and go on; if not, we do not begin, and try again every 30 s.
        announced: bool,
    },
    /// Another gateway announces it too, and we go on. Told at most once a second.
    Contested {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// The other gateway.
        mac: EtherAddr,
    },
    /// Another gateway has taken it, and we have stopped, until we are defending again.
    Yielded {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// The other gateway.
        mac: EtherAddr,
    },
}

impl fmt::Display for L2Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced { address, interface, former: None } => {
                write!(f, "announcing {address} on {interface}")
            }
            Self::Announced { address, interface, former: Some(mac) } => {
                write!(f, "announcing {address} on {interface}, taken over from the gateway with {mac}")
            }
            Self::Conflict { address, interface, mac, announced: false } => write!(
                f,
                "not announcing {address} on {interface}: a host with {mac}, which is no gateway, has it; \
                 take the address from that host, or out of the pool"
            ),
            Self::Conflict { address, interface, mac, announced: true } => write!(
                f,
                "a host with {mac}, which is no gateway, uses {address} on {interface}; take it from that host"
            ),
            Self::Contested { address, interface, mac } => {
                write!(f, "another gateway, with {mac}, announces {address} on {interface}, too")
            }
            Self::Yielded { address, interface, mac } => {
                write!(f, "stopped announcing {address} on {interface}: the gateway with {mac} has taken it")
            }
        }
    }
}
