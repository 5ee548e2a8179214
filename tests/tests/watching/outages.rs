//! An API server that goes away, forgets, or goes back in time: last good objects stay, then the truth is taken in.

use super::gateway::{Lab, addresses, key, service, slice};
use penstock_tests::require_cluster;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web-1";

#[test]
fn outages_lost_history_and_an_older_store_are_followed_by_the_truth() {
    require_cluster!();
    let mut lab = Lab::new("psk-away");
    lab.cluster.apply(&[service("web", 80), slice("web-1", "web", &["10.2.0.1"])]).unwrap();
    // An API server that is away is waited for.
    lab.cluster.stop_api_server();
    let mut gateway = lab.gateway(lab.admin.clone());
    gateway.until("a problem", |objects| !objects.problems.is_empty());
    assert!(gateway.objects().pending);
    lab.cluster.start_api_server().unwrap();
    gateway.until("listed", |objects| !objects.pending && objects.problems.is_empty());
    let first = gateway.objects();
    let is_same = |now: &penstock::objects::Objects| {
        let web = key("default", "web");
        Arc::ptr_eq(&first.services[&web].value, &now.services[&web].value)
    };

    // Killed: everything stays, and the problem is one.
    lab.cluster.stop_api_server();
    gateway.until("a problem", |objects| !objects.problems.is_empty());
    std::thread::sleep(Duration::from_secs(1));
    let away = gateway.objects();
    assert_eq!(away.problems.len(), 1, "{:?}", away.problems);
    let told = away.problems[0].to_string();
    assert!(told.starts_with("API server: cannot be reached since 20"), "{told}");
    assert!(told.contains("last good objects stay"), "{told}");
    assert!(is_same(&away) && addresses(&away, "web-1") == ["10.2.0.1"] && !away.pending);

    // It comes back without the history that a watch could be resumed from.
    lab.cluster.forget_history().unwrap();
    lab.cluster.start_api_server().unwrap();
    gateway.until("no problem", |objects| objects.problems.is_empty());
    assert!(is_same(&gateway.objects()), "a new list brings no news of what has not changed");
    change(&lab, "10.2.0.2");
    gateway.until("a change", |objects| addresses(objects, "web-1") == ["10.2.0.2"]);

    // It comes back as it was before some changes: what was changed is as it was, what was made since is gone.
    let snapshot = lab.cluster.snapshot().unwrap();
    change(&lab, "10.2.0.3");
    lab.cluster.apply(&[service("later", 81)]).unwrap();
    gateway.until("what will be undone", |objects| {
        addresses(objects, "web-1") == ["10.2.0.3"] && objects.services.contains_key(&key("default", "later"))
    });
    lab.cluster.restore(&snapshot).unwrap();
    gateway.until("the past", |objects| {
        addresses(objects, "web-1") == ["10.2.0.2"]
            && !objects.services.contains_key(&key("default", "later"))
    });
    assert!(is_same(&gateway.objects()));
    // Its versions are lower than those we had seen: a watch must not wait for them to come round again.
    change(&lab, "10.2.0.4");
    gateway.until("a change after that", |objects| addresses(objects, "web-1") == ["10.2.0.4"]);
    gateway.until("no problem", |objects| objects.problems.is_empty());
}

fn change(lab: &Lab, address: &str) {
    lab.cluster.api().patch(SLICE, &json!({"endpoints": [{"addresses": [address]}]})).unwrap();
}
