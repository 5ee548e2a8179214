//! MetalLB's rules, one by one.

use super::*;
use crate::{config::Ours, metallb::PoolSpec, objects::ObjectKey};
use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::IpAddr};

/// Services of the default class.
pub(super) fn ours(classless: bool) -> Ours {
    Ours { class: "penstock.dev/gateway".to_owned(), classless }
}

/// A controller, and what it has settled.
#[derive(Default)]
struct World {
    allocator: Allocator,
    status: BTreeMap<ObjectKey, Vec<IpAddr>>,
}

fn pools(specs: &[(&str, Value)]) -> Result<Pools, PoolError> {
    let specs: Vec<(&str, PoolSpec)> =
        specs.iter().map(|(name, spec)| (*name, serde_json::from_value(spec.clone()).unwrap())).collect();
    Pools::read(specs.iter().map(|(name, spec)| (*name, spec)))
}

fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// A LoadBalancer Service `default/NAME` on port 80, with these fields and annotations on top.
fn service(name: &str, spec: Value, annotations: Value) -> Request {
    let mut object = json!({
        "metadata": {"namespace": "default", "name": name, "annotations": annotations, "labels": {"app": name}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let service: api::Service = serde_json::from_value(object).unwrap();
    Request::read(&ObjectKey::new("default", name), &service).unwrap().unwrap()
}

fn plain(name: &str) -> Request {
    service(name, json!({}), json!({}))
}

fn dual(name: &str, policy: &str) -> Request {
    service(name, json!({"clusterIPs": ["10.96.0.1", "fd00::1"], "ipFamilyPolicy": policy}), json!({}))
}

fn asking(name: &str, annotation: &str, value: &str) -> Request {
    service(name, json!({}), json!({ annotation: value }))
}

impl World {
    fn new(specs: &[(&str, Value)]) -> Self {
        let mut world = Self::default();
        world.allocator.set_pools(pools(specs).unwrap());
        world
    }

    fn settle(&mut self, request: &Request) -> Settled {
        let present = self.status.remove(&request.service).unwrap_or_default();
        let settled = self.allocator.settle(request, &present);
        self.status.insert(request.service.clone(), settled.addresses.clone());
        settled
    }

    #[track_caller]
    fn gets(&mut self, request: &Request, addresses: &str) {
        let settled = self.settle(request);
        assert_eq!(settled.addresses, ips(addresses), "{settled:?}");
    }

    #[track_caller]
    fn pends(&mut self, request: &Request, reason: &str) {
        let settled = self.settle(request);
        assert_eq!(settled.addresses, [] as [IpAddr; 0]);
        assert_eq!(settled.pending.map(|pending| pending.to_string()).as_deref(), Some(reason));
    }
}

// S-175
#[test]
fn pools_are_read_as_metallb_reads_them() {
    let read = |addresses: Value| pools(&[("p", json!({ "addresses": addresses }))]);
    let both = read(json!(["192.0.2.9/30", "192.0.2.20 - 192.0.2.22", "2001:db8::/127"])).unwrap();
    let prefixes: Vec<_> = both.get("p").unwrap().prefixes.iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["192.0.2.8/30", "192.0.2.20/31", "192.0.2.22/32", "2001:db8::/127"]);
    let refused = |addresses: Value| read(addresses).unwrap_err().to_string();
    assert_eq!(refused(json!([])), "parsing address pool p: pool has no prefixes defined");
    assert!(
        refused(json!(["192.0.2.1"]))
            .starts_with("parsing address pool p: invalid CIDR \"192.0.2.1\" in pool \"p\": ")
    );
    assert!(refused(json!(["192.0.2.0 /24"])).starts_with("parsing address pool p: invalid CIDR"));
    assert_eq!(
        refused(json!(["192.0.2.9-192.0.2.1"])),
        "parsing address pool p: invalid IP range \"192.0.2.9-192.0.2.1\": \
         start IP \"192.0.2.9\" is after the end IP \"192.0.2.1\""
    );
    assert_eq!(
        refused(json!(["192.0.2.9-2001:db8::1"])),
        "parsing address pool p: invalid IP range \"192.0.2.9-2001:db8::1\": \
         start and end IPs must be the same family"
    );
    let overlapping =
        [("a", json!({"addresses": ["192.0.2.0/24"]})), ("b", json!({"addresses": ["192.0.2.7-192.0.2.7"]}))];
    assert_eq!(
        pools(&overlapping).unwrap_err().to_string(),
        "CIDR \"192.0.2.7/32\" in pool \"b\" overlaps with already defined CIDR \"192.0.2.0/24\""
    );
    let twice = json!({"addresses": ["192.0.2.0/24"], "serviceAllocation": {"namespaces": ["a", "a"]}});
    assert!(
        pools(&[("p", twice)]).unwrap_err().to_string().contains("duplicate definition in namespaces field")
    );
}

// S-176
#[test]
fn what_is_not_assigned_by_itself_must_be_asked_for() {
    let manual = json!({"addresses": ["192.0.2.255-192.0.3.1"], "autoAssign": false, "avoidBuggyIPs": true});
    let mut world = World::new(&[("manual", manual)]);
    world.pends(&plain("a"), "no available IPs");
    world.pends(
        &asking("b", "metallb.io/loadBalancerIPs", "192.0.3.0"),
        "[\"192.0.3.0\"] is not allowed in config",
    );
    world.pends(
        &asking("b", "metallb.io/loadBalancerIPs", "192.0.2.255"),
        "[\"192.0.2.255\"] is not allowed in config",
    );
    world.gets(&asking("c", "metallb.io/address-pool", "manual"), "192.0.3.1");
    assert_eq!(world.allocator.usage()["manual"], Usage { assigned: [1, 0], available: [0, 0] });
}

// S-177, S-224
#[test]
fn pools_for_some_services_come_first_and_by_priority() {
    let labelled = |app: &str| json!([{"matchLabels": {"app": app}}]);
    let mut world = World::new(&[
        ("open", json!({"addresses": ["192.0.2.0/32"]})),
        ("last", json!({"addresses": ["192.0.2.1/32"], "serviceAllocation": {}})),
        ("ten", json!({"addresses": ["192.0.2.2/32"], "serviceAllocation": {"priority": 10}})),
        ("one", json!({"addresses": ["192.0.2.3/32"], "serviceAllocation": {"priority": 1}})),
        (
            "shop",
            json!({"addresses": ["192.0.2.4/32"], "serviceAllocation": {
            "priority": 1, "namespaces": ["shop"], "serviceSelectors": labelled("a")}}),
        ),
        (
            "team",
            json!({"addresses": ["192.0.2.5/32"], "serviceAllocation": {
            "priority": 1, "namespaceSelectors": [{"matchLabels": {"team": "x"}}], "serviceSelectors": labelled("f")}}),
        ),
    ]);
    for (name, address) in [("a", "192.0.2.3"), ("b", "192.0.2.2"), ("c", "192.0.2.1"), ("d", "192.0.2.0")] {
        world.gets(&plain(name), address);
    }
    world.pends(&plain("e"), "no available IPs");
    // Namespace and labels must both fit.
    world.pends(&plain("f"), "no available IPs");
    world
        .allocator
        .set_namespaces([("default".to_owned(), [("team".to_owned(), "x".to_owned())].into())].into());
    world.pends(&plain("e"), "no available IPs");
    world.gets(&plain("f"), "192.0.2.5");
    world.pends(
        &asking("g", "metallb.io/loadBalancerIPs", "192.0.2.4"),
        "pool shop not compatible for ip assignment",
    );
}

// S-178, S-226
#[test]
fn addresses_asked_for_are_given_or_refused() {
    let mut world = World::new(&[
        ("a", json!({"addresses": ["192.0.2.0/24", "2001:db8::/120"]})),
        ("b", json!({"addresses": ["198.51.100.0/24", "2001:db8:1::/120"]})),
    ]);
    world.gets(&asking("a", "metallb.io/loadBalancerIPs", "192.0.2.7"), "192.0.2.7");
    world.gets(&service("b", json!({"loadBalancerIP": "192.0.2.8"}), json!({})), "192.0.2.8");
    world.gets(&asking("c", "metallb.universe.tf/loadBalancerIPs", "192.0.2.9"), "192.0.2.9");
    world.pends(
        &asking("d", "metallb.io/loadBalancerIPs", "203.0.113.1"),
        "[\"203.0.113.1\"] is not allowed in config",
    );
    let families =
        "requested loadBalancer IP(s) [\"2001:db8::1\"] does not match the ipFamily of the service";
    world.pends(&asking("d", "metallb.io/loadBalancerIPs", "2001:db8::1"), families);
    let two = |addresses: &str| {
        let mut request = dual("e", "PreferDualStack");
        request.addresses = ips(addresses);
        request
    };
    world.gets(&two("2001:db8::1 192.0.2.10"), "2001:db8::1 192.0.2.10");
    let families = "requested loadBalancer IP(s) [\"192.0.2.11\"] does not match the ipFamily of the service";
    world.pends(&two("192.0.2.11"), families);
    let pools = "[\"192.0.2.11\" \"2001:db8:1::1\"] is not allowed in config";
    world.pends(&two("192.0.2.11 2001:db8:1::1"), pools);
    let other = service(
        "f",
        json!({}),
        json!({"metallb.io/loadBalancerIPs": "192.0.2.12", "metallb.io/address-pool": "b"}),
    );
    world.pends(
        &other,
        "requested loadBalancer IP(s) [\"192.0.2.12\"] is not compatible with requested address pool b",
    );
    let both = json!({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.1"}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "loadBalancerIP": "192.0.2.1"}});
    let read = |object: Value| {
        Request::read(&ObjectKey::new("default", "g"), &serde_json::from_value(object).unwrap())
    };
    assert_eq!(read(both), Err(RequestError::Both));
    for (annotation, field, fault) in [
        (
            "192.0.2.1,192.0.2.2",
            "",
            "IPFamilyForAddresses: same address family [\"192.0.2.1\" \"192.0.2.2\"]",
        ),
        ("192.0.2.1,", "", "invalid metallb.io/loadBalancerIPs: \"192.0.2.1,\""),
        ("", "192.0.2.1,fd00::1", "invalid spec.loadBalancerIP \"192.0.2.1,fd00::1\""),
    ] {
        let object = json!({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": annotation}},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "loadBalancerIP": field}});
        assert_eq!(read(object).unwrap_err().to_string(), fault);
    }
    assert_eq!(read(json!({"spec": {"type": "LoadBalancer", "clusterIP": "None"}})), Ok(None));
    assert_eq!(read(json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.1"}})), Ok(None));
}

// S-179
#[test]
fn who_found_none_gets_the_next_that_is_free() {
    let mut world = World::new(&[("p", json!({"addresses": ["192.0.2.1/32"]}))]);
    world.gets(&plain("a"), "192.0.2.1");
    world.pends(&plain("b"), "no available IPs");
    world.pends(&asking("b", "metallb.io/address-pool", "p"), "no available IPs in pool \"p\"");
    world.pends(&asking("b", "metallb.io/address-pool", "q"), "unknown pool \"q\"");
    assert!(world.allocator.release(&ObjectKey::new("default", "a")), "others are to be asked again");
    assert!(!world.allocator.release(&ObjectKey::new("default", "a")), "once");
    world.gets(&plain("b"), "192.0.2.1");
}

// S-180, S-227
#[test]
fn addresses_outlive_a_restart_and_everything_that_lets_them() {
    let specs = [("p", json!({"addresses": ["192.0.2.0/29"]}))];
    let (a, b) = (plain("a"), plain("b"));
    let mut allocator = Allocator::default();
    allocator.set_pools(pools(&specs).unwrap());
    assert_eq!(allocator.settle(&b, &ips("192.0.2.0")).addresses, ips("192.0.2.0"));
    assert_eq!(allocator.settle(&a, &[]).addresses, ips("192.0.2.1"));
    // Into another pool, and out of every pool.
    allocator.set_pools(pools(&[("q", json!({"addresses": ["192.0.2.0/31"]}))]).unwrap());
    let kept = allocator.settle(&b, &ips("192.0.2.0"));
    assert_eq!((kept.addresses, kept.pool.as_deref(), kept.cleared), (ips("192.0.2.0"), Some("q"), None));
    allocator.set_pools(pools(&[("q", json!({"addresses": ["192.0.2.1/32", "192.0.2.9/32"]}))]).unwrap());
    let moved = allocator.settle(&b, &ips("192.0.2.0"));
    assert_eq!(moved.addresses, ips("192.0.2.9"));
    assert_eq!(moved.cleared.unwrap().to_string(), "[\"192.0.2.0\"] is not allowed in config");
    allocator.set_pools(Pools::default());
    assert_eq!(allocator.settle(&b, &ips("192.0.2.9")).pending, Some(Pending::NoPools));
}

// S-182
#[test]
fn an_address_is_shared_by_those_who_agree() {
    const KEY: &str = "metallb.io/allow-shared-ip";
    let mut world = World::new(&[("p", json!({"addresses": ["192.0.2.1/32"]}))]);
    let sharing = |name: &str, key: &str, spec: Value| service(name, spec, json!({ KEY: key }));
    let port = |port: u16| json!({"ports": [{"port": port}]});
    world.gets(&sharing("a", "k", port(80)), "192.0.2.1");
    world.gets(&sharing("b", "k", port(443)), "192.0.2.1");
    world.gets(&sharing("c", "k", json!({"ports": [{"port": 80, "protocol": "UDP"}]})), "192.0.2.1");
    let want = |request: Request| Request { addresses: ips("192.0.2.1"), ..request };
    world.pends(&want(sharing("d", "k", port(443))), "port TCP/443 is already in use on \"192.0.2.1\"");
    let held =
        "can't change sharing key for \"default/d\", address also in use by default/a,default/b,default/c";
    for (key, spec) in [("other", port(1)), ("", port(1))] {
        world.pends(&want(sharing("d", key, spec)), held);
    }
    let local = |selector: &str| json!({"ports": [{"port": 1}], "externalTrafficPolicy": "Local", "selector": {"app": selector}});
    world.pends(&want(sharing("d", "k", local("x"))), held);
    // A sharer that changes loses the address; the only user may change its key.
    let changed = world.settle(&sharing("b", "other", port(443)));
    assert!(changed.addresses.is_empty() && changed.cleared.is_some());
    for name in ["a", "b", "c"] {
        world.allocator.release(&ObjectKey::new("default", name));
    }
    world.gets(&sharing("e", "k", local("x")), "192.0.2.1");
    world.gets(&sharing("e", "new", local("x")), "192.0.2.1");
    let second = |selector: &str| {
        let mut request = sharing("f", "new", local(selector));
        request.sharing.ports = [(penstock_dataplane::table::Transport::Tcp, 2)].into();
        request
    };
    world.pends(&second("y"), "no available IPs");
    world.gets(&second("x"), "192.0.2.1");
}

// S-183, S-225
#[test]
fn two_families_are_of_one_pool() {
    let mut world = World::new(&[
        ("four", json!({"addresses": ["192.0.2.0/31"]})),
        ("six", json!({"addresses": ["2001:db8::/127"]})),
    ]);
    world.pends(&dual("a", "RequireDualStack"), "no available IPs");
    let lacking = world.settle(&dual("b", "PreferDualStack"));
    assert_eq!((lacking.addresses, lacking.lacks_second), (ips("192.0.2.0"), true));
    let mut backwards = dual("c", "PreferDualStack");
    backwards.families = Families::Prefer(crate::model::IpFamily::V6);
    world.gets(&backwards, "2001:db8::");
    // Its pool gets the other family, and what it has stays first.
    let grown = [
        ("four", json!({"addresses": ["192.0.2.0/31", "2001:db8:4::/127"]})),
        ("six", json!({"addresses": ["2001:db8::/127", "198.51.100.0/31"]})),
    ];
    world.allocator.set_pools(pools(&grown).unwrap());
    world.gets(&dual("b", "PreferDualStack"), "192.0.2.0 2001:db8:4::");
    world.gets(&backwards, "2001:db8:: 198.51.100.0");
    world.gets(&dual("a", "RequireDualStack"), "192.0.2.1 2001:db8:4::1");
    world.pends(
        &service("d", json!({"ipFamilyPolicy": "RequireDualStack"}), json!({})),
        "not enough clusterips",
    );
    let single =
        service("e", json!({"clusterIP": "fd00::1", "ipFamilyPolicy": "PreferDualStack"}), json!({}));
    world.gets(&single, "2001:db8::1");
}

// S-228
#[test]
fn the_pool_asked_for_need_not_assign_by_itself_but_admit() {
    let mut world = World::new(&[
        ("manual", json!({"addresses": ["192.0.2.1/32"], "autoAssign": false})),
        ("theirs", json!({"addresses": ["192.0.2.2/32"], "serviceAllocation": {"namespaces": ["other"]}})),
    ]);
    world.gets(&asking("a", "metallb.io/address-pool", "manual"), "192.0.2.1");
    world.pends(
        &asking("b", "metallb.io/address-pool", "theirs"),
        "pool theirs not compatible for ip assignment",
    );
}

#[test]
fn a_vast_pool_counts_as_the_largest_number() {
    let pools =
        pools(&[("p", json!({"addresses": ["2001:db8::/48", "192.0.2.0/24"], "avoidBuggyIPs": true}))])
            .unwrap();
    let mut allocator = Allocator::default();
    allocator.set_pools(pools);
    assert_eq!(allocator.usage()["p"], Usage { assigned: [0, 0], available: [254, i64::MAX] });
}
