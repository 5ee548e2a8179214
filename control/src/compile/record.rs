//! One Service port of one family: its endpoints, and the record the packet path reads.

use super::{
    categorize::{Lists, Place, Wanted, categorize},
    environment::prefix,
    merge::Merged,
};
use crate::model;
use penstock_dataplane::{
    table::{Backend, BackendId, Endpoints, NextHopId, Prefix, Ring, TrafficPolicy},
    wire::Family,
};
use serde::Serialize;
use std::{net::SocketAddr, sync::Arc};

/// An endpoint of a Service port, and what is made of it: for people who ask why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its number.
    pub backend: BackendId,
    /// The node it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The Pod behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its conditions.
    pub ready: bool,
    /// Could serve.
    pub serving: bool,
    /// Is going.
    pub terminating: bool,
    /// Is on this node.
    pub local: bool,
    /// Is in the cluster list.
    pub in_cluster_list: bool,
    /// Is in the local list.
    pub in_local_list: bool,
}

/// What of the node a Service's records depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts<F: Family> {
    pub(super) place: Place,
    /// The node's primary address (§3.6).
    pub(super) primary: Option<F::Addr>,
}

/// The policies of a Service (§3.3).
pub(super) fn wanted(service: &model::Service, port: &model::ServicePort) -> Wanted {
    let accessible =
        port.node_port.is_some() || !service.load_balancer_ips.is_empty() || !service.external_ips.is_empty();
    let internal_local = service.internal_policy == TrafficPolicy::Local;
    let external_local = service.external_policy == TrafficPolicy::Local;
    Wanted { cluster: !internal_local || accessible, local: internal_local || (external_local && accessible) }
}

/// The lists of a Service port.
#[derive(Debug)]
pub(super) struct EndpointLists<F: Family> {
    pub(super) cluster: Endpoints<F>,
    pub(super) local: Endpoints<F>,
    /// There are usable endpoints, but none in the local list.
    pub(super) lacks_local: bool,
}

/// The lists of a Service port as rings, those of `old` where they are the same. `numbers` are what an endpoint goes by.
pub(super) fn lists<F: Family>(
    merged: &Merged<'_, F>,
    wanted: Wanted,
    place: &Place,
    numbers: impl Fn((F::Addr, u16)) -> (BackendId, NextHopId),
    old: &[&Endpoints<F>],
) -> EndpointLists<F> {
    let endpoints: Vec<_> = merged.values().copied().collect();
    let Lists { cluster, local, has_any } = categorize(&endpoints, wanted, place);
    let lacks_local = has_any && local.is_empty();
    let backends: Vec<Backend<F>> = merged
        .keys()
        .map(|key| {
            let (id, next_hop) = numbers(*key);
            Backend { id, addr: key.0, port: key.1, next_hop }
        })
        .collect();
    let of = |list: &[usize]| -> Vec<Backend<F>> { list.iter().map(|index| backends[*index]).collect() };
    let cluster = endpoint_list(of(&cluster), has_any, old);
    // Often both lists are the same, and then they are one ring.
    let local = endpoint_list(of(&local), has_any, &[&[&cluster], old].concat());
    EndpointLists { cluster, local, lacks_local }
}

/// All endpoints of a Service port, and what is made of them.
pub(super) fn candidates<F: Family>(
    merged: &Merged<'_, F>,
    wanted: Wanted,
    place: &Place,
    number: impl Fn((F::Addr, u16)) -> BackendId,
) -> Vec<Candidate> {
    let endpoints: Vec<_> = merged.values().copied().collect();
    let Lists { cluster, local, .. } = categorize(&endpoints, wanted, place);
    let candidates = merged.iter().enumerate().map(|(index, (key, endpoint))| Candidate {
        address: SocketAddr::new(F::to_ip(key.0), key.1),
        backend: number(*key),
        node: endpoint.node.as_deref().map(ToOwned::to_owned),
        target: endpoint.target.as_deref().map(ToOwned::to_owned),
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        local: place.holds(endpoint),
        in_cluster_list: cluster.binary_search(&index).is_ok(),
        in_local_list: local.binary_search(&index).is_ok(),
    });
    candidates.collect()
}

fn endpoint_list<F: Family>(
    backends: Vec<Backend<F>>,
    has_any: bool,
    known: &[&Endpoints<F>],
) -> Endpoints<F> {
    let same = known.iter().find_map(|known| match known {
        // Both are sorted by address and port.
        Endpoints::Ring(ring) if ring.backends() == backends => Some(ring.clone()),
        _ => None,
    });
    match same.or_else(|| Ring::build(backends)) {
        Some(ring) => Endpoints::Ring(ring),
        None if has_any => Endpoints::Drop,
        None => Endpoints::Reject,
    }
}

/// `loadBalancerSourceRanges` of one family (§3.6). If there are some, but none of this family that can be
/// read, nobody is let in; the compiler warns of that.
pub(super) fn source_ranges<F: Family>(
    service: &model::Service,
    facts: &Facts<F>,
) -> Option<Arc<Vec<Prefix<F>>>> {
    let of_family =
        service.source_ranges.as_ref()?.iter().filter_map(|net| Some((net.prefix_len(), prefix::<F>(*net)?)));
    let ranges: Vec<_> = of_family.collect();
    if ranges.iter().any(|(length, _)| *length == 0) {
        return None;
    }
    let mut ranges: Vec<Prefix<F>> = ranges.into_iter().map(|(_, range)| range).collect();
    // A process of this node that talks to the load balancer's IP may have that IP as its source.
    if facts.primary.is_some_and(|primary| ranges.iter().any(|range| range.contains(primary))) {
        let own = service.load_balancer_ips.iter().filter_map(|ip| F::from_ip(*ip));
        ranges.extend(own.map(|ip| Prefix::new(ip, u8::MAX)));
    }
    Some(Arc::new(ranges))
}
