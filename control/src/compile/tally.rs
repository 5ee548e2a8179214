//! Counts of what is compiled, kept as it changes: what metrics show.

use super::family::Entry;
use penstock_dataplane::{table::TrafficPolicy, wire::Family};
use std::ops::{AddAssign, SubAssign};

/// Numbers of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Service ports served.
    pub service_ports: u64,
    /// Distinct backends (protocol, address, port) of them, ready or not.
    pub backends: u64,
    /// Service ports with `internalTrafficPolicy: Local` whose endpoints are all elsewhere. A Service without any is not
    /// counted: that is nobody's placement.
    pub no_local_internal: u64,
    /// The same of `externalTrafficPolicy: Local`, of Services that are reached from outside.
    pub no_local_external: u64,
}

impl Tally {
    /// What a Service adds, but for its backends, which it may share.
    pub(super) fn of<F: Family>(entry: &Entry<F>) -> Self {
        let service = &entry.joined.service;
        let mut tally = Self::default();
        for (port, given) in entry.ports.iter().zip(&service.ports) {
            let is_reached_from_outside = given.node_port.is_some()
                || !service.load_balancer_ips.is_empty()
                || !service.external_ips.is_empty();
            let lacks = |policy| port.lacks_local && policy == TrafficPolicy::Local;
            tally.service_ports += 1;
            tally.no_local_internal += u64::from(lacks(service.internal_policy));
            tally.no_local_external += u64::from(is_reached_from_outside && lacks(service.external_policy));
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.service_ports += other.service_ports;
        self.backends += other.backends;
        self.no_local_internal += other.no_local_internal;
        self.no_local_external += other.no_local_external;
    }
}

impl SubAssign for Tally {
    fn sub_assign(&mut self, other: Self) {
        self.service_ports -= other.service_ports;
        self.backends -= other.backends;
        self.no_local_internal -= other.no_local_internal;
        self.no_local_external -= other.no_local_external;
    }
}
