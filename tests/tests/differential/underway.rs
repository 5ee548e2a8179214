//! Flows under way, by hand: what both gateways must make of them when their objects change (§3.12).

use penstock_tests::require_cluster;
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Plan},
    by_hand::{draining, ready, two_nodes},
    case::{Case, Stored},
    change::Change,
    kept::After,
    observe::MANY,
    places::{self, Family, Group},
    probe::{Kind, Probe},
    tries::Protocol,
    written::Written,
};

/// What happens, and to which of the backends' UDP flows that makes a difference.
struct Event {
    name: &'static str,
    spec: Value,
    changes: fn(Family) -> Vec<Change>,
    zones: [&'static str; 2],
    /// By number: these find another backend. All other flows of UDP, and all of TCP, stay where they are.
    moved: &'static [usize],
}

fn slice(family: Family) -> String {
    format!("web-{}", family.word().to_lowercase())
}

fn address(family: Family, number: u8) -> String {
    places::backend(family, number).to_string()
}

fn conditions(family: Family, conditions: Value) -> Vec<Change> {
    vec![Change::SetConditions { slice: slice(family), address: address(family, 1), conditions }]
}

fn remove(family: Family, number: u8) -> Change {
    Change::RemoveEndpoint { slice: slice(family), address: address(family, number) }
}

fn field(field: &'static str, value: Value) -> Change {
    Change::SetField { service: "web".to_owned(), field, value }
}

fn events() -> Vec<Event> {
    let event = |name, changes, moved| Event { name, spec: json!({}), changes, zones: ["zone-a"; 2], moved };
    vec![
        event("an endpoint is removed", |family| vec![remove(family, 1)], &[1]),
        event(
            "an endpoint becomes unready",
            |family| conditions(family, json!({"ready": false, "serving": false, "terminating": false})),
            &[1],
        ),
        event("an endpoint is draining", |family| conditions(family, draining()), &[]),
        event(
            "an endpoint is terminating and has stopped serving",
            |family| conditions(family, json!({"ready": false, "serving": false, "terminating": true})),
            &[1],
        ),
        event(
            "an endpoint is added",
            |family| {
                let endpoint = json!({"addresses": [address(family, 4)], "conditions": ready()});
                vec![Change::AddEndpoint { slice: slice(family), endpoint }]
            },
            &[],
        ),
        event("the slices are deleted", |family| vec![Change::DeleteSlice(slice(family))], &[]),
        event("the Service is deleted", |_| vec![Change::DeleteService("web".to_owned())], &[]),
        event(
            "the ports change",
            |_| {
                let port =
                    |place| Change::SetPort { service: "web".to_owned(), place, number: 1000 + place as u16 };
                vec![port(0), port(1)]
            },
            &[],
        ),
        event(
            "the policies change",
            |_| {
                ["internalTrafficPolicy", "externalTrafficPolicy"]
                    .map(|name| field(name, "Local".into()))
                    .to_vec()
            },
            &[],
        ),
        event(
            "clients are shut out",
            |_| vec![field("loadBalancerSourceRanges", json!(["192.0.2.0/24"]))],
            &[],
        ),
        event(
            "the balancer's address is withdrawn",
            |_| vec![Change::SetIngress { service: "web".to_owned(), ingress: json!([]) }],
            &[],
        ),
        Event {
            name: "affinity ends",
            spec: json!({"sessionAffinity": "ClientIP"}),
            changes: |_| vec![field("sessionAffinity", "None".into())],
            zones: ["zone-a"; 2],
            moved: &[],
        },
        Event {
            name: "the node's zone changes",
            spec: json!({}),
            changes: |_| Vec::new(),
            zones: ["zone-a", "zone-b"],
            moved: &[],
        },
    ]
}

impl Event {
    fn case(&self) -> Case {
        let written = Written {
            name: self.name,
            spec: self.spec.clone(),
            ingress: json!([{"ip": "203.0.113.1", "ipMode": "VIP"}]),
            endpoints: two_nodes(),
            expectations: Vec::new(),
        };
        let mut changes = Vec::new();
        for change in Family::BOTH.into_iter().flat_map(self.changes) {
            // What is done to the Service is the same for both families.
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        let mut case = Case { changes, zones: self.zones, ..written.case() };
        if self.zones[0] != self.zones[1] {
            for slice in &mut case.slices {
                for (endpoint, zone) in
                    slice["endpoints"].as_array_mut().into_iter().flatten().zip(["a", "a", "b"])
                {
                    endpoint["hints"] = json!({"forZones": [{"name": format!("zone-{zone}")}]});
                }
            }
        }
        case
    }

    fn is_moved(&self, protocol: Protocol, number: usize) -> bool {
        protocol == Protocol::Udp && self.moved.contains(&number)
    }
}

fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for family in Family::BOTH {
        for port in ["stream", "datagram"] {
            for (group, kind) in [(Group::Pod, Kind::ClusterIp), (Group::OutsideA, Kind::NodePort)] {
                let (service, port) = ("web".to_owned(), port.to_owned());
                probes.push(Probe { group, family, service, port, kind });
            }
        }
    }
    for port in ["stream", "datagram"] {
        let (service, port) = ("web".to_owned(), port.to_owned());
        let (group, kind) = (Group::OutsideA, Kind::LoadBalancer(0));
        probes.push(Probe { group, family: Family::V4, service, port, kind });
    }
    probes
}

// Items 137-141 and 143-147 of the Service rules are asked here of both; they have tests of their own.
#[test]
fn flows_under_way_outlive_what_happens_to_their_objects() {
    require_cluster!();
    let mut bench = Bench::start("psk-flow").unwrap();
    bench.kept = usize::MAX;
    let mut faults = Vec::new();
    for event in events() {
        let ask = |_: usize, _: &Stored| probes();
        let nothing = |_: usize, _: &Stored| Vec::new();
        let plan = Plan { before: &ask, after: &nothing, rounds: MANY };
        let outcome = bench.run(&[event.case()], &plan).unwrap().remove(0);
        assert_eq!((outcome.before.refused.len(), outcome.after.refused.len()), (0, 0), "{}", event.name);
        assert_eq!(outcome.survivals.len(), probes().len(), "{}", event.name);
        for survival in &outcome.survivals {
            let question = &survival.question;
            let addresses = places::backends(question.probe.family);
            for (who, seen) in [("kube-proxy", &survival.kube), ("penstock", &survival.penstock)] {
                for (backend, after) in seen {
                    let number = addresses.iter().position(|address| *address == backend.ip()).unwrap() + 1;
                    let is_moved = event.is_moved(question.destination.protocol, number);
                    let expected = if is_moved { After::Moved } else { After::Stays };
                    if !after.iter().eq([&expected]) {
                        faults.push(format!(
                            "{}: {who}: {}: flows on backend {number}: {after:?} instead of {expected:?}",
                            event.name, question.probe
                        ));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
