//! The property: whatever the way to a world, its tables are those of a compiler that sees it for the first time,
//! but for the numbers.

use super::world::*;
use crate::{
    compile::{Compiled, Compiler, Tally},
    config::NodePortAddresses,
    model::Model,
};
use penstock_dataplane::{
    table::{Endpoints, Tables},
    wire::Family,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The tables without numbers.
#[derive(Debug, PartialEq)]
struct Plain {
    tuples: BTreeMap<String, String>,
    addresses: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
    locality: String,
}

fn plain<F: Family>(tables: &Tables<F>) -> Plain {
    let name = |id| tables.service(id).map_or("nothing".to_owned(), |service| service.name.to_string());
    let lists = |endpoints: &Endpoints<F>| match endpoints {
        Endpoints::Ring(ring) => {
            let backends = ring.backends().iter().map(|backend| {
                let next_hop = tables.next_hop(backend.next_hop);
                (backend.addr, backend.port, next_hop)
            });
            format!("{:?} {:?}", backends.collect::<Vec<_>>(), ring.slots().collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    };
    let mut tuples = BTreeMap::new();
    for (tuple, target) in tables.vips.tuples.iter() {
        tuples.insert(format!("{tuple:?}"), format!("{:?} {}", target.kind, name(target.service)));
    }
    for (tuple, service) in &tables.vips.node_ports {
        tuples.insert(format!("{tuple:?}"), name(*service));
    }
    let mut addresses: BTreeMap<_, _> =
        tables.vips.addresses.iter().map(|(vip, kind)| (vip.to_string(), format!("{kind:?}"))).collect();
    addresses
        .extend(tables.vips.node_addresses.iter().map(|address| (format!("node {address}"), String::new())));
    let services = tables.services.iter().flatten().map(|service| {
        assert_eq!(
            tables.service(service.id).map(|found| &found.name),
            Some(&service.name),
            "it is in its place"
        );
        let policies =
            (service.internal_policy, service.external_policy, service.affinity, &service.source_ranges);
        (
            service.name.to_string(),
            format!("{} | {} | {policies:?}", lists(&service.cluster), lists(&service.local)),
        )
    });
    let mut host: Vec<_> = tables.locality.host.iter().map(ToString::to_string).collect();
    host.sort();
    let locality = format!("{:?} {host:?} {:?}", tables.locality.pods, tables.snat_addresses);
    Plain { tuples, addresses, services: services.collect(), locality }
}

/// One change of the world.
#[derive(Debug, Clone)]
enum Step {
    Service { name: u8, vip: u8, shape: u8 },
    NoService(u8),
    Slice { name: u8, service: u8, endpoints: Vec<(u8, u8)>, port: u8 },
    NoSlice(u8),
    Zone(u8),
    Address(u8),
    NodePorts(u8),
    Masquerade,
    Resolve,
    Forget,
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8, 0..3u8, 0..6u8).prop_map(|(name, vip, shape)| Step::Service { name, vip, shape }),
        1 => (0..4u8).prop_map(Step::NoService),
        8 => (0..5u8, 0..4u8, prop::collection::vec((0..6u8, 0..5u8), 0..5), 0..3u8)
            .prop_map(|(name, service, endpoints, port)| Step::Slice { name, service, endpoints, port }),
        1 => (0..5u8).prop_map(Step::NoSlice),
        1 => (0..3u8).prop_map(Step::Zone),
        1 => (0..3u8).prop_map(Step::Address),
        1 => (0..3u8).prop_map(Step::NodePorts),
        1 => Just(Step::Masquerade),
        2 => Just(Step::Resolve),
        1 => Just(Step::Forget),
        2 => Just(Step::Release),
    ]
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Service { name, vip, shape } => {
            let ips = format!("clusterIP: 10.96.0.{name}, clusterIPs: [10.96.0.{name}, 'fd00::{name}']");
            let port = format!("port: 8{shape}, nodePort: 3008{vip}");
            let (kind, policy) = match shape {
                0 => ("NodePort", "externalTrafficPolicy: Local"),
                1 => ("NodePort", "internalTrafficPolicy: Local"),
                2 => ("LoadBalancer", "loadBalancerSourceRanges: [10.0.0.0/8]"),
                3 => ("NodePort", "sessionAffinity: ClientIP"),
                4 => ("LoadBalancer", "internalTrafficPolicy: Local, externalTrafficPolicy: Local"),
                _ => ("LoadBalancer", "sessionAffinity: None"),
            };
            let ports = match shape {
                5 => format!("{{name: a, {port}}}, {{name: b, port: 99, protocol: UDP}}"),
                _ => format!("{{{port}}}"),
            };
            let spec =
                format!("type: {kind}, {ips}, {policy}, externalIPs: [198.51.100.{vip}], ports: [{ports}]");
            let ingress = format!("loadBalancer: {{ingress: [{{ip: 192.0.2.{vip}}}]}}");
            world.service_with(
                &format!("s{name}"),
                "",
                &spec,
                if kind == "LoadBalancer" { &ingress } else { "" },
            );
        }
        Step::NoService(name) => {
            world.remove_service(&format!("s{name}"));
        }
        Step::Slice { name, service, endpoints, port } => {
            let endpoints = endpoints.iter().map(|(address, state)| {
                let state = match state {
                    0 => "conditions: {ready: false, serving: true, terminating: true}",
                    1 => "conditions: {ready: false, serving: false}, nodeName: n1",
                    2 => "nodeName: n1, hints: {forZones: [{name: z1}]}",
                    3 => "hints: {forZones: [{name: z2}]}",
                    _ => "nodeName: n2",
                };
                format!("{{addresses: [10.0.0.{address}], {state}}}")
            });
            let endpoints: Vec<_> = endpoints.collect();
            let port = match port {
                0 => "{name: '', port: 8080}",
                1 => "{name: a, port: 8080}, {name: b, port: 99, protocol: UDP}",
                _ => "{name: '', port: 9090}, {name: a, port: 9090}",
            };
            world.slice(&format!("x{name}"), &format!("s{service}"), &endpoints.join(", "), port);
        }
        Step::NoSlice(name) => {
            world.remove_slice(&format!("x{name}"));
        }
        Step::Zone(zone) => {
            world.node("n1", &format!("z{zone}"), "{type: InternalIP, address: 192.0.2.1}");
        }
        Step::Address(number) => {
            let address = ip(&format!("192.0.2.{number}"));
            if !world.environment.node_addresses.remove(&address) {
                world.environment.node_addresses.insert(address);
            }
        }
        Step::NodePorts(which) => {
            world.environment.settings.node_port_addresses = match which {
                0 => NodePortAddresses::Primary,
                1 => NodePortAddresses::Cidrs(vec!["192.0.2.0/31".parse().unwrap()]),
                _ => NodePortAddresses::Cidrs(Vec::new()),
            }
        }
        Step::Masquerade => {
            let all = &mut world.environment.settings.masquerade_all;
            *all = !*all;
        }
        Step::Resolve => {
            world.resolve();
        }
        Step::Forget => world.compiler.forget(&world.compiler.lingering()),
        Step::Release => {
            world.release();
        }
    }
}

/// A compilation of the same world by a compiler that has seen nothing.
fn afresh(world: &World) -> (Compiled, Compiler) {
    let mut model = Model::default();
    model.update(&world.objects);
    let mut compiler = Compiler::new();
    (compiler.compile(&model, &world.environment), compiler)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn step_by_step_comes_to_the_same(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in &steps {
            take(&mut world, step);
            let compiled = world.compile();
            let (afresh, compiler) = afresh(&world);
            prop_assert_eq!(plain(&compiled.snapshot.v4), plain(&afresh.snapshot.v4), "after {:?}", step);
            prop_assert_eq!(plain(&compiled.snapshot.v6), plain(&afresh.snapshot.v6), "after {:?}", step);
            prop_assert_eq!(&compiled.captured.vips, &afresh.captured.vips);
            prop_assert_eq!(&compiled.captured.node_ports, &afresh.captured.node_ports);
            prop_assert_eq!(&compiled.problems, &afresh.problems);
            // Where a UDP Service has lost its last endpoint, that one is still held.
            let counted = |compiler: &Compiler| compiler.tallies().map(|tally| Tally { backends: 0, ..tally });
            prop_assert_eq!(counted(&world.compiler), counted(&compiler));
            for (wanted, here) in [(compiler.targets(), world.compiler.targets()),
                (afresh.captured.backends.clone(), compiled.captured.backends.clone())] {
                prop_assert!(wanted.is_subset(&here), "{:?} is not in {:?}", wanted, here);
            }
            // No two backends share a number.
            let mut numbers = BTreeMap::new();
            for candidate in world.compiler.ports().flat_map(|port| {
                let transport = port.port.transport;
                port.candidates.into_iter().map(move |candidate| (candidate.backend, transport, candidate.address))
            }) {
                let other = numbers.insert(candidate.0, (candidate.1, candidate.2));
                prop_assert!(other.is_none_or(|other| other == (candidate.1, candidate.2)));
            }
        }
    }
}
