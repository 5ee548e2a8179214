//! The index from a destination to the Service that serves it.
//!
//! Exact tuples (VIP, protocol, port) are looked up before NodePorts (§3.2), so a VIP beats a NodePort when both
//! could match: an external IP may be a node's own address. A VIP's other ports are ours as well: the classifier sends
//! them all here, and they are rejected.

use super::{Destinations, ServiceId, Transport};
use crate::wire::Family;
use hashbrown::{HashMap, HashSet};

/// How a Service was addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum VipKind {
    /// By a cluster IP: internal traffic.
    ClusterIp,
    /// By one of `spec.externalIPs`.
    ExternalIp,
    /// By an IP of `status.loadBalancer`.
    LoadBalancerIp,
    /// By a node address and a NodePort.
    NodePort,
}

/// What a tuple leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The Service port.
    pub service: ServiceId,
    /// The kind of address it was reached by.
    pub kind: VipKind,
}

/// The result of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VipMatch {
    /// A Service port.
    Service(Target),
    /// A VIP, but not one of its ports or protocols.
    UnservedPort(VipKind),
    /// Not a Service address.
    None,
}

/// Destinations of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipIndex<F: Family> {
    /// VIP tuples.
    pub tuples: Destinations<F>,
    /// Every VIP, by the first kind that claimed it.
    pub addresses: HashMap<F::Addr, VipKind>,
    /// VIPs that are gone, but that flows may still be using: their packets come to us, and go to the owner of the flow.
    pub departed: HashSet<F::Addr>,
    /// NodePorts.
    pub node_ports: HashMap<(Transport, u16), ServiceId>,
    /// The addresses NodePorts are served on.
    pub node_addresses: HashSet<F::Addr>,
}

impl<F: Family> Default for VipIndex<F> {
    fn default() -> Self {
        Self {
            tuples: Destinations::default(),
            addresses: HashMap::new(),
            departed: HashSet::new(),
            node_ports: HashMap::new(),
            node_addresses: HashSet::new(),
        }
    }
}

impl<F: Family> VipIndex<F> {
    /// Whether any Service is served.
    pub fn has_services(&self) -> bool {
        !self.tuples.is_empty() || !self.node_ports.is_empty()
    }

    /// Whether a Service is served here: packets to it are clients', whatever else the address is used for.
    #[inline]
    pub fn serves(&self, addr: F::Addr, transport: Transport, port: u16) -> bool {
        self.target(addr, transport, port).is_some()
    }

    /// Whether everything that is sent to this address comes to us.
    #[inline]
    pub fn captures(&self, addr: F::Addr) -> bool {
        self.addresses.contains_key(&addr) || self.departed.contains(&addr)
    }

    /// What a new flow to this destination is for.
    #[inline]
    pub fn find(&self, addr: F::Addr, transport: Transport, port: u16) -> VipMatch {
        match self.target(addr, transport, port) {
            Some(target) => VipMatch::Service(target),
            None => self.addresses.get(&addr).map_or(VipMatch::None, |kind| VipMatch::UnservedPort(*kind)),
        }
    }

    /// The Service port that is served here.
    #[inline]
    fn target(&self, addr: F::Addr, transport: Transport, port: u16) -> Option<Target> {
        if let Some(target) = self.tuples.get(addr, transport, port) {
            return Some(target);
        }
        let service = *self.node_ports.get(&(transport, port))?;
        let is_node = self.node_addresses.contains(&addr);
        is_node.then_some(Target { service, kind: VipKind::NodePort })
    }
}
