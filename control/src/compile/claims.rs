//! Which Service port has which VIP tuple and NodePort (§3.2).
//!
//! Two Services may claim the same one. The older wins, by creationTimestamp, then by namespace and name, and the
//! other is told; a Service without a timestamp counts as younger than one with.
//!
//! A VIP that is also an address of the node (as with load balancers that hand out node addresses) belongs to the node:
//! only its served ports are ours, so that SSH and everything else on it keep working.

use crate::{
    fault::{Fault, Problem, Severity},
    model::Service,
    objects::{ObjectKey, Subject},
};
use penstock_dataplane::{
    table::{ServiceId, Target, Transport, VipIndex, VipKind},
    wire::Family,
};
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Display,
};

/// A Service and the numbers of its ports.
pub(super) type Claimant<'c> = (&'c Service, Vec<ServiceId>);

/// The index, and the tuples of VIPs that are node addresses.
pub(super) struct Claimed<F: Family> {
    pub(super) index: VipIndex<F>,
    pub(super) node_tuples: BTreeSet<(Transport, u16)>,
    /// The addresses of those.
    pub(super) node_vips: BTreeSet<F::Addr>,
    pub(super) problems: Vec<Problem>,
}

/// Ranks Services: the first one gets what several claim.
fn rank(service: &Service) -> (i64, &ObjectKey) {
    (service.created.unwrap_or(i64::MAX), &service.key)
}

/// `external_ips` says whether external IPs may be claimed; without, they are nobody's business here.
pub(super) fn claim<F: Family>(
    mut claimants: Vec<Claimant<'_>>,
    host: &BTreeSet<F::Addr>,
    external_ips: bool,
) -> Claimed<F> {
    claimants.sort_by(|(a, _), (b, _)| rank(a).cmp(&rank(b)));
    let mut claimed = Claimed {
        index: VipIndex::default(),
        node_tuples: BTreeSet::new(),
        node_vips: BTreeSet::new(),
        problems: Vec::new(),
    };
    let mut owners = HashMap::with_capacity(claimants.len());
    let mut node_port_owners = HashMap::new();
    for (service, ids) in &claimants {
        for (vip, kind, field) in
            vips::<F>(service).filter(|(_, kind, _)| external_ips || *kind != VipKind::ExternalIp)
        {
            for (port, id) in service.ports.iter().zip(ids) {
                let tuple = (vip, port.transport, port.port);
                let owner = *owners.entry(tuple).or_insert(&service.key);
                if owner != &service.key {
                    let what = format!("{vip}:{}/{}", port.port, port.transport);
                    claimed.problems.push(lost(service, field, &what, owner));
                    continue;
                }
                // A Service may name one address twice; the first kind counts.
                let tuples = &mut claimed.index.tuples;
                if tuples.get(vip, port.transport, port.port).is_none() {
                    tuples.insert(vip, port.transport, port.port, Target { service: *id, kind });
                }
                if host.contains(&vip) {
                    claimed.node_tuples.insert((port.transport, port.port));
                    claimed.node_vips.insert(vip);
                } else {
                    let first = claimed.index.addresses.entry(vip).or_insert(kind);
                    *first = kind.min(*first);
                }
            }
        }
        for (index, (port, id)) in service.ports.iter().zip(ids).enumerate() {
            let Some(number) = port.node_port else { continue };
            let owner = *node_port_owners.entry((port.transport, number)).or_insert(&service.key);
            if owner == &service.key {
                claimed.index.node_ports.entry((port.transport, number)).or_insert(*id);
            } else {
                let field = format!("spec.ports[{index}].nodePort");
                claimed.problems.push(lost(service, &field, &format!("{number}/{}", port.transport), owner));
            }
        }
    }
    claimed
}

/// The VIPs of one family; none without a cluster IP of it (§3.1).
fn vips<F: Family>(service: &Service) -> impl Iterator<Item = (F::Addr, VipKind, &'static str)> {
    let of_family = |ips: &[std::net::IpAddr], kind, field| -> Vec<_> {
        ips.iter().filter_map(|ip| Some((F::from_ip(*ip)?, kind, field))).collect()
    };
    let cluster = of_family(&service.cluster_ips, VipKind::ClusterIp, "spec.clusterIPs");
    let external = of_family(&service.external_ips, VipKind::ExternalIp, "spec.externalIPs");
    let balanced =
        of_family(&service.load_balancer_ips, VipKind::LoadBalancerIp, "status.loadBalancer.ingress");
    let served = !cluster.is_empty();
    cluster.into_iter().chain(external).chain(balanced).filter(move |_| served)
}

fn lost(service: &Service, field: &str, what: &str, owner: &dyn Display) -> Problem {
    let message = format!(
        "{what} belongs to Service {owner}, which is older or comes first by name; it is not served here"
    );
    Problem {
        severity: Severity::Warning,
        origin: None,
        object: Some(Subject::service(&service.key)),
        fault: Fault { path: field.to_owned(), message },
    }
}
