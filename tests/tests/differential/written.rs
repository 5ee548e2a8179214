//! A case as a person writes it: one Service with a port of each protocol, its endpoints by number, and what must come
//! of flows to it.

use serde_json::{Value, json};

use crate::{
    case::Case,
    observe::{Observation, Source},
    places::{self, Family, Group},
    probe::{Kind, Probe},
};

/// What both must do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Backends by number, and what they see.
    Served(&'static [usize], Source),
    Rejected,
    Dropped,
}

/// From whom, to what, and what must come of it.
pub type Expectation = (Group, Kind, Verdict);

pub struct Written {
    pub name: &'static str,
    /// Further fields of the Service's `spec`.
    pub spec: Value,
    /// Fields of the load balancer's addresses.
    pub ingress: Value,
    /// Backends by number: the node they are on, and their conditions.
    pub endpoints: Vec<(usize, &'static str, Value)>,
    pub expectations: Vec<Expectation>,
}

impl Written {
    /// A Service with a port of each protocol, and an address of each family.
    pub fn case(&self) -> Case {
        let mut spec = json!({
            "type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"],
            "ports": [
                {"name": "stream", "protocol": "TCP", "port": 80},
                {"name": "datagram", "protocol": "UDP", "port": 53},
                {"name": "association", "protocol": "SCTP", "port": 90},
            ],
        });
        for (name, value) in self.spec.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        let service = json!({
            "metadata": {"name": "web"}, "spec": spec,
            "status": {"loadBalancer": {"ingress": self.ingress}},
        });
        let slice = |family: Family| {
            let addresses = places::backends(family);
            let endpoints = self.endpoints.iter().map(|(number, node, conditions)| {
                json!({"addresses": [addresses[number - 1]], "nodeName": node, "conditions": conditions})
            });
            json!({
                "metadata": {
                    "name": format!("web-{}", family.word().to_lowercase()),
                    "labels": {"kubernetes.io/service-name": "web"},
                },
                "addressType": family.word(),
                "ports": [
                    {"name": "stream", "protocol": "TCP", "port": 8080},
                    {"name": "datagram", "protocol": "UDP", "port": 8081},
                    {"name": "association", "protocol": "SCTP", "port": 8082},
                ],
                "endpoints": endpoints.collect::<Vec<_>>(),
            })
        };
        let slices = Family::BOTH.map(slice).to_vec();
        Case { services: vec![service], slices, zones: ["zone-a"; 2], ..Case::default() }
    }

    pub fn probes(&self) -> Vec<Probe> {
        let mut probes = Vec::new();
        for (group, kind, _) in &self.expectations {
            for family in Family::BOTH {
                for port in ["stream", "datagram", "association"] {
                    let (service, port) = ("web".to_owned(), port.to_owned());
                    probes.push(Probe { group: *group, family, service, port, kind: *kind });
                }
            }
        }
        probes
    }

    pub fn verdict(&self, probe: &Probe) -> Option<Verdict> {
        let mut expectations = self.expectations.iter();
        let found = expectations.find(|(group, kind, _)| *group == probe.group && *kind == probe.kind);
        found.map(|(_, _, verdict)| *verdict)
    }
}

/// Whether this was seen.
pub fn is(verdict: Verdict, probe: &Probe, seen: &Observation) -> bool {
    let mut numbers: Vec<usize> = Vec::new();
    for (index, address) in places::backends(probe.family).into_iter().enumerate() {
        if seen.backends.iter().any(|backend| backend.ip() == address) {
            numbers.push(index + 1);
        }
    }
    let (expected, source, rejected, silent) = match verdict {
        Verdict::Served(numbers, source) => (numbers, Some(source), false, false),
        Verdict::Rejected => (&[][..], None, true, false),
        Verdict::Dropped => (&[][..], None, false, true),
    };
    numbers == expected
        && seen.sources.union(&seen.hairpin).copied().eq(source)
        && (seen.rejected, seen.silent) == (rejected, silent)
        && seen.odd.is_empty()
}
