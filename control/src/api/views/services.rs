//! `penstock show services`: every Service port that is published.

use penstock_dataplane::{
    table::{Endpoints, Service, ServiceId, Snapshot, Tables, TrafficPolicy, VipKind},
    wire::Family,
};
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicesView {
    services: Vec<ServiceView>,
}

/// One Service port of one family.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceView {
    namespace: String,
    name: String,
    port_name: String,
    protocol: String,
    family: &'static str,
    addresses: Vec<AddressView>,
    internal_policy: TrafficPolicy,
    external_policy: TrafficPolicy,
    affinity_seconds: Option<u32>,
    source_ranges: Option<Vec<String>>,
    cluster: ListView,
    local: ListView,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct AddressView {
    kind: VipKind,
    /// `None` for a NodePort: it is on every NodePort address.
    address: Option<IpAddr>,
    port: u16,
}

/// An endpoint list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListView {
    endpoints: usize,
    ring_size: usize,
    /// What happens to new flows: "serve", "drop" or "reject".
    new_flows: &'static str,
}

pub(super) fn view(snapshot: &Snapshot) -> ServicesView {
    let mut services = of_family(&snapshot.v4);
    services.extend(of_family(&snapshot.v6));
    services.sort_by(|a, b| {
        (&a.namespace, &a.name, &a.port_name, &a.protocol, a.family).cmp(&(
            &b.namespace,
            &b.name,
            &b.port_name,
            &b.protocol,
            b.family,
        ))
    });
    ServicesView { services }
}

fn of_family<F: Family>(tables: &Tables<F>) -> Vec<ServiceView> {
    let mut addresses: BTreeMap<ServiceId, Vec<AddressView>> = BTreeMap::new();
    for ((addr, _, port), target) in tables.vips.tuples.iter() {
        let address = AddressView { kind: target.kind, address: Some(F::to_ip(addr)), port };
        addresses.entry(target.service).or_default().push(address);
    }
    for ((_, port), service) in &tables.vips.node_ports {
        let address = AddressView { kind: VipKind::NodePort, address: None, port: *port };
        addresses.entry(*service).or_default().push(address);
    }
    let services = tables.services.iter().flatten();
    services
        .map(|service| {
            let mut addresses = addresses.remove(&service.id).unwrap_or_default();
            addresses.sort();
            describe(service, addresses)
        })
        .collect()
}

fn describe<F: Family>(service: &Service<F>, addresses: Vec<AddressView>) -> ServiceView {
    ServiceView {
        namespace: service.name.namespace.clone(),
        name: service.name.name.clone(),
        port_name: service.name.port_name.clone(),
        protocol: service.name.transport.to_string(),
        family: F::NAME,
        addresses,
        internal_policy: service.internal_policy,
        external_policy: service.external_policy,
        affinity_seconds: service.affinity.map(NonZeroU32::get),
        source_ranges: service
            .source_ranges
            .as_ref()
            .map(|ranges| ranges.iter().map(ToString::to_string).collect()),
        cluster: list(&service.cluster),
        local: list(&service.local),
    }
}

fn list<F: Family>(endpoints: &Endpoints<F>) -> ListView {
    match endpoints {
        Endpoints::Ring(ring) => {
            ListView { endpoints: ring.backends().len(), ring_size: ring.size(), new_flows: "serve" }
        }
        Endpoints::Drop => ListView { endpoints: 0, ring_size: 0, new_flows: "drop" },
        Endpoints::Reject => ListView { endpoints: 0, ring_size: 0, new_flows: "reject" },
    }
}
