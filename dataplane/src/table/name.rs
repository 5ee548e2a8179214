//! Names and numbers of the things in a table.
//!
//! Services, backends and next hops have stable numbers, given out by the control plane. A number is given again
//! only after every worker has passed a generation in which it was gone, so a flow may keep one for its whole life.

use crate::wire::IpProtocol;
use serde::Serialize;
use std::fmt;

/// The number of a Service port of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ServiceId(pub u32);

/// The number of a backend: one (family, protocol, address, port), whichever Services use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct BackendId(pub u32);

/// The number of one stay of a backend in the lists of a Service with ClientIP affinity. Never given again: a backend that
/// leaves and comes back gets another one, and so does one whose Service turns affinity off and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PinId(pub u64);

/// The number of the way to one backend address: an index into [`Tables::next_hops`](super::Tables::next_hops).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct NextHopId(pub u32);

/// The protocols a Service port can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl Transport {
    /// The Service protocol with this IP protocol number, if it is one.
    #[inline]
    pub fn from_protocol(protocol: IpProtocol) -> Option<Self> {
        match protocol {
            IpProtocol::TCP => Some(Self::Tcp),
            IpProtocol::UDP => Some(Self::Udp),
            IpProtocol::SCTP => Some(Self::Sctp),
            _ => None,
        }
    }

    /// Its IP protocol number.
    #[inline]
    pub fn protocol(self) -> IpProtocol {
        match self {
            Self::Tcp => IpProtocol::TCP,
            Self::Udp => IpProtocol::UDP,
            Self::Sctp => IpProtocol::SCTP,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// What kube-proxy calls ServicePortName: the unit of load balancing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ServiceName {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// Name of the port, `""` if it has none.
    pub port_name: String,
    /// Protocol of the port.
    pub transport: Transport,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        if !self.port_name.is_empty() {
            write!(f, ":{}", self.port_name)?;
        }
        write!(f, "/{}", self.transport)
    }
}
