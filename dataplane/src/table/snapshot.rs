//! Everything the packet path reads, for one generation (its number is the publisher's).

use super::{NextHop, NextHopId, Pages, Peers, RssPorts, Service, ServiceId, VipIndex};
use crate::{
    io::PortId,
    wire::{Family, V4, V6},
};
use hashbrown::HashSet;
use std::{fmt, sync::Arc};

/// The published state of the world. Immutable.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The IPv4 tables.
    pub v4: Tables<V4>,
    /// The IPv6 tables.
    pub v6: Tables<V6>,
}

/// The tables of one family.
#[derive(Debug, Clone)]
pub struct Tables<F: Family> {
    /// Destinations.
    pub vips: Arc<VipIndex<F>>,
    /// Service ports by [`ServiceId`]; free numbers are `None`.
    pub services: Pages<Option<Service<F>>>,
    /// Ways by [`NextHopId`].
    pub next_hops: Pages<NextHop<F>>,
    /// The largest packets that fit, in bytes of IP, by the port that clients are behind.
    pub port_mtus: Arc<[u16]>,
    /// The configured SNAT address pool; empty means the egress interface's own address.
    pub snat_addresses: Arc<[F::Addr]>,
    /// Which sources are pods, nodes or strangers.
    pub locality: Arc<Locality<F>>,
    /// Changes whenever UDP endpoints do: flows from before are held against [`Service::serving`] again. It wraps, but
    /// no UDP flow idles through 65,536 changes.
    pub udp_epoch: u16,
    /// The node's own addresses, by the port they are on; the first of a port is the one it signs with.
    pub port_addresses: Arc<[(PortId, F::Addr)]>,
    /// The other gateways, and the addresses that have come from one.
    pub peers: Arc<Peers<F>>,
    /// How the NICs choose a queue.
    pub rss: Arc<RssPorts>,
}

/// What decides about masquerading by source (§3.5, §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locality<F: Family> {
    /// The local detector: sources in here are pods. `None`: there is no detector.
    pub pods: Option<Prefix<F>>,
    /// Addresses of this node.
    pub host: HashSet<F::Addr>,
    /// Masquerade all cluster-IP traffic.
    pub masquerade_all: bool,
    /// Where Services have their cluster IPs: what is sent to an address in here that none has is dropped.
    pub service_cidrs: Vec<Prefix<F>>,
}

impl<F: Family> Default for Locality<F> {
    fn default() -> Self {
        Self { pods: None, host: HashSet::new(), masquerade_all: false, service_cidrs: Vec::new() }
    }
}

impl<F: Family> Default for Tables<F> {
    fn default() -> Self {
        Self {
            vips: Arc::default(),
            services: Pages::default(),
            next_hops: Pages::default(),
            port_mtus: Arc::from([]),
            snat_addresses: Arc::from([]),
            locality: Arc::default(),
            udp_epoch: 0,
            port_addresses: Arc::from([]),
            peers: Arc::default(),
            rss: Arc::default(),
        }
    }
}

impl<F: Family> Tables<F> {
    /// The Service port with this number.
    #[inline]
    pub fn service(&self, id: ServiceId) -> Option<&Service<F>> {
        self.services.get(id.0 as usize)?.as_ref()
    }

    /// Whether packets to `addr` are addressed to the gateway itself: an address of the node, or of the SNAT pool.
    #[inline]
    pub fn is_own(&self, addr: F::Addr) -> bool {
        self.locality.host.contains(&addr) || self.snat_addresses.contains(&addr)
    }

    /// Whether packets to `addr` are addressed to us in any way. Others come to us from backends only, as answers or by
    /// mistake.
    pub fn is_ours(&self, addr: F::Addr) -> bool {
        self.is_own(addr) || self.vips.captures(addr) || self.is_unallocated(addr)
    }

    /// Whether `addr` could be a Service's, but is nobody's (§3.11).
    pub fn is_unallocated(&self, addr: F::Addr) -> bool {
        self.locality.service_cidrs.iter().any(|cidr| cidr.contains(addr))
            && !self.is_own(addr)
            && !self.vips.addresses.contains_key(&addr)
    }

    /// The largest packet that fits through a port; of one that is not known, any.
    #[inline]
    pub fn port_mtu(&self, port: PortId) -> u16 {
        self.port_mtus.get(usize::from(port.0)).copied().unwrap_or(u16::MAX)
    }

    /// The address of the node on a port, if it has one there.
    pub fn port_address(&self, port: PortId) -> Option<F::Addr> {
        self.port_addresses.iter().find(|(of, _)| *of == port).map(|(_, address)| *address)
    }

    /// The way with this number; an unknown number is an unresolved way.
    #[inline]
    pub fn next_hop(&self, id: NextHopId) -> &NextHop<F> {
        self.next_hops.get(id.0 as usize).unwrap_or(const { &NextHop::UNRESOLVED })
    }
}

/// An address prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefix<F: Family> {
    addr: F::Addr,
    len: u8,
}

impl<F: Family> Prefix<F> {
    /// `addr/len`; a length beyond the address is the whole address.
    pub fn new(addr: F::Addr, len: u8) -> Self {
        Self { addr, len: len.min((F::ADDR_LEN * 8) as u8) }
    }

    /// Whether `addr` is in it.
    #[inline]
    pub fn contains(&self, addr: F::Addr) -> bool {
        let (mine, theirs) = (F::octets(&self.addr), F::octets(&addr));
        let (mine, theirs): (&[u8], &[u8]) = (mine.as_ref(), theirs.as_ref());
        let (bytes, bits) = (usize::from(self.len / 8), self.len % 8);
        mine[..bytes] == theirs[..bytes] && (bits == 0 || (mine[bytes] ^ theirs[bytes]) >> (8 - bits) == 0)
    }
}

impl<F: Family> fmt::Display for Prefix<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl<F: Family> fmt::Debug for Prefix<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_its_addresses_and_no_others() {
        let prefix = Prefix::<V4>::new("10.1.128.0".parse().unwrap(), 17);
        assert!(prefix.contains("10.1.255.3".parse().unwrap()));
        assert!(!prefix.contains("10.1.127.3".parse().unwrap()));
        assert!(Prefix::<V4>::new("0.0.0.0".parse().unwrap(), 0).contains("9.9.9.9".parse().unwrap()));
        let one = Prefix::<V6>::new("2001:db8::1".parse().unwrap(), 128);
        assert!(one.contains("2001:db8::1".parse().unwrap()));
        assert!(!one.contains("2001:db8::2".parse().unwrap()));
    }
}
