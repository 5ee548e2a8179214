//! What the rest of the control plane is told about announcing, and what it asks for.

use super::Interfaces;
use penstock_dataplane::wire::EtherAddr;
use std::{fmt, net::IpAddr};

/// How an address is to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// On which interfaces.
    pub interfaces: Interfaces,
    /// Who had it before.
    pub before: Before,
}

/// Which gateway announced an address before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// None ever did: a host that has it is looked for with patience.
    Nobody,
    /// One that is not there any more; clients wait.
    OneThatIsGone,
    /// One that is there, and answers for it until it hears us: its answer is waited for, as flows have begun there.
    OneThatIsThere,
}

/// What happened to an address on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum L2Event {
    /// Another gateway has it, and has just said so. It is announced here as soon as we are told to
    /// [`proceed`](super::Announcer::proceed), or after half a second; if that gateway was late, it already is.
    TakingOver {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// The other gateway.
        mac: EtherAddr,
    },
    /// It is announced and answered for from now on.
    Announced {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
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
    /// Another gateway announces it too, and we go on. Told once, until we have spoken
    /// against it.
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
            Self::TakingOver { address, interface, mac } => {
                write!(f, "taking over {address} on {interface} from the gateway with {mac}")
            }
            Self::Announced { address, interface } => write!(f, "announcing {address} on {interface}"),
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
