//! What of the world's traffic is ours: VIPs, NodePorts, and what decides about masquerading by source.

use super::{
    changes::Captured,
    claims::{Claimed, claim},
    environment::{Environment, family, prefix},
    family::{Entry, FamilyTables, Shared},
    node_ports::node_port_addresses,
};
use crate::{
    fault::{Fault, Problem, Severity},
    model::{IpFamily, Node},
    objects::Subject,
};
use penstock_dataplane::{
    table::{Locality, Transport, VipIndex},
    wire::Family,
};
use std::{collections::BTreeSet, sync::Arc};

impl<F: Family> FamilyTables<F> {
    pub(super) fn capture(&mut self, environment: &Environment, node: Option<&Node>, shared: &mut Shared) {
        let host = environment.host::<F>(node);
        if std::mem::take(&mut self.claims_differ) || host != self.host {
            self.host = host;
            let claimants = self.services.values().map(|entry| {
                let ids = entry.ports.iter().map(|port| port.record.id).collect();
                (entry.joined.service.as_ref(), ids)
            });
            let Claimed { mut index, node_tuples, node_vips, problems } =
                claim(claimants.collect(), &self.host, environment.settings.allow_external_ips);
            index.node_addresses.clone_from(&self.index.node_addresses);
            index.departed.clone_from(&self.index.departed);
            self.replace_index(index, node_tuples, shared);
            self.node_vips = node_vips;
            self.index_problems = problems;
        }
        let index = &self.index;
        let is_vip =
            |address: F::Addr| index.addresses.contains_key(&address) || self.node_vips.contains(&address);
        let addresses = node_port_addresses::<F>(environment, &self.host, node, &is_vip);
        if !addresses.iter().eq(index.node_addresses.iter().collect::<BTreeSet<_>>()) {
            let mut index = VipIndex::clone(index);
            index.node_addresses = addresses.into_iter().collect();
            self.index = Arc::new(index);
        }
        self.mark_departed();
    }

    pub(super) fn localize(&mut self, environment: &Environment) {
        let locality = Locality {
            pods: environment.detector(),
            host: self.host.iter().copied().collect(),
            masquerade_all: environment.settings.masquerade_all,
            service_cidrs: environment
                .settings
                .service_cidrs
                .iter()
                .filter_map(|cidr| prefix(*cidr))
                .collect(),
        };
        if locality != *self.locality {
            self.locality = Arc::new(locality);
        }
        let pool: Vec<_> =
            environment.settings.snat_addresses.iter().filter_map(|ip| F::from_ip(*ip)).collect();
        if *pool != *self.snat_addresses {
            self.snat_addresses = pool.into();
        }
        let peers = environment.peers();
        if peers != *self.peers {
            self.peers = Arc::new(peers);
        }
    }

    /// What is right, but not what its author may expect.
    pub(super) fn warn(&self, shared: &mut Shared) {
        shared.problems.extend(self.index_problems.iter().cloned());
        let family = family::<F>();
        for key in &self.closed {
            let message =
                format!("none is an {family} range, so nobody may use the {family} load-balancer IPs");
            shared.problems.push(Problem {
                severity: Severity::Warning,
                origin: None,
                object: Some(Subject::service(key)),
                fault: Fault { path: "spec.loadBalancerSourceRanges".into(), message },
            });
        }
    }

    /// Adds what the classifier should know of this family, but for what is kept up to date.
    pub(super) fn captured(&self, captured: &mut Captured) {
        captured.node_addresses.extend(self.host.iter().map(|address| F::to_ip(*address)));
        self.captured_departed(captured);
        captured.snat_addresses.extend(self.snat_addresses.iter().map(|address| F::to_ip(*address)));
    }
}

/// Whether a Service has load-balancer IPs of the family that nobody may use.
pub(super) fn is_closed<F: Family>(entry: &Entry<F>) -> bool {
    let ranges = entry.ports.iter().map(|port| port.record.source_ranges.as_ref());
    let closed = ranges.into_iter().any(|ranges| ranges.is_some_and(|ranges| ranges.is_empty()));
    closed && entry.joined.service.load_balancer_ips.iter().any(|ip| F::from_ip(*ip).is_some())
}

pub(super) fn of_family<F: Family>((transport, port): &(Transport, u16)) -> (IpFamily, Transport, u16) {
    (family::<F>(), *transport, *port)
}
