use super::world::*;
use penstock_dataplane::wire::{V4, V6};

const WEB: &str = "clusterIP: 10.96.0.1, ports: [{port: 80}]";

// S-50, S-51, S-52
#[test]
fn ports_join_by_name_and_protocol() {
    let mut world = World::new();
    world.service(
        "web",
        "clusterIP: 10.96.0.1, ports: [{name: http, port: 80, targetPort: 1234}, {name: dns, port: 53}]",
    );
    world.slice(
        "a",
        "web",
        "{addresses: [10.0.0.1]}",
        "{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}",
    );
    world.slice("b", "web", "{addresses: [10.0.0.2]}", "{name: http, port: 9090}");
    let compiled = world.compile();
    assert_eq!(cluster(&compiled, "10.96.0.1", 80), ["10.0.0.1:8080", "10.0.0.2:9090"]);
    assert_eq!(cluster(&compiled, "10.96.0.1", 53), ["reject"], "a UDP port never serves a TCP port");
}

// S-53, S-60
#[test]
fn an_endpoint_of_two_slices_counts_once() {
    let mut world = World::new();
    world.service("web", WEB);
    let going = "{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}";
    world.slice("a", "web", &format!("{going}, {{addresses: [10.0.0.2]}}"), "{name: '', port: 80}");
    world.slice("b", "web", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.3]}", "{name: '', port: 80}");
    assert_eq!(cluster(&world.compile(), "10.96.0.1", 80), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    // The other order.
    world.slice("0", "web", "{addresses: [10.0.0.3]}", "{name: '', port: 80}");
    world.remove_slice("b");
    assert_eq!(cluster(&world.compile(), "10.96.0.1", 80), ["10.0.0.2:80", "10.0.0.3:80"]);
}

// S-59: what is in one slice before it leaves the other, or changes places between two syncs, is never missed.
#[test]
fn an_endpoint_that_moves_between_slices_changes_nothing() {
    let mut world = World::new();
    world.service("web", WEB).slice("a", "web", "{addresses: [10.0.0.1]}", "{name: '', port: 80}");
    let before = world.compile();
    world.slice("b", "web", "{addresses: [10.0.0.1]}", "{name: '', port: 80}");
    assert!(world.compile().changes.is_empty());
    world.slice("a", "web", "", "{name: '', port: 80}");
    assert!(world.compile().changes.is_empty());
    world.slice("b", "web", "", "{name: '', port: 80}");
    world.slice("a", "web", "{addresses: [10.0.0.1]}", "{name: '', port: 80}");
    let after = world.compile();
    assert!(after.changes.is_empty());
    assert!(before.snapshot.v4.services.is_same(&after.snapshot.v4.services));
}

// S-61, S-79
#[test]
fn families_are_apart() {
    let mut world = World::new();
    world.service("web", "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1'], ports: [{port: 80}]");
    world.slice_of("IPv6", "a", "web", "{addresses: ['fd01::5']}", "{name: '', port: 80}");
    world.service("four", "type: NodePort, clusterIP: 10.96.0.2, externalIPs: [203.0.113.1, '2001:db8:5::1'], ports: [{port: 80, nodePort: 30080}]");
    let compiled = world.compile();
    assert_eq!(cluster(&compiled, "10.96.0.1", 80), ["reject"]);
    assert_eq!(list(&serving::<V6>(&compiled.snapshot.v6, "fd00::1", 80).unwrap().cluster), ["fd01::5:80"]);
    assert!(serving::<V4>(&compiled.snapshot.v4, "203.0.113.1", 80).is_some());
    assert!(serving::<V6>(&compiled.snapshot.v6, "2001:db8:5::1", 80).is_none());
    assert!(serving::<V4>(&compiled.snapshot.v4, "192.0.2.1", 30080).is_some());
    assert!(serving::<V6>(&compiled.snapshot.v6, "2001:db8::1", 30080).is_none());
}

// S-100, S-102, S-106 (the lists that decide it)
#[test]
fn an_empty_local_list_drops_only_while_others_serve() {
    let mut world = World::new();
    let local = "internalTrafficPolicy: Local";
    world.service("web", &format!("{WEB}, {local}"));
    let lists = |world: &mut World| {
        let compiled = world.compile();
        let service = serving::<V4>(&compiled.snapshot.v4, "10.96.0.1", 80).unwrap();
        (list(&service.cluster), list(&service.local))
    };
    let words = |text: &str| vec![text.to_owned()];
    assert_eq!(lists(&mut world), (words("reject"), words("reject")));
    world.slice("a", "web", "{addresses: [10.0.0.1], nodeName: n2}", "{name: '', port: 80}");
    assert_eq!(lists(&mut world).1, words("drop"));
    world.slice("a", "web", "{addresses: [10.0.0.1], nodeName: n1}", "{name: '', port: 80}");
    assert_eq!(lists(&mut world).1, words("10.0.0.1:80"));
    // Reachable from outside too: then the short cut needs the cluster list.
    world
        .service("web", &format!("{WEB}, {local}, externalIPs: [203.0.113.1], externalTrafficPolicy: Local"));
    world.slice("a", "web", "{addresses: [10.0.0.1], nodeName: n2}", "{name: '', port: 80}");
    assert_eq!(lists(&mut world), (words("10.0.0.1:80"), words("drop")));
}

// S-216
#[test]
fn a_new_zone_of_this_node_makes_all_lists_anew() {
    let mut world = World::new();
    let hint =
        |n: u8, zone: &str| format!("{{addresses: [10.0.0.{n}], hints: {{forZones: [{{name: {zone}}}]}}}}");
    world.service("web", WEB);
    world.slice("a", "web", &format!("{}, {}", hint(1, "a"), hint(2, "b")), "{name: '', port: 80}");
    assert_eq!(cluster(&world.compile(), "10.96.0.1", 80).len(), 2);
    world.node("n1", "a", "");
    assert_eq!(cluster(&world.compile(), "10.96.0.1", 80), ["10.0.0.1:80"]);
    world.node("n1", "b", "");
    assert_eq!(cluster(&world.compile(), "10.96.0.1", 80), ["10.0.0.2:80"]);
}
