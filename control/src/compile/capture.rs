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
    table::{Locality, TrafficPolicy, Transport, VipIndex},
    wire::Family,
};
use std::{collections::BTreeSet, sync::Arc};

impl<F: Family> FamilyTables<F> {
    pub(super) fn capture(&mut self, environment: &Environment, node: Option<&Node>, claims_differ: bool) {
        let host = environment.host::<F>(node);
        if claims_differ || host != self.host {
            self.host = host;
            let claimants = self.services.values().map(|entry| {
                let ids = entry.ports.iter().map(|port| port.record.id).collect();
                (entry.joined.service.as_ref(), ids)
            });
            let Claimed { mut index, node_tuples, problems } =
                claim(claimants.collect(), &self.host, environment.settings.allow_external_ips);
            index.node_addresses.clone_from(&self.index.node_addresses);
            index.departed.clone_from(&self.index.departed);
            self.replace_index(index, node_tuples);
            self.index_problems = problems;
        }
        let index = &self.index;
        let is_vip = |address: F::Addr| index.tuples.keys().any(|(vip, _, _)| *vip == address);
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
        for entry in self.services.values() {
            let service = &entry.joined.service;
            let closed = entry
                .ports
                .iter()
                .any(|port| port.record.source_ranges.as_ref().is_some_and(|r| r.is_empty()));
            if closed && service.load_balancer_ips.iter().any(|ip| F::from_ip(*ip).is_some()) {
                let family = family::<F>();
                let message =
                    format!("none is an {family} range, so nobody may use the {family} load-balancer IPs");
                shared.problems.push(Problem {
                    severity: Severity::Warning,
                    origin: None,
                    object: Some(Subject::service(&service.key)),
                    fault: Fault { path: "spec.loadBalancerSourceRanges".into(), message },
                });
            }
        }
    }

    /// Adds what the classifier should know of this family.
    pub(super) fn captured(&self, environment: &Environment, captured: &mut Captured) {
        // Collected first and appended whole: much cheaper than one by one.
        let mut vips = self.index.addresses.keys().map(|vip| F::to_ip(*vip)).collect();
        captured.vips.append(&mut vips);
        captured.node_addresses.extend(self.host.iter().map(|address| F::to_ip(*address)));
        let ports = self.index.node_ports.keys().chain(&self.node_tuples);
        captured.node_ports.extend(ports.map(of_family::<F>));
        self.captured_departed(captured);
        captured.snat_addresses.extend(self.snat_addresses.iter().map(|address| F::to_ip(*address)));
        let mut backends = match environment.settings.masquerade_all {
            // Cluster-IP traffic of pods, or of everybody without a detector, keeps its source (§3.7).
            false => self.next_hops.addresses().map(F::to_ip).collect(),
            true => {
                let keeps_clients =
                    |entry: &&Entry<F>| entry.joined.service.external_policy == TrafficPolicy::Local;
                let ports = self.services.values().filter(keeps_clients).flat_map(|entry| &entry.ports);
                let now = ports.flat_map(|port| port.held.keys()).map(|(addr, _)| F::to_ip(*addr));
                now.chain(self.next_hops.lingering().map(|(address, _)| F::to_ip(address))).collect()
            }
        };
        captured.backends.append(&mut backends);
        captured.backend_ports.extend(self.backend_ports.iter().map(of_family::<F>));
    }
}

pub(super) fn of_family<F: Family>((transport, port): &(Transport, u16)) -> (IpFamily, Transport, u16) {
    (family::<F>(), *transport, *port)
}
