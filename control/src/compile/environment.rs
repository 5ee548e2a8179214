//! What the compiler knows beside the model: the configuration, and the kernel's addresses and ways.

use crate::{
    config::{Config, NodePortAddresses},
    model::{IpFamily, Node, NodeAddressKind},
    routes::{self, Ways},
};
use ipnet::IpNet;
use penstock_dataplane::{
    io::PortId,
    table::{self, NextHop, Peers, Prefix, RssPorts},
    wire::{EtherAddr, Family},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// Who had an address before, as a gateway that lives on: it keeps the flows it has tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// The port it is behind.
    pub port: PortId,
    /// Its MAC there.
    pub mac: EtherAddr,
}

/// What the compiler takes from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This node's name; empty: nothing is local.
    pub node_name: String,
    /// Masquerade all cluster-IP traffic.
    pub masquerade_all: bool,
    /// The local detector; the first of each family counts.
    pub cluster_cidr: Vec<IpNet>,
    /// Where NodePorts answer.
    pub node_port_addresses: NodePortAddresses,
    /// Whether `spec.externalIPs` are captured.
    pub allow_external_ips: bool,
    /// Where Services have their cluster IPs.
    pub service_cidrs: Vec<IpNet>,
    /// What masqueraded flows come from; empty: the egress interface's address.
    pub snat_addresses: Vec<IpAddr>,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            node_name: config.node_name.clone(),
            masquerade_all: config.masquerade_all,
            cluster_cidr: config.cluster_cidr.clone(),
            node_port_addresses: config.node_port_addresses.clone(),
            allow_external_ips: config.allow_external_ips,
            service_cidrs: config.service_cidrs.clone(),
            snat_addresses: config.snat.addresses.clone(),
        }
    }
}

/// Everything beside the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// From the configuration.
    pub settings: Settings,
    /// The node's addresses, loopback ones not among them.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Ways to backends; an address that is missing is not resolved yet.
    pub ways: Ways,
    /// The MTU of each port; `u16::MAX` where nobody knows.
    pub port_mtus: Arc<[u16]>,
    /// The addresses of each port, that which the node itself would rather use first.
    pub port_addresses: Vec<(PortId, IpAddr)>,
    /// Our own MACs, of the ports that have one now.
    pub port_macs: BTreeMap<PortId, EtherAddr>,
    /// The MACs of all other gateways, whatever they announce. Answers go to clients, never back to one of these, and
    /// what one of these has sent is not relayed.
    pub peers: BTreeSet<EtherAddr>,
    /// The addresses that have come here from another gateway, until its flows are as good as over. Who loses an address
    /// has no relay for it any more.
    pub relays: BTreeMap<IpAddr, Relay>,
    /// How the interfaces choose queues.
    pub rss: Arc<RssPorts>,
}

impl Environment {
    /// What the configuration and the kernel say.
    pub fn of(config: &Config, view: &routes::View) -> Self {
        Self {
            settings: config.into(),
            node_addresses: view.addresses.iter().map(|address| address.address).collect(),
            port_mtus: port_mtus(view),
            port_addresses: port_addresses(view),
            port_macs: port_macs(view),
            peers: BTreeSet::new(),
            relays: BTreeMap::new(),
            rss: Arc::default(),
            ways: view.ways.clone(),
        }
    }

    /// The node's addresses of a family. Where no interface has any (nobody looked), the Node object's count.
    pub(super) fn host<F: Family>(&self, node: Option<&Node>) -> BTreeSet<F::Addr> {
        match self.node_addresses.is_empty() {
            false => self.node_addresses.iter().filter_map(|address| F::from_ip(*address)).collect(),
            true => {
                let known = node.into_iter().flat_map(|node| &node.addresses);
                known.filter_map(|address| F::from_ip(address.addr)).collect()
            }
        }
    }

    /// The addresses of each port, of one family.
    pub(super) fn port_addresses<F: Family>(&self) -> Arc<[(PortId, F::Addr)]> {
        let of_family = |(port, address): &(PortId, IpAddr)| Some((*port, F::from_ip(*address)?));
        self.port_addresses.iter().filter_map(of_family).collect()
    }

    /// The other gateways. A relay by a port that is gone is none: there is no way to take it.
    pub(super) fn peers<F: Family>(&self) -> Peers<F> {
        let relays = self.relays.iter().filter_map(|(address, relay)| {
            let source = *self.port_macs.get(&relay.port)?;
            Some((F::from_ip(*address)?, table::Relay { port: relay.port, source, destination: relay.mac }))
        });
        Peers::new(self.peers.iter().copied(), relays)
    }

    pub(super) fn next_hop<F: Family>(&self, address: F::Addr) -> NextHop<F> {
        match self.ways.get(&F::to_ip(address)) {
            Some(way) => NextHop {
                link: way.link.as_ref().ok().map(|link| (*link).into()),
                source: way.source.and_then(F::from_ip),
                mtu: way.mtu,
            },
            None => NextHop::UNRESOLVED,
        }
    }

    /// The local detector of a family.
    pub(super) fn detector<F: Family>(&self) -> Option<Prefix<F>> {
        self.settings.cluster_cidr.iter().find_map(|cidr| prefix(*cidr))
    }
}

/// The MTUs of the interfaces, by port.
fn port_mtus(view: &routes::View) -> Arc<[u16]> {
    let ports = view.interfaces.iter().map(|interface| usize::from(interface.port) + 1).max().unwrap_or(0);
    let mut mtus = vec![u16::MAX; ports];
    for interface in &view.interfaces {
        if let Some(link) = &interface.link {
            mtus[usize::from(interface.port)] = u16::try_from(link.mtu).unwrap_or(u16::MAX);
        }
    }
    mtus.into()
}

/// The MACs of the interfaces.
fn port_macs(view: &routes::View) -> BTreeMap<PortId, EtherAddr> {
    let macs = view.interfaces.iter().map(|interface| (PortId(interface.port), interface.link));
    macs.filter_map(|(port, link)| Some((port, EtherAddr(link?.mac?)))).collect()
}

/// The addresses of the interfaces, by port: those without a tag first, then those that are to be used for new flows.
fn port_addresses(view: &routes::View) -> Vec<(PortId, IpAddr)> {
    let mut addresses: Vec<_> = view.addresses.iter().filter(|address| address.port.is_some()).collect();
    addresses.sort_by_key(|address| (address.vlan, address.deprecated));
    let named = addresses.into_iter().map(|address| (address.port.map(PortId), address.address));
    named.filter_map(|(port, address)| Some((port?, address))).collect()
}

/// The family as a value.
pub(super) fn family<F: Family>() -> IpFamily {
    if F::ADDR_LEN == 4 { IpFamily::V4 } else { IpFamily::V6 }
}

/// The prefix, if it is of this family.
pub(super) fn prefix<F: Family>(net: IpNet) -> Option<Prefix<F>> {
    Some(Prefix::new(F::from_ip(net.network())?, net.prefix_len()))
}

/// The primary address of the node: in its status, the first internal one, else the first external one.
pub(super) fn primary<F: Family>(node: Option<&Node>) -> Option<F::Addr> {
    let of_kind = |kind| {
        let addresses = node.into_iter().flat_map(|node| &node.addresses);
        addresses.filter(move |address| address.kind == kind).find_map(|address| F::from_ip(address.addr))
    };
    of_kind(NodeAddressKind::InternalIp).or_else(|| of_kind(NodeAddressKind::ExternalIp))
}
