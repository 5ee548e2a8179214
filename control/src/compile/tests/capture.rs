use super::world::*;
use crate::{config::NodePortAddresses, model::IpFamily};
use penstock_dataplane::{
    table::{Transport, VipKind, VipMatch},
    wire::V4,
    xdp::AddressFlags,
};

const ALL_KINDS: &str = "type: LoadBalancer, clusterIP: 10.96.0.1, externalIPs: [198.51.100.1], ports: [{port: 80, nodePort: 30080}]";
const INGRESS: &str =
    "loadBalancer: {ingress: [{ip: 203.0.113.1}, {ip: 203.0.113.2, ipMode: Proxy}, {hostname: a.example}]}";

fn kind(compiled: &crate::compile::Compiled, address: &str, port: u16) -> VipMatch {
    compiled.snapshot.v4.vips.find(address.parse().unwrap(), Transport::Tcp, port)
}

fn served_as(compiled: &crate::compile::Compiled, address: &str, port: u16) -> Option<VipKind> {
    match kind(compiled, address, port) {
        VipMatch::Service(target) => Some(target.kind),
        _ => None,
    }
}

// S-73, S-74, S-75, S-80, S-156
#[test]
fn every_kind_of_address_is_captured() {
    let mut world = World::new();
    world.service_with("web", "", ALL_KINDS, INGRESS);
    let compiled = world.compile();
    assert_eq!(served_as(&compiled, "10.96.0.1", 80), Some(VipKind::ClusterIp));
    assert_eq!(served_as(&compiled, "198.51.100.1", 80), Some(VipKind::ExternalIp));
    assert_eq!(served_as(&compiled, "203.0.113.1", 80), Some(VipKind::LoadBalancerIp));
    assert_eq!(served_as(&compiled, "192.0.2.1", 30080), Some(VipKind::NodePort));
    assert_eq!(kind(&compiled, "203.0.113.2", 80), VipMatch::None);
    assert_eq!(
        kind(&compiled, "10.96.0.1", 30080),
        VipMatch::UnservedPort(VipKind::ClusterIp),
        "no NodePort on a VIP"
    );
    let captured = &compiled.captured;
    assert_eq!(captured.vips, persistent([ip("10.96.0.1"), ip("198.51.100.1"), ip("203.0.113.1")]));
    assert_eq!(captured.node_addresses, set([ip("192.0.2.1"), ip("2001:db8::1")]));
    assert_eq!(captured.node_ports, persistent([(IpFamily::V4, Transport::Tcp, 30080)]));
}

// S-82
#[test]
fn a_vip_beats_a_node_port() {
    let mut world = World::new();
    world.service("web", "type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]");
    assert_eq!(served_as(&world.compile(), "192.0.2.1", 30080), Some(VipKind::NodePort));
    world.service("api", "clusterIP: 10.96.0.2, ports: [{port: 30080}], externalIPs: [192.0.2.1]");
    let compiled = world.compile();
    assert_eq!(served_as(&compiled, "192.0.2.1", 30080), Some(VipKind::ExternalIp));
    assert_eq!(serving::<V4>(&compiled.snapshot.v4, "192.0.2.1", 30080).unwrap().name.name, "api");
}

// S-217
#[test]
fn external_ips_are_nobodys_business_where_they_are_off() {
    let mut world = World::new();
    world.environment.settings.allow_external_ips = false;
    world.service_with("web", "", ALL_KINDS, INGRESS);
    let compiled = world.compile();
    assert_eq!(kind(&compiled, "198.51.100.1", 80), VipMatch::None);
    assert!(!compiled.captured.vips.contains(&ip("198.51.100.1")));
    assert_eq!(served_as(&compiled, "10.96.0.1", 80), Some(VipKind::ClusterIp), "the others are as ever");
    assert_eq!(served_as(&compiled, "203.0.113.1", 80), Some(VipKind::LoadBalancerIp));
    assert_eq!(served_as(&compiled, "192.0.2.1", 30080), Some(VipKind::NodePort));
}

// S-157 (which addresses are unallocated; what becomes of their packets is the path's business)
#[test]
fn an_address_of_the_service_cidr_is_unallocated_until_a_service_has_it() {
    let mut world = World::new();
    world.environment.settings.service_cidrs =
        ["10.96.0.0/16", "192.0.2.0/24"].map(|net| net.parse().unwrap()).into();
    world.service("web", "clusterIP: 10.96.0.1, ports: [{port: 80}]");
    let compiled = world.compile();
    let unallocated = |compiled: &crate::compile::Compiled, address: &str| {
        compiled.snapshot.v4.is_unallocated(address.parse().unwrap())
    };
    assert!(unallocated(&compiled, "10.96.0.2") && !unallocated(&compiled, "10.96.0.1"));
    assert!(!unallocated(&compiled, "10.97.0.1"));
    assert!(!unallocated(&compiled, "192.0.2.1"), "the node's own address is the node's");
    world.service("api", "clusterIP: 10.96.0.2, ports: [{port: 80}]").remove_service("web");
    let compiled = world.compile();
    assert!(unallocated(&compiled, "10.96.0.1") && !unallocated(&compiled, "10.96.0.2"), "at once");
}

// S-209
#[test]
fn the_local_detector_is_the_first_cidr_of_each_family() {
    let mut world = World::new();
    let pods = |world: &mut World| {
        let tables = world.compile().snapshot;
        (tables.v4.locality.pods.map(|p| p.to_string()), tables.v6.locality.pods.map(|p| p.to_string()))
    };
    assert_eq!(pods(&mut world), (None, None));
    world.environment.settings.cluster_cidr =
        ["10.244.0.0/16", "10.245.0.0/16"].map(|cidr| cidr.parse().unwrap()).into();
    assert_eq!(pods(&mut world), (Some("10.244.0.0/16".into()), None), "none of the other family");
    world.environment.settings.cluster_cidr.push("fd00:10::/56".parse().unwrap());
    assert_eq!(pods(&mut world).1, Some("fd00:10::/56".into()));
}

// S-83, S-84, S-142
#[test]
fn what_is_taken_away_is_no_longer_captured() {
    let mut world = World::new();
    world.service_with("web", "", ALL_KINDS, INGRESS);
    world.compile();
    world.service_with("web", "", &ALL_KINDS.replace("externalIPs: [198.51.100.1], ", ""), INGRESS);
    assert_eq!(kind(&world.compile(), "198.51.100.1", 80), VipMatch::None);
    world.service("web", "type: ExternalName, externalName: a.example");
    let compiled = world.compile();
    assert_eq!(kind(&compiled, "10.96.0.1", 80), VipMatch::None);
    assert!(compiled.captured.vips.is_empty() && compiled.captured.node_ports.is_empty());
    assert_eq!(compiled.changes.removed.services.len(), 1);
}

#[test]
fn the_older_service_wins_a_tuple_and_the_other_is_told() {
    let mut world = World::new();
    let spec = |ip: &str| format!("clusterIP: {ip}, externalIPs: [198.51.100.1], ports: [{{port: 80}}]");
    world.service_with("b", "creationTimestamp: 2024-01-01T00:00:00Z", &spec("10.96.0.2"), "");
    world.service("a", &spec("10.96.0.1"));
    let compiled = world.compile();
    assert_eq!(serving::<V4>(&compiled.snapshot.v4, "198.51.100.1", 80).unwrap().name.name, "b");
    assert_eq!(serving::<V4>(&compiled.snapshot.v4, "10.96.0.1", 80).unwrap().name.name, "a");
    assert_eq!(
        compiled.problems[0].to_string(),
        "Service default/a: spec.externalIPs: 198.51.100.1:80/TCP belongs to Service default/b, which is older or \
         comes first by name; it is not served here"
    );
    // Without timestamps the name decides, and the same world says the same again.
    world.service("b", &spec("10.96.0.2"));
    for _ in 0..2 {
        let compiled = world.compile();
        assert_eq!(serving::<V4>(&compiled.snapshot.v4, "198.51.100.1", 80).unwrap().name.name, "a");
        assert_eq!(compiled.problems.len(), 1);
    }
}

#[test]
fn a_node_port_has_one_owner_too() {
    let mut world = World::new();
    let spec = |ip: &str| format!("type: NodePort, clusterIP: {ip}, ports: [{{port: 80, nodePort: 30080}}]");
    world.service("a", &spec("10.96.0.1")).service("b", &spec("10.96.0.2"));
    let compiled = world.compile();
    assert_eq!(serving::<V4>(&compiled.snapshot.v4, "192.0.2.1", 30080).unwrap().name.name, "a");
    assert!(
        compiled.problems[0]
            .to_string()
            .starts_with("Service default/b: spec.ports[0].nodePort: 30080/TCP belongs")
    );
}

// S-80, S-81
#[test]
fn node_port_addresses_follow_the_setting_and_the_node() {
    let mut world = World::new();
    world.service("web", "type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]");
    world.node("n1", "", "{type: InternalIP, address: 192.0.2.1}");
    world.environment.node_addresses.extend([ip("198.51.100.9"), ip("127.0.0.1")]);
    let answers = |world: &mut World, address: &str| served_as(&world.compile(), address, 30080).is_some();
    assert!(answers(&mut world, "192.0.2.1") && answers(&mut world, "198.51.100.9"));
    assert!(!answers(&mut world, "127.0.0.1"));
    world.environment.settings.node_port_addresses = NodePortAddresses::Primary;
    assert!(answers(&mut world, "192.0.2.1") && !answers(&mut world, "198.51.100.9"));
    world.environment.settings.node_port_addresses =
        NodePortAddresses::Cidrs(vec!["198.51.100.0/24".parse().unwrap()]);
    assert!(!answers(&mut world, "192.0.2.1") && answers(&mut world, "198.51.100.9"));
    assert!(!answers(&mut world, "198.51.100.10"));
    world.environment.node_addresses.insert(ip("198.51.100.10"));
    assert!(answers(&mut world, "198.51.100.10"), "an address added later");
    let both = ["198.51.100.0/24", "0.0.0.0/0"].map(|cidr| cidr.parse().unwrap());
    world.environment.settings.node_port_addresses = NodePortAddresses::Cidrs(both.into());
    assert!(answers(&mut world, "192.0.2.1"), "a prefix of length zero lifts the limit");
}

// S-158
/// Load balancers that hand out node addresses must not cut the node off.
#[test]
fn a_vip_that_is_a_node_address_leaves_the_rest_to_the_node() {
    let mut world = World::new();
    world.service_with(
        "web",
        "",
        "type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{port: 443, nodePort: 30443}]",
        "loadBalancer: {ingress: [{ip: 192.0.2.1}]}",
    );
    world.node("n1", "", "{type: InternalIP, address: 192.0.2.1}");
    let compiled = world.compile();
    assert_eq!(served_as(&compiled, "192.0.2.1", 443), Some(VipKind::LoadBalancerIp));
    assert_eq!(served_as(&compiled, "192.0.2.1", 30443), Some(VipKind::NodePort));
    assert_eq!(kind(&compiled, "192.0.2.1", 22), VipMatch::None);
    assert_eq!(compiled.captured.vips, persistent([ip("10.96.0.1")]));
    assert_eq!(
        compiled.captured.node_ports,
        persistent([443, 30443].map(|port| (IpFamily::V4, Transport::Tcp, port)))
    );
}

// S-80
/// A VIP that an announcer has bound to the node is no place for NodePorts.
#[test]
fn node_ports_do_not_answer_on_vips_bound_to_the_node() {
    let mut world = World::new();
    world.service_with(
        "web",
        "",
        "type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{port: 443, nodePort: 30443}]",
        "loadBalancer: {ingress: [{ip: 203.0.113.7}]}",
    );
    world.environment.node_addresses.insert(ip("203.0.113.7"));
    let compiled = world.compile();
    assert_eq!(served_as(&compiled, "203.0.113.7", 443), Some(VipKind::LoadBalancerIp));
    assert_eq!(served_as(&compiled, "203.0.113.7", 30443), None);
}

// S-113, S-119, S-120, S-205, S-206, S-207 (the ranges that decide it)
#[test]
fn source_ranges_are_those_of_the_family() {
    let ranges = |ranges: &str, node: bool| {
        let mut world = World::new();
        let spec = format!(
            "type: LoadBalancer, clusterIP: 10.96.0.1, loadBalancerSourceRanges: [{ranges}], ports: [{{port: 80}}]"
        );
        world.service_with("web", "", &spec, "loadBalancer: {ingress: [{ip: 203.0.113.1}]}");
        world.environment.node_addresses.insert(ip("198.51.100.9"));
        if node {
            world.node("n1", "", "{type: InternalIP, address: 192.0.2.1}");
        }
        let compiled = world.compile();
        let service = serving::<V4>(&compiled.snapshot.v4, "203.0.113.1", 80).unwrap();
        let ranges = service
            .source_ranges
            .as_ref()
            .map(|ranges| ranges.iter().map(ToString::to_string).collect::<Vec<_>>());
        (ranges, compiled.problems.len())
    };
    let some = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(ranges("", false), (None, 0));
    assert_eq!(ranges("10.0.0.0/8, 'fd00::/8'", false), (some(&["10.0.0.0/8"]), 0));
    assert_eq!(ranges("10.0.0.0/8, 0.0.0.0/0", false), (None, 0));
    assert_eq!(ranges("'fd00::/8'", false), (some(&[]), 1), "nobody, and a warning");
    assert_eq!(ranges("nonsense, 10.0.0.0/8", false), (some(&["10.0.0.0/8"]), 0));
    assert_eq!(ranges("nonsense", false), (some(&[]), 1), "the same");
    assert_eq!(ranges("192.0.2.0/24", true), (some(&["192.0.2.0/24", "203.0.113.1/32"]), 0));
    assert_eq!(ranges("10.0.0.0/8", true), (some(&["10.0.0.0/8"]), 0));
    assert_eq!(ranges("198.51.100.0/24", true), (some(&["198.51.100.0/24"]), 0), "not its primary address");
}

#[test]
fn the_classifier_is_told_all_roles_of_an_address() {
    let mut world = World::new();
    world.service("web", "clusterIP: 10.96.0.1, ports: [{port: 80}]");
    world.slice("a", "web", "{addresses: [10.0.0.1]}", "{name: '', port: 80}");
    world.environment.settings.snat_addresses = vec![ip("192.0.2.1"), ip("192.0.2.9")];
    let captured = world.compile().captured;
    assert_eq!(captured.roles(ip("10.96.0.1")), AddressFlags::VIP);
    assert_eq!(captured.roles(ip("192.0.2.1")), AddressFlags::NODE | AddressFlags::SNAT);
    assert_eq!(captured.roles(ip("192.0.2.9")), AddressFlags::SNAT);
    assert_eq!(
        captured.roles(ip("10.0.0.1")),
        AddressFlags::BACKEND,
        "cluster-IP traffic keeps its source without a detector"
    );
    world.environment.settings.masquerade_all = true;
    assert_eq!(world.compile().captured.roles(ip("10.0.0.1")), AddressFlags::NONE);
}

#[test]
fn without_interfaces_the_node_object_tells_the_addresses() {
    let mut world = World::new();
    world.environment.node_addresses.clear();
    world.service("web", "type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}]");
    world.node("n1", "", "{type: InternalIP, address: 192.0.2.77}, {type: Hostname, address: n1}");
    assert_eq!(served_as(&world.compile(), "192.0.2.77", 30080), Some(VipKind::NodePort));
}
