//! What is in the cluster is what is seen, at once, and no more often than it changes.

use super::gateway::{Lab, addresses, key, pool, service, slice};
use penstock_tests::require_cluster;
use serde_json::json;
use std::{sync::Arc, time::Duration};

#[test]
fn all_is_listed_before_anything_is_served_and_changes_are_seen_at_once() {
    require_cluster!();
    let lab = Lab::new("psk-follow");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    let headless = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "headless", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "db", "service.kubernetes.io/headless": ""}},
        "addressType": "IPv4", "endpoints": [],
    });
    lab.cluster.apply(&[service("web", 80), slice("web-1", "web", &["10.2.0.1"]), node, headless]).unwrap();

    // Nothing is seen of a list that is not complete: the first objects that are not pending are all of them. The cluster
    // has no pools, nor knows what they are.
    let mut gateway = lab.gateway(lab.admin.clone());
    gateway.until("listed", |objects| !objects.pending);
    let objects = gateway.objects();
    assert!(objects.problems.is_empty(), "{:?}", objects.problems);
    let web = Arc::clone(&objects.services[&key("default", "web")].value);
    assert!(web.metadata.uid.is_some() && web.metadata.managed_fields.is_none(), "{web:#?}");
    assert!(objects.namespaces.contains_key(&key("", "penstock")));
    assert!(objects.nodes.contains_key(&key("", "node-1")));
    assert_eq!(objects.slices.len(), 1, "{:?}", objects.slices);
    let kept = &objects.slices[&key("default", "web-1")].value;
    let kept = kept.slice().unwrap();
    assert_eq!(kept.ports[0].name, "", "the API server fills it in");
    assert_eq!(kept.endpoints[0].target.as_deref(), Some("web-pod"));
    assert_eq!(addresses(&objects, "web-1"), ["10.2.0.1"]);

    // One change after the other, each seen before the next is made.
    let mut times = Vec::new();
    for number in 2..20 {
        let address = format!("10.2.0.{number}");
        lab.cluster
            .api()
            .patch(
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web-1",
                &json!({"endpoints": [{"addresses": [address]}]}),
            )
            .unwrap();
        times.push(gateway.until("an endpoint", |objects| addresses(objects, "web-1") == [address.as_str()]));
    }
    // Of most, since the machine may have other things to do now and then; what is not watched is late every time.
    times.sort();
    println!("changes were seen so long after the API server had answered their writer: {times:?}");
    assert!(times[times.len() / 2] < Duration::from_secs(1), "{times:?}");
    let objects = gateway.objects();
    assert!(Arc::ptr_eq(&web, &objects.services[&key("default", "web")].value), "it has not changed");

    // A kubelet's heartbeat is no news; that a node loses its network is.
    let beat = |time: &str, network: &str| {
        let condition = |kind: &str, status: &str| {
            json!({
                "type": kind, "status": status, "lastHeartbeatTime": time, "reason": "Test", "message": time,
            })
        };
        let conditions = [condition("Ready", "True"), condition("NetworkUnavailable", network)];
        lab.cluster
            .api()
            .patch(
                "/api/v1/nodes/node-1/status",
                &json!({"status": {
                    "conditions": conditions, "images": [{"names": ["a"], "sizeBytes": 1}],
                }}),
            )
            .unwrap();
    };
    let unavailable = |objects: &penstock::objects::Objects, status: &str| {
        let node = objects.nodes[&key("", "node-1")].value.status.clone().unwrap();
        let mut conditions = node.conditions.into_iter().flatten();
        conditions.any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == status)
    };
    beat("2026-01-01T00:00:00Z", "False");
    gateway.until("the first condition", |objects| unavailable(objects, "False"));
    gateway.objects();
    for minute in 1..5 {
        beat(&format!("2026-01-01T00:0{minute}:00Z"), "False");
    }
    // What comes later on the same watch has been taken in after them.
    std::thread::sleep(Duration::from_millis(500));
    assert!(!gateway.has_news(), "heartbeats wake nobody");
    beat("2026-01-01T00:06:00Z", "True");
    gateway.until("the network is gone", |objects| unavailable(objects, "True"));

    lab.cluster.api().delete("/api/v1/namespaces/default/services/web").unwrap();
    gateway.until("a deletion", |objects| !objects.services.contains_key(&key("default", "web")));
}

#[test]
fn pools_are_found_when_their_kind_is_installed_and_a_wrong_one_stays_alone() {
    require_cluster!();
    let mut lab = Lab::new("psk-pools");
    let mut gateway = lab.gateway(lab.admin.clone());
    gateway.until("listed", |objects| !objects.pending);
    lab.cluster.install_metallb().unwrap();
    lab.cluster.apply(&[pool("outside", "192.0.2.0/28")]).unwrap();
    // It is looked for every 30 s.
    gateway.until("the pool", |objects| objects.pools.contains_key(&key("penstock", "outside")));
    assert!(gateway.objects().problems.is_empty());

    // The definition takes a number that MetalLB itself could not read either.
    let priority = |value: i64| json!({"spec": {"serviceAllocation": {"priority": value}}});
    let path = "/apis/metallb.io/v1beta1/namespaces/penstock/ipaddresspools/outside";
    lab.cluster.api().patch(path, &priority(-1)).unwrap();
    gateway.until("a problem", |objects| !objects.problems.is_empty());
    let objects = gateway.objects();
    let told = objects.problems[0].to_string();
    assert!(
        told.starts_with("IPAddressPool penstock/outside: cannot be read: ") && told.contains("-1"),
        "{told}"
    );
    let last_good = &objects.pools[&key("penstock", "outside")].value;
    assert_eq!(last_good.spec.addresses, ["192.0.2.0/28"]);
    lab.cluster.apply(&[pool("inside", "192.0.2.16/28")]).unwrap();
    gateway.until("another pool", |objects| objects.pools.len() == 2);
    lab.cluster.api().patch(path, &priority(3)).unwrap();
    gateway.until("no problem", |objects| objects.problems.is_empty());
}
