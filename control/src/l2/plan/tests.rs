//! The rules of §5.4 to §5.6 on whole objects, and that following changes comes to the same as starting anew.

use super::*;
use crate::objects::{Kind, Object};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Objects, gateways, and the planner of the gateway `gw-a`.
struct World {
    objects: Objects,
    live: BTreeSet<String>,
    planner: Planner,
}

fn put<T: DeserializeOwned>(kind: &mut Kind<T>, namespace: &str, name: &str, object: Value) {
    let value = Arc::new(serde_json::from_value(object).unwrap());
    kind.insert(ObjectKey::new(namespace, name), Object { origin: None, value });
}

fn planner() -> Planner {
    let ours = Ours { class: "penstock.dev/gateway".into(), classless: false };
    Planner::new("gw-a", ours, ["client0", "client1"].map(str::to_owned).into())
}

impl World {
    /// Gateways a to d on nodes labelled `name`, pool `p` of 192.0.2.0/24 and 2001:db8::/64, one advertisement for all.
    fn new() -> Self {
        let live = ["gw-a", "gw-b", "gw-c", "gw-d"].map(str::to_owned).into();
        let mut world = Self { objects: Objects::default(), live, planner: planner() };
        for name in world.live.clone() {
            world.node(&name, json!({"name": name}), json!([]));
        }
        world.pool("p", json!(["192.0.2.0/24", "2001:db8::/64"]));
        world.advertise("all", json!({}));
        world
    }

    fn node(&mut self, name: &str, labels: Value, conditions: Value) {
        let object =
            json!({"metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions}});
        put(&mut self.objects.nodes, "", name, object);
    }

    fn pool(&mut self, name: &str, addresses: Value) {
        let object = json!({"metadata": {"labels": {"pool": name}}, "spec": {"addresses": addresses}});
        put(&mut self.objects.pools, "pools", name, object);
    }

    fn advertise(&mut self, name: &str, spec: Value) {
        put(&mut self.objects.advertisements, "pools", name, json!({"spec": spec}));
    }

    /// A Service with these addresses and one ready endpoint on each of these nodes.
    fn service(&mut self, name: &str, addresses: &str, nodes: &str) {
        self.service_with(name, addresses, json!({}), json!({}));
        self.endpoints(name, nodes, json!({"ready": true}));
    }

    fn service_with(&mut self, name: &str, addresses: &str, spec: Value, annotations: Value) {
        let ingress: Vec<_> = addresses.split_whitespace().map(|ip| json!({"ip": ip})).collect();
        let mut object = json!({
            "metadata": {"labels": {"app": name}, "annotations": annotations},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "penstock.dev/gateway"},
            "status": {"loadBalancer": {"ingress": ingress}},
        });
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        put(&mut self.objects.services, "default", name, object);
    }

    fn endpoints(&mut self, name: &str, nodes: &str, conditions: Value) {
        let endpoint =
            |node| json!({"addresses": ["10.0.0.1"], "nodeName": node, "conditions": conditions.clone()});
        let object = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "endpoints": nodes.split_whitespace().map(endpoint).collect::<Vec<_>>(),
        });
        put(&mut self.objects.slices, "default", &format!("{name}-1"), object);
    }

    fn update(&mut self) -> Changed {
        self.planner.update(&self.objects, &self.live)
    }

    fn decision(&mut self, name: &str) -> Arc<Decision> {
        self.update();
        Arc::clone(&self.planner.plan().decisions[&ObjectKey::new("default", name)])
    }

    /// The owner, or why there is none.
    fn owner(&mut self, name: &str) -> String {
        let decision = self.decision(name);
        decision.owner.as_deref().map_or(decision.why.to_string(), str::to_owned)
    }

    fn mine(&mut self) -> Vec<String> {
        self.update();
        let plan = self.planner.plan().mine.iter();
        plan.map(|(address, interfaces)| match interfaces {
            Interfaces::All => address.to_string(),
            Interfaces::Named(names) => format!("{address} on {names:?}"),
        })
        .collect()
    }
}

// S-184
#[test]
fn an_address_of_a_pool_without_advertisement_is_not_announced() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    assert_eq!(world.owner("web"), "gw-c");
    world.advertise("all", json!({"ipAddressPools": ["q"]}));
    let message = "no L2Advertisement covers pool p; make one with the pool in spec.ipAddressPools";
    assert_eq!(world.owner("web"), message);
    assert_eq!(world.decision("web").why.word(), "NotAdvertised");
    world.advertise("some", json!({"ipAddressPoolSelectors": [{"matchLabels": {"pool": "p"}}]}));
    assert_eq!(world.owner("web"), "gw-c");
}

#[test]
fn without_an_address_of_a_pool_there_is_nothing_to_announce() {
    let mut world = World::new();
    world.service("web", "", "n1");
    assert_eq!(world.owner("web"), "it has no address yet");
    assert_eq!(world.decision("web").pool, None);
    world.service("web", "198.51.100.1", "n1");
    assert!(world.owner("web").starts_with("its addresses are not in one IPAddressPool"));
    world.pool("q", json!(["198.51.100.0/24"]));
    world.service("web", "198.51.100.1 192.0.2.1", "n1");
    assert!(world.owner("web").starts_with("its addresses are not in one IPAddressPool"));
    assert_eq!(world.mine(), [""; 0]);
}

// S-185
#[test]
fn the_hash_elects_among_live_gateways_and_preference_comes_first() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    assert_eq!(format!("{:#}", world.decision("web").why), "won by hash among gw-a, gw-b, gw-c, gw-d");
    assert_eq!(world.decision("web").why.to_string(), "elected", "what others do changes no condition");
    world.live.remove("gw-c");
    assert_eq!(world.owner("web"), "gw-b");
    world.live.remove("gw-d");
    assert_eq!(world.owner("web"), "gw-b", "an unrelated node was lost");
    let prefer = |weight, name| json!({"weight": weight, "preference": {"matchLabels": {"name": name}}});
    world.advertise("all", json!({"preferredNodeSelectors": [prefer(2, "gw-b"), prefer(1, "gw-a")]}));
    world.advertise("more", json!({"preferredNodeSelectors": [prefer(2, "gw-a")]}));
    assert_eq!(world.owner("web"), "gw-a");
    assert_eq!(format!("{:#}", world.decision("web").why), "won by preference 3 among gw-a, gw-b");
    // A preference counts only for nodes that its advertisement allows.
    world.advertise(
        "more",
        json!({
            "nodeSelectors": [{"matchLabels": {"name": "gw-b"}}],
            "preferredNodeSelectors": [prefer(2, "gw-a")],
        }),
    );
    assert_eq!(world.owner("web"), "gw-b");
    world.live.clear();
    assert_eq!(world.owner("web"), "no gateway is alive");
}

#[test]
fn both_addresses_of_a_service_are_on_one_node() {
    let mut world = World::new();
    world.service("web", "2001:db8::10 192.0.2.11", "n1");
    assert_eq!(world.owner("web"), "gw-c", "gw-b is first for 192.0.2.11");
    world.live = ["gw-a".to_owned()].into();
    assert_eq!(world.mine(), ["192.0.2.11", "2001:db8::10"]);
    assert_eq!(world.decision("web").why, Reason::Only);
}

// S-186, S-229
#[test]
fn without_a_usable_endpoint_nobody_announces() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "");
    assert_eq!(world.owner("web"), "no endpoint is ready or serving");
    world.endpoints("web", "n1", json!({"ready": false, "serving": true}));
    assert_eq!(world.owner("web"), "gw-c");
    // What is not said is not true.
    world.endpoints("web", "n1", json!({"ready": false}));
    assert_eq!(world.owner("web"), "no endpoint is ready or serving");
    // A slice of the other family counts as well.
    put(
        &mut world.objects.slices,
        "default",
        "web-6",
        json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv6",
            "endpoints": [{"addresses": ["fd00::1"]}],
        }),
    );
    assert_eq!(world.owner("web"), "gw-c");
    world.objects.slices = Kind::new();
    assert_eq!(world.owner("web"), "no endpoint is ready or serving");
}

// S-186
#[test]
fn for_the_local_policy_only_nodes_with_an_endpoint_announce() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1 gw-a gw-d");
    world.service_with("web", "192.0.2.10", json!({"externalTrafficPolicy": "Local"}), json!({}));
    assert_eq!(world.owner("web"), "gw-d");
    assert_eq!(format!("{:#}", world.decision("web").why), "won by hash among gw-a, gw-d");
    world.endpoints("web", "gw-a", json!({"ready": true}));
    assert_eq!(world.owner("web"), "gw-a");
    world.endpoints("web", "gw-a", json!({"ready": false}));
    assert_eq!(world.owner("web"), "no endpoint is ready or serving");
    world.endpoints("web", "n1", json!({"ready": true}));
    let message = "externalTrafficPolicy is Local, and none of the gateways gw-a, gw-b, gw-c, gw-d has a usable \
                   endpoint";
    assert_eq!(world.owner("web"), message);
}

#[test]
fn for_the_local_policy_a_ready_endpoint_comes_before_one_that_ends() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "gw-a gw-d");
    world.service_with("web", "192.0.2.10", json!({"externalTrafficPolicy": "Local"}), json!({}));
    assert_eq!(world.owner("web"), "gw-d");
    let slice = |gw_a: Value| {
        let ends = json!({"ready": false, "serving": true, "terminating": true});
        let endpoint =
            |node, conditions| json!({"addresses": ["10.0.0.1"], "nodeName": node, "conditions": conditions});
        json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
            "endpoints": [endpoint("gw-d", ends), endpoint("gw-a", gw_a)],
        })
    };
    put(&mut world.objects.slices, "default", "web-1", slice(json!({"ready": true})));
    assert_eq!(world.owner("web"), "gw-a", "while the one on gw-d still serves");
    put(&mut world.objects.slices, "default", "web-1", slice(json!({"ready": false})));
    assert_eq!(world.owner("web"), "gw-d", "better than none");
}

// S-187
#[test]
fn excluded_nodes_and_those_without_network_never_announce() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    world.node("gw-c", json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""}), json!([]));
    assert_eq!(world.owner("web"), "gw-b");
    let condition = |status| json!([{"type": "NetworkUnavailable", "status": status}]);
    world.node("gw-b", json!({}), condition("False"));
    assert_eq!(world.owner("web"), "gw-b");
    world.node("gw-b", json!({}), condition("True"));
    assert_eq!(world.owner("web"), "gw-d");
    world.objects.nodes.remove(&ObjectKey::new("", "gw-d"));
    world.live.remove("gw-a");
    assert_eq!(
        world.owner("web"),
        "every gateway that may announce it is excluded: gw-b, because its condition NetworkUnavailable is True; \
         gw-c, because it has the label node.kubernetes.io/exclude-from-external-load-balancers; \
         gw-d, because there is no Node of that name"
    );
    world.objects.nodes = Kind::new();
    assert_eq!(world.owner("web"), "gw-c", "a source without Nodes has gateways without labels");
}

#[test]
fn advertisements_choose_nodes_and_interfaces() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    let on = |node: &str, interfaces: Value| json!({"nodeSelectors": [{"matchLabels": {"name": node}}], "interfaces": interfaces});
    world.advertise("all", on("gw-a", json!(["client0", "eth9"])));
    assert_eq!(world.owner("web"), "gw-a");
    assert_eq!(world.mine(), [r#"192.0.2.10 on {"client0"}"#]);
    world.advertise("more", on("gw-a", json!(["client1"])));
    assert_eq!(world.mine(), [r#"192.0.2.10 on {"client0", "client1"}"#]);
    world.advertise("elsewhere", on("gw-b", json!([])));
    world.live.remove("gw-b");
    assert_eq!(world.mine(), [r#"192.0.2.10 on {"client0", "client1"}"#]);
    world.advertise("more", on("gw-a", json!([])));
    assert_eq!(world.mine(), ["192.0.2.10"]);
    world.live.remove("gw-a");
    assert_eq!(
        world.owner("web"),
        "no live gateway is allowed by the nodeSelectors of L2Advertisement all, elsewhere, more; alive: gw-c, gw-d"
    );
}

#[test]
fn interfaces_that_this_node_lacks_are_told_and_nobody_takes_over() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    world.live = ["gw-a".to_owned(), "gw-d".to_owned()].into();
    world.advertise(
        "all",
        json!({"interfaces": ["eth9", "eth8"], "nodeSelectors": [{"matchLabels": {"name": "gw-a"}}]}),
    );
    assert_eq!(world.owner("web"), "gw-a");
    assert_eq!(world.mine(), [""; 0]);
    let key = ObjectKey::new("default", "web");
    assert_eq!(world.planner.plan().lacking[&key], ["eth8", "eth9"].map(str::to_owned).into());
    world.advertise("all", json!({"interfaces": ["client1"]}));
    world.live.remove("gw-d");
    assert!(world.update().services.contains(&key));
    assert!(world.planner.plan().lacking.is_empty());
    assert_eq!(world.mine(), [r#"192.0.2.10 on {"client1"}"#]);
}

#[test]
fn service_selectors_choose_services() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    world.service("dns", "192.0.2.11", "n1");
    world.advertise("all", json!({"serviceSelectors": [{"matchLabels": {"app": "web"}}]}));
    assert_eq!(world.owner("web"), "gw-c");
    assert_eq!(
        world.owner("dns"),
        "the serviceSelectors of L2Advertisement all, which covers pool p, do not select it"
    );
}

#[test]
fn a_service_that_may_share_is_not_told_apart_by_selectors() {
    let mut world = World::new();
    for annotation in ["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"] {
        world.service("web", "192.0.2.10", "n1");
        world.service_with("web", "192.0.2.10", json!({}), json!({annotation: ""}));
        assert_eq!(world.owner("web"), "gw-c");
        world.advertise("choosy", json!({"serviceSelectors": [{"matchLabels": {"app": "dns"}}]}));
        assert_eq!(world.owner("web"), "gw-c", "one that is for others does not matter");
        world.advertise("choosy", json!({"serviceSelectors": [{"matchLabels": {"app": "web"}}]}));
        assert_eq!(world.decision("web").why, Reason::Ambiguous { advertisement: "choosy".into() });
        world.objects.advertisements.remove(&ObjectKey::new("pools", "choosy"));
    }
}

#[test]
fn a_shared_address_stays_while_one_service_wants_it() {
    let mut world = World::new();
    world.live = ["gw-a".to_owned()].into();
    for name in ["web", "dns"] {
        world.service(name, "192.0.2.10", "n1");
    }
    assert_eq!(world.mine(), ["192.0.2.10"]);
    world.endpoints("dns", "", json!({}));
    assert_eq!(world.mine(), ["192.0.2.10"]);
    assert_eq!(world.decision("dns").why, Reason::NoEndpoint);
    world.objects.services.remove(&ObjectKey::new("default", "web"));
    assert_eq!(world.mine(), [""; 0]);
}

#[test]
fn an_address_has_one_announcer_however_many_services_share_it() {
    let mut world = World::new();
    // By themselves, `a` would be on gw-b (by 192.0.2.11) and `b` on gw-c (by 2001:db8::10).
    world.service("a", "192.0.2.11 2001:db8::10", "n1");
    world.service("b", "2001:db8::10", "n1");
    assert_eq!((world.owner("a"), world.owner("b")), ("gw-b".to_owned(), "gw-b".to_owned()));
    assert_eq!(
        world.decision("b").why.to_string(),
        "shares 2001:db8::10 with default/a, whose announcer counts for both"
    );
    world.endpoints("a", "", json!({}));
    assert_eq!(world.owner("b"), "gw-c");
}

#[test]
fn only_services_of_our_class_are_looked_at() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    for (spec, is_ours) in [
        (json!({}), true),
        (json!({"loadBalancerClass": "other"}), false),
        (json!({"loadBalancerClass": null}), false),
        (json!({"type": "NodePort"}), false),
    ] {
        world.service_with("web", "192.0.2.10", spec, json!({}));
        world.update();
        assert_eq!(world.planner.plan().decisions.len(), usize::from(is_ours));
    }
}

#[test]
fn only_what_changed_is_told() {
    let mut world = World::new();
    for name in ["web", "dns", "mail"] {
        world.service(name, "192.0.2.10", "n1");
    }
    world.live = ["gw-a".to_owned(), "gw-b".to_owned()].into();
    assert_eq!(world.update().services.len(), 3);
    assert_eq!(world.update(), Changed::default());
    // The kubelet tells that it is alive, and an endpoint moves: nobody minds.
    world.node("gw-b", json!({"name": "gw-b"}), json!([{"type": "Ready", "status": "True"}]));
    world.endpoints("web", "n2", json!({"ready": true}));
    assert_eq!(world.update(), Changed::default());
    world.service("dns", "192.0.2.12", "n1");
    let changed = world.update();
    assert_eq!(changed.services, [ObjectKey::new("default", "dns")].into());
    world.objects.services.remove(&ObjectKey::new("default", "dns"));
    assert_eq!(world.update().services, [ObjectKey::new("default", "dns")].into());
    world.live.remove("gw-b");
    assert!(world.update().mine);
}

#[test]
fn nothing_is_decided_before_everything_is_listed_and_bad_pools_change_nothing() {
    let mut world = World::new();
    world.service("web", "192.0.2.10", "n1");
    world.objects.pending = true;
    assert_eq!(world.update(), Changed::default());
    world.objects.pending = false;
    assert_eq!(world.owner("web"), "gw-c");
    world.pool("p", json!(["192.0.2.9-192.0.2.1"]));
    assert_eq!(world.owner("web"), "gw-c");
    world.advertise("all", json!({"ipAddressPools": ["none"], "preferredNodeSelectors": [{"weight": 0}]}));
    assert_eq!(world.owner("web"), "gw-c");
    let problems: Vec<_> =
        world.planner.problems().iter().map(|problem| problem.fault.path.clone()).collect();
    assert_eq!(problems, ["spec.preferredNodeSelectors[0].weight", "spec.ipAddressPools[0]"]);
}

/// A change of something in the world.
fn change(world: &mut World, (what, which, value): (u8, usize, usize)) {
    let names = ["a", "b", "c"];
    let nodes = ["gw-a", "gw-b", "gw-c", "n1", ""];
    let addresses =
        ["192.0.2.10", "192.0.2.11 2001:db8::10", "2001:db8::10", "", "198.51.100.1", "192.0.2.11"];
    let (name, node) = (names[which % 3], nodes[value % 5]);
    match what {
        0 => {
            let policy = if value % 2 == 0 { "Local" } else { "Cluster" };
            let spec = json!({"externalTrafficPolicy": policy});
            world.service_with(name, addresses[value % 6], spec, json!({}));
        }
        1 => world.endpoints(name, node, json!({"ready": value % 3 > 0})),
        2 => drop(world.objects.services.remove(&ObjectKey::new("default", name))),
        3 => drop(world.objects.slices.remove(&ObjectKey::new("default", format!("{name}-1")))),
        4 if world.live.remove(node) => {}
        4 => drop(world.live.insert(node.to_owned())),
        5 => world.node(node, json!({"name": name}), json!([])),
        6 => drop(world.objects.nodes.remove(&ObjectKey::new("", node))),
        7 => {
            let v4 = ["192.0.2.0/24", "198.51.100.0/24"][value % 2];
            world.pool("p", json!([v4, "2001:db8::/64"]));
        }
        8 => {
            let interface = ["client0", "eth9"][value % 2];
            world.advertise(name, json!({"interfaces": [interface]}));
        }
        9 => world.advertise(
            name,
            json!({
                "nodeSelectors": [{"matchLabels": {"name": names[value % 3]}}],
                "serviceSelectors": [{"matchLabels": {"app": name}}],
            }),
        ),
        _ => drop(world.objects.advertisements.remove(&ObjectKey::new("pools", name))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn following_changes_comes_to_the_same_as_starting_anew(
        changes in prop::collection::vec((0u8..11, 0usize..3, 0usize..30), 1..40),
    ) {
        let mut world = World::new();
        for one in changes {
            change(&mut world, one);
            let before = world.planner.plan().clone();
            let changed = world.update();
            let mut anew = planner();
            anew.update(&world.objects, &world.live);
            prop_assert_eq!(anew.plan(), world.planner.plan());
            let after = world.planner.plan();
            prop_assert_eq!(changed.mine, before.mine != after.mine);
            for key in before.decisions.keys().chain(after.decisions.keys()) {
                let differs = before.decisions.get(key) != after.decisions.get(key)
                    || before.lacking.get(key) != after.lacking.get(key);
                prop_assert_eq!(changed.services.contains(key), differs, "{}", key);
            }
        }
    }
}
