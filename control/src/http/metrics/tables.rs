//! What came of the objects: counted after each sync.

use crate::{
    compile::{Compiler, PortView},
    fault::{Problem, Severity},
    model::IpFamily,
};
use penstock_dataplane::table::TrafficPolicy;
use std::{collections::BTreeSet, net::SocketAddr};

/// Numbers of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilyFacts {
    /// Service ports served.
    pub service_ports: u64,
    /// Distinct endpoints (address, port) behind them.
    pub backends: u64,
    /// Service ports with `internalTrafficPolicy: Local` whose endpoints are all elsewhere.
    pub no_local_internal: u64,
    /// The same of `externalTrafficPolicy: Local`.
    pub no_local_external: u64,
}

/// Numbers of all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableFacts {
    /// IPv4.
    pub v4: FamilyFacts,
    /// IPv6.
    pub v6: FamilyFacts,
    /// Objects' errors: their last good version is served, if there was one.
    pub errors: u64,
    /// Objects' warnings.
    pub warnings: u64,
}

impl TableFacts {
    /// Counts what is compiled and what is wrong.
    pub fn count(compiler: &Compiler, problems: &[&Problem]) -> Self {
        let mut facts = Self::default();
        let mut backends: BTreeSet<(IpFamily, SocketAddr)> = BTreeSet::new();
        for port in compiler.ports() {
            let family = match port.family {
                IpFamily::V4 => &mut facts.v4,
                IpFamily::V6 => &mut facts.v6,
            };
            family.service_ports += 1;
            family.no_local_internal += u64::from(lacks_local(&port, port.service.internal_policy));
            let reached_from_outside = port.port.node_port.is_some()
                || !port.service.load_balancer_ips.is_empty()
                || !port.service.external_ips.is_empty();
            family.no_local_external +=
                u64::from(reached_from_outside && lacks_local(&port, port.service.external_policy));
            backends.extend(port.candidates.iter().map(|candidate| (port.family, candidate.address)));
        }
        facts.v4.backends = backends.iter().filter(|(family, _)| *family == IpFamily::V4).count() as u64;
        facts.v6.backends = backends.len() as u64 - facts.v4.backends;
        let of = |severity| problems.iter().filter(|problem| problem.severity == severity).count() as u64;
        (facts.errors, facts.warnings) = (of(Severity::Error), of(Severity::Warning));
        facts
    }
}

/// Whether the policy asks for local endpoints and there are only others. A Service without any is not counted: that
/// is nobody's placement.
fn lacks_local(port: &PortView<'_>, policy: TrafficPolicy) -> bool {
    let usable = |candidate: &&crate::compile::Candidate| {
        candidate.ready || (candidate.serving && candidate.terminating)
    };
    policy == TrafficPolicy::Local
        && port.candidates.iter().any(|candidate| usable(&candidate))
        && !port.candidates.iter().any(|candidate| candidate.in_local_list)
}
