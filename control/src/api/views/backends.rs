//! `penstock show backends`: every backend of a published ring, and how it is reached.

use crate::runtime::Appliance;
use penstock_dataplane::{
    table::{Backend, Endpoints, Link, Service, Snapshot, Tables},
    wire::{EtherAddr, Family},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BackendsView {
    backends: Vec<BackendView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BackendView {
    address: SocketAddr,
    protocol: String,
    services: BTreeSet<String>,
    reachable: bool,
    /// Why it is not reachable, as far as the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_hop: Option<NextHopView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NextHopView {
    interface: String,
    mac: EtherAddr,
    vlan: Vec<u16>,
    mtu: u16,
    /// What masqueraded flows come from, without an address pool.
    source: Option<String>,
}

pub(super) fn view(snapshot: &Snapshot, appliance: &Appliance) -> BackendsView {
    let mut backends = of_family(&snapshot.v4, appliance);
    backends.extend(of_family(&snapshot.v6, appliance));
    backends.sort_by(|a, b| (a.address, &a.protocol).cmp(&(b.address, &b.protocol)));
    BackendsView { backends }
}

fn of_family<F: Family>(tables: &Tables<F>, appliance: &Appliance) -> Vec<BackendView> {
    let mut found: BTreeMap<_, (Backend<F>, BTreeSet<String>, String)> = BTreeMap::new();
    for service in tables.services.iter().flatten() {
        for backend in backends(service) {
            let entry = found
                .entry(backend.id)
                .or_insert_with(|| (*backend, BTreeSet::new(), service.name.transport.to_string()));
            entry.1.insert(format!("{}/{}", service.name.namespace, service.name.name));
        }
    }
    found
        .into_values()
        .map(|(backend, services, protocol)| {
            let next_hop = tables.next_hop(backend.next_hop);
            let addr = F::to_ip(backend.addr);
            let describe = |link: Link| NextHopView {
                interface: appliance.interface_name(link.port),
                mac: link.destination,
                vlan: link.vlan.iter().map(|tag| tag.id()).collect(),
                mtu: next_hop.mtu,
                source: next_hop.source.map(|source| source.to_string()),
            };
            BackendView {
                address: SocketAddr::new(addr, backend.port),
                protocol,
                services,
                reachable: next_hop.link.is_some(),
                because: if next_hop.link.is_none() { appliance.why_unreachable(addr) } else { None },
                next_hop: next_hop.link.map(describe),
            }
        })
        .collect()
}

fn backends<F: Family>(service: &Service<F>) -> impl Iterator<Item = &Backend<F>> {
    [&service.cluster, &service.local].into_iter().flat_map(|endpoints| match endpoints {
        Endpoints::Ring(ring) => ring.backends(),
        Endpoints::Drop | Endpoints::Reject => &[],
    })
}
