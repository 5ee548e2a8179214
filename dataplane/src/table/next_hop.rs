//! How a backend address is reached: resolved ahead of traffic by the control plane, read per packet.
//!
//! There is one record per backend address, so a moved route and a neighbour's new MAC are both one write, and no
//! flow has to be touched.

use crate::{
    io::PortId,
    wire::{EtherAddr, Family, VlanTags},
};

/// The link layer of a way out.
///
/// The addresses lie as a frame has them, so that they are copied in two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Link {
    /// The neighbour's MAC.
    pub destination: EtherAddr,
    /// Our own MAC there.
    pub source: EtherAddr,
    /// The port to send on.
    pub port: PortId,
    /// The tags to send with.
    pub vlan: VlanTags,
}

impl Link {
    /// Whether both ends are hosts, as those of every frame that may be forwarded are (RFC 1812 §3.3.2).
    #[inline]
    pub fn is_between_hosts(&self) -> bool {
        !self.source.is_multicast() && !self.destination.is_multicast()
    }
}

/// The way to one backend address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop<F: Family> {
    /// The link layer; `None` while the neighbour or the route is unknown.
    pub link: Option<Link>,
    /// The source address of masqueraded flows that go this way, if no address pool is configured: what the
    /// gateway itself would use on the egress interface. `None` if the interface has no address of the family.
    pub source: Option<F::Addr>,
    /// The largest packet that fits, in bytes of IP.
    pub mtu: u16,
}

impl<F: Family> NextHop<F> {
    /// A way that is not known yet.
    pub const UNRESOLVED: Self = Self { link: None, source: None, mtu: 1500 };
}
