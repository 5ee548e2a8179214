//! What stays, what moves and what is told when the world changes.

use super::world::*;
use crate::{
    compile::{Compiled, Lingering},
    model::IpFamily,
};
use penstock_dataplane::{
    table::{Endpoints, NextHopId, Ring, Transport},
    wire::V4,
    xdp::{AddressFlags, FamilyPort},
};
use std::sync::Arc;

const WEB: &str = "clusterIP: 10.96.0.1, ports: [{port: 80}]";
const API: &str = "clusterIP: 10.96.0.2, ports: [{port: 80}]";
const PORT: &str = "{name: '', port: 8080}";

fn endpoints(numbers: &[u8]) -> String {
    numbers.iter().map(|n| format!("{{addresses: [10.0.0.{n}]}}, ")).collect()
}

fn ring(compiled: &Compiled, vip: &str) -> Ring<V4> {
    match &serving::<V4>(&compiled.snapshot.v4, vip, 80).unwrap().cluster {
        Endpoints::Ring(ring) => ring.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_of_one_service_leaves_the_others_alone() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    world.service("api", API).slice("a", "api", &endpoints(&[3, 4]), PORT);
    let before = world.compile();
    world.slice("w", "web", &endpoints(&[1, 2, 5]), PORT);
    let after = world.compile();
    assert!(ring(&before, "10.96.0.2").is_same(&ring(&after, "10.96.0.2")));
    assert!(Arc::ptr_eq(&before.snapshot.v4.vips, &after.snapshot.v4.vips));
    assert!(before.snapshot.v6.services.is_same(&after.snapshot.v6.services));
    assert_eq!(ring(&after, "10.96.0.1").backends().len(), 3);
    let changes = after.changes;
    assert_eq!(
        (changes.added.backends.len(), changes.removed.backends.len(), changes.changed.len()),
        (1, 0, 1)
    );
    assert_eq!(changes.to_string(), "+1 backends (10.0.0.5:8080/TCP), 1 service ports changed");
}

#[test]
fn nothing_new_is_nothing_changed() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    let before = world.compile();
    let after = world.compile();
    assert!(after.changes.is_empty());
    let (a, b) = (&before.snapshot.v4, &after.snapshot.v4);
    assert!(Arc::ptr_eq(&a.vips, &b.vips) && a.services.is_same(&b.services));
    assert!(a.next_hops.is_same(&b.next_hops) && Arc::ptr_eq(&a.locality, &b.locality));
    assert!(Arc::ptr_eq(&a.snat_addresses, &b.snat_addresses));
}

#[test]
fn both_lists_are_one_ring_where_they_are_the_same() {
    let mut world = World::new();
    world.service(
        "web",
        "clusterIP: 10.96.0.1, externalIPs: [203.0.113.1], externalTrafficPolicy: Local, ports: [{port: 80}]",
    );
    world.slice("w", "web", "{addresses: [10.0.0.1], nodeName: n1}", PORT);
    let compiled = world.compile();
    let service = serving::<V4>(&compiled.snapshot.v4, "10.96.0.1", 80).unwrap();
    match (&service.cluster, &service.local) {
        (Endpoints::Ring(cluster), Endpoints::Ring(local)) => assert!(cluster.is_same(local)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_stay_and_are_given_again_only_when_released() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    let ids = |compiled: &Compiled| -> Vec<u32> {
        ring(compiled, "10.96.0.1").backends().iter().map(|backend| backend.id.0).collect()
    };
    assert_eq!(ids(&world.compile()), [0, 1]);
    world.slice("w", "web", &endpoints(&[2]), PORT);
    assert_eq!(ids(&world.compile()), [1]);
    world.slice("w", "web", &endpoints(&[2, 3]), PORT);
    assert_eq!(ids(&world.compile()), [1, 2], "0 may still be in use");
    world.release();
    world.slice("w", "web", &endpoints(&[2, 3, 4]), PORT);
    assert_eq!(ids(&world.compile()), [1, 2, 0]);
    // The same for Services.
    world.service("api", API);
    assert_eq!(serving::<V4>(&world.compile().snapshot.v4, "10.96.0.2", 80).unwrap().id.0, 1);
    world.remove_service("web");
    let compiled = world.compile();
    assert_eq!(serving::<V4>(&compiled.snapshot.v4, "10.96.0.2", 80).unwrap().id.0, 1);
    assert!(compiled.snapshot.v4.services[0].is_none());
}

#[test]
fn two_services_share_a_backend_and_its_number() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1]), PORT);
    world.service("api", API).slice("a", "api", &endpoints(&[1]), PORT);
    let compiled = world.compile();
    assert_eq!(ring(&compiled, "10.96.0.1").backends(), ring(&compiled, "10.96.0.2").backends());
    assert_eq!(compiled.changes.added.backends.len(), 1);
    world.remove_service("web");
    assert!(world.compile().changes.removed.backends.is_empty(), "the other still has it");
}

// S-140: the way to a backend that is gone stays, for the flows that go there.
#[test]
fn ways_outlive_their_backends() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    world.compile();
    assert_eq!(world.compiler.targets(), persistent([ip("10.0.0.1"), ip("10.0.0.2")]));
    world.resolve();
    let compiled = world.compile();
    let way_of = |compiled: &Compiled, id| {
        compiled.snapshot.v4.next_hop(NextHopId(id)).link.map(|l| l.destination.0[5])
    };
    assert_eq!((way_of(&compiled, 0), way_of(&compiled, 1)), (Some(1), Some(2)));

    world.slice("w", "web", &endpoints(&[2]), PORT);
    let compiled = world.compile();
    assert_eq!(way_of(&compiled, 0), Some(1));
    assert_eq!(world.compiler.targets().len(), 2, "it is still kept resolved");
    world.compiler.forget(&Lingering::default());
    assert_eq!(way_of(&world.compile(), 0), Some(1), "a flow still uses it");
    let unused = world.compiler.lingering();
    assert_eq!(unused.backends.keys().copied().collect::<Vec<_>>(), [ip("10.0.0.1")]);
    world.compiler.forget(&unused);
    assert_eq!(way_of(&world.compile(), 0), None);
    assert_eq!(world.compiler.targets(), persistent([ip("10.0.0.2")]));
    // A backend with the number of one that is gone gets its own way.
    world.release();
    world.slice("w", "web", &endpoints(&[2, 7]), PORT);
    world.compile();
    world.resolve();
    let compiled = world.compile();
    assert_eq!(way_of(&compiled, 0), Some(7));
    assert_eq!(ring(&compiled, "10.96.0.1").backends()[1].next_hop, NextHopId(0));
}

#[test]
fn a_moved_way_is_one_write() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    world.compile();
    world.resolve();
    let before = world.compile();
    world.environment.ways.insert(ip("10.0.0.1"), way(ip("10.0.0.99")).into());
    let after = world.compile();
    assert!(before.snapshot.v4.services.is_same(&after.snapshot.v4.services));
    assert_eq!(after.snapshot.v4.next_hops[0].link.unwrap().destination.0[5], 99);
    assert_eq!(after.snapshot.v4.next_hops[1], before.snapshot.v4.next_hops[1]);
}

const DNS: &str = "clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]";
const DNS_PORT: &str = "{name: '', port: 53, protocol: UDP}";
const GOING: &str = "conditions: {ready: false, serving: true, terminating: true}";

// S-143, S-144, S-145
#[test]
fn udp_flows_look_for_another_backend_when_theirs_serves_no_more() {
    let mut world = World::new();
    world.service("dns", DNS).slice("d", "dns", &endpoints(&[1, 2]), DNS_PORT);
    let retired =
        |world: &mut World| world.compile().changes.retired.iter().map(|r| r.backend.0).collect::<Vec<_>>();
    assert_eq!(retired(&mut world), [0; 0]);
    world.slice(
        "d",
        "dns",
        &format!("{{addresses: [10.0.0.1], {GOING}}}, {{addresses: [10.0.0.2]}}"),
        DNS_PORT,
    );
    assert_eq!(retired(&mut world), [0; 0], "it still serves");
    world.slice("d", "dns", &endpoints(&[2]), DNS_PORT);
    assert_eq!(retired(&mut world), [0]);
    world.slice("d", "dns", "", DNS_PORT);
    assert_eq!(retired(&mut world), [0; 0], "with nobody left, flows stay where they are");
    world.release();
    world.slice("d", "dns", &endpoints(&[3]), DNS_PORT);
    assert_eq!(retired(&mut world), [1], "until somebody comes");
    world.slice("d", "dns", &endpoints(&[3, 4]), DNS_PORT);
    assert_eq!(retired(&mut world), [0; 0]);
}

// S-148
#[test]
fn tcp_flows_are_left_alone() {
    let mut world = World::new();
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    world.compile();
    world.slice("w", "web", &endpoints(&[2]), PORT);
    assert!(world.compile().changes.retired.is_empty());
}

#[test]
fn people_are_told_about_every_endpoint() {
    let mut world = World::new();
    world.service("web", WEB);
    world.slice(
        "w",
        "web",
        &format!("{{addresses: [10.0.0.1], nodeName: n1}}, {{addresses: [10.0.0.2], {GOING}}}"),
        PORT,
    );
    world.compile();
    let port = world.compiler.ports().next().unwrap();
    assert_eq!((port.service.key.name.as_str(), port.port.port, port.candidates.len()), ("web", 80, 2));
    assert!(port.candidates[0].in_cluster_list && port.candidates[0].local);
    assert!(!port.candidates[1].in_cluster_list && port.candidates[1].terminating);
}

const STICKY: &str = "clusterIP: 10.96.0.1, sessionAffinity: ClientIP, ports: [{port: 80}]";

/// The numbers of the backends 10.0.0.1 to 10.0.0.3 for affinity records.
fn stays(compiled: &Compiled) -> [Option<u64>; 3] {
    let service = serving::<V4>(&compiled.snapshot.v4, "10.96.0.1", 80).unwrap();
    let of = |last| service.pins.of(std::net::Ipv4Addr::new(10, 0, 0, last), 8080).map(|pin| pin.0);
    [of(1), of(2), of(3)]
}

// S-135, S-136, S-138, S-210
#[test]
fn each_stay_of_a_backend_has_its_own_number() {
    let mut world = World::new();
    world.service("web", STICKY).slice("w", "web", &endpoints(&[1, 2]), PORT);
    let first = stays(&world.compile());
    assert!(matches!(first, [Some(_), Some(_), None]), "{first:?}");
    world.slice("w", "web", &endpoints(&[1, 2, 3]), PORT);
    let third = stays(&world.compile());
    assert_eq!(third[..2], first[..2]);
    // Not ready, gone, and only lingering beside ready ones: it has left the lists, whatever the reason.
    for without in [
        "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}".to_owned(),
        endpoints(&[1]),
        format!("{{addresses: [10.0.0.1]}}, {{addresses: [10.0.0.2], {GOING}}}"),
    ] {
        let before = stays(&world.compile());
        world.slice("w", "web", &without, PORT);
        assert_eq!(stays(&world.compile()), [first[0], None, None]);
        world.slice("w", "web", &endpoints(&[1, 2, 3]), PORT);
        let after = stays(&world.compile());
        assert!(after[1] > before[1] && after[2] > before[2] && after[0] == first[0], "{before:?} {after:?}");
    }
    world.service("web", WEB);
    assert_eq!(stays(&world.compile()), [None; 3]);
    world.service("web", STICKY);
    assert!(stays(&world.compile())[0] > first[0]);
}

// S-143, S-144, S-145, S-213
#[test]
fn udp_flows_are_told_whom_they_may_stay_with() {
    let mut world = World::new();
    world.service("dns", DNS).slice("d", "dns", &endpoints(&[1, 2]), DNS_PORT);
    world.service("web", WEB).slice("w", "web", &endpoints(&[1, 2]), PORT);
    let told = |world: &mut World| {
        let tables = world.compile().snapshot.v4;
        let service = tables.services.iter().flatten().find(|service| service.name.name == "dns");
        let serving = service.and_then(|service| service.serving.clone());
        (
            tables.udp_epoch,
            serving.map(|serving| serving.iter().map(|(a, _)| a.octets()[3]).collect::<Vec<_>>()),
        )
    };
    let (first, serving) = told(&mut world);
    assert_eq!(serving, Some(vec![1, 2]));
    world.slice(
        "d",
        "dns",
        &format!("{{addresses: [10.0.0.1], {GOING}}}, {{addresses: [10.0.0.2]}}"),
        DNS_PORT,
    );
    assert_eq!(told(&mut world), (first + 1, Some(vec![1, 2])), "it still serves");
    world.slice("w", "web", &endpoints(&[1]), PORT);
    world.service("dns", &format!("{DNS}, internalTrafficPolicy: Local"));
    assert_eq!(told(&mut world), (first + 1, Some(vec![1, 2])), "neither TCP nor the Service counts");
    world.slice("d", "dns", &endpoints(&[2]), DNS_PORT);
    assert_eq!(told(&mut world), (first + 2, Some(vec![2])));
    world.slice("d", "dns", "", DNS_PORT);
    assert_eq!(told(&mut world), (first + 3, None), "with nobody left, flows stay where they are");
}

/// An address that still serves something does not linger; what it served before does nevertheless, by its port.
// S-141
#[test]
fn ports_outlive_their_backends() {
    let mut world = World::new();
    let at = |number: u8| format!("{{addresses: [10.0.0.{number}]}}");
    world.service("web", WEB).service("api", API);
    world.slice("w", "web", &at(1), PORT).slice("a", "api", &endpoints(&[1, 2]), "{name: '', port: 9090}");
    world.compile();
    world.slice("w", "web", "", PORT).slice("a", "api", &at(1), "{name: '', port: 9090}");
    let port = |number| (IpFamily::V4, Transport::Tcp, number);
    assert_eq!(world.compile().captured.backend_ports, persistent([port(8080), port(9090)]));
    let unused = world.compiler.lingering();
    assert_eq!(unused.backends.keys().copied().collect::<Vec<_>>(), [ip("10.0.0.2")]);
    assert_eq!(unused.backend_ports.keys().copied().collect::<Vec<_>>(), [port(8080)]);
    // A flow is on the port still.
    world.compiler.forget(&Lingering { backend_ports: Default::default(), ..unused.clone() });
    assert_eq!(world.compile().captured.backend_ports, persistent([port(8080), port(9090)]));
    // It was back in between.
    world.slice("w", "web", &at(1), PORT).compile();
    world.slice("w", "web", "", PORT).compile();
    world.compiler.forget(&unused);
    assert_eq!(world.compile().captured.backend_ports, persistent([port(8080), port(9090)]));
    world.compiler.forget(&world.compiler.lingering());
    assert_eq!(world.compile().captured.backend_ports, persistent([port(9090)]));
}

// S-141
#[test]
fn vips_and_ports_outlive_their_services() {
    let mut world = World::new();
    const NODE_PORT: &str = "type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]";
    world.service("web", NODE_PORT).slice("w", "web", &endpoints(&[1]), PORT);
    world.compile();
    assert!(world.compiler.lingering().is_empty());
    world.remove_service("web");
    let compiled = world.compile();
    let (vip, port) = (ip("10.96.0.1"), (IpFamily::V4, Transport::Tcp, 30080));
    assert_eq!(compiled.captured.departed_vips, set([vip]));
    assert_eq!(compiled.captured.departed_ports, set([port]));
    assert!(compiled.captured.roles(vip).contains(AddressFlags::VIP));
    assert!(compiled.captured.protocol_ports().contains(&FamilyPort { v6: false, protocol: 6, port: 30080 }));
    assert!(compiled.snapshot.v4.vips.departed.contains(&std::net::Ipv4Addr::new(10, 96, 0, 1)));
    let before = world.compiler.lingering();
    // Back, and gone again: what was seen before counts no more.
    world.service("web", NODE_PORT);
    let captured = world.compile().captured;
    assert!(captured.departed_vips.is_empty() && captured.departed_ports.is_empty());
    world.remove_service("web");
    world.compile();
    world.compiler.forget(&before);
    assert_eq!(world.compile().captured.departed_vips, set([vip]));
    world.compiler.forget(&world.compiler.lingering());
    let compiled = world.compile();
    assert!(compiled.captured.departed_vips.is_empty() && compiled.captured.departed_ports.is_empty());
    assert!(compiled.snapshot.v4.vips.departed.is_empty());
    assert!(world.compiler.lingering().is_empty());
}
