//! Objects that are wrong: each is told of its fault by an event, Services by a condition as well, and everything else is
//! served as before.

use penstock_tests::{
    require_cluster,
    site::{GatewayOptions, Load, Site, objects},
};
use serde_json::{Value, json};

use crate::{
    shared::on_site,
    steps::{self, condition, ingress},
};

const ASSIGNED: &str = "penstock.dev/AddressAssigned";
const VALID: &str = "penstock.dev/Valid";

// S-175
#[test]
fn a_wrong_object_is_told_so_and_everything_else_is_served() {
    require_cluster!();
    let namespace = "faults";
    on_site(namespace, |site| {
        let mut gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let targets = steps::serve(site, namespace, "good", 1);
        let load = Load::start_patient(site.client(), &targets, 20).unwrap();
        let taken = targets[0].ip().to_string();

        refused_requests(site, namespace, &taken);
        clashes(site, namespace);
        nonsense_slice(site, namespace);
        wrong_pools(site);

        let outcome = load.stop();
        outcome.all_answered().unwrap_or_else(|error| panic!("{error:#}\n{}", steps::logs(site)));
        for gateway in &mut gateways {
            gateway.check().unwrap();
        }
        // And what is right afterwards is served as ever.
        steps::serve(site, namespace, "another", 1);
    });
}

/// Requests for addresses that cannot be had.
fn refused_requests(site: &Site, namespace: &str, taken: &str) {
    // S-178
    let note = pends(site, namespace, requesting(namespace, "outside-pools", "192.0.2.99", None));
    assert!(note.contains("is not allowed in config"), "{note}");
    // S-182: the other user has no key.
    let note = pends(site, namespace, requesting(namespace, "keyless", taken, None));
    assert!(note.contains("in use"), "{note}");
    site.cluster.apply(&[requesting(namespace, "sharer", "10.1.8.100", Some("one"))]).unwrap();
    site.wait_for("it has what it asked for", &steps::service_path(namespace, "sharer"), |service| {
        ingress(service).iter().any(|address| address.to_string() == "10.1.8.100")
    })
    .unwrap();
    let note = pends(site, namespace, requesting(namespace, "other-key", "10.1.8.100", Some("two")));
    assert!(note.contains("in use"), "{note}");
    let note = pends(site, namespace, requesting(namespace, "same-port", "10.1.8.100", Some("one")));
    assert!(note.contains("port TCP/80 is already in use"), "{note}");
}

/// Two Services that want the same address and port by `externalIPs`: the older one has it.
fn clashes(site: &Site, namespace: &str) {
    for name in ["first", "second"] {
        site.cluster
            .apply(&[json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": {"app": "good"}, "externalIPs": ["10.1.9.1"], "ports": [{"port": 80}]},
            })])
            .unwrap();
        if name == "first" {
            // Creation times are whole seconds.
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
    }
    let path = steps::service_path(namespace, "second");
    let is_invalid =
        |service: &Value| condition(service, VALID).is_some_and(|condition| condition["status"] == "False");
    let service = site.wait_for("the second one is told", &path, is_invalid).unwrap();
    let message = condition(&service, VALID).unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("10.1.9.1") && message.contains("first"), "{message}");
    let first = site.cluster.api().get(&steps::service_path(namespace, "first")).unwrap();
    assert!(condition(&first, VALID).is_none_or(|condition| condition["status"] == "True"), "{first:#}");
    let all = steps::events(site, namespace, "Service", "second");
    assert!(!all.is_empty(), "no event on the second one");
}

/// Addresses that nobody can send to. What the rules refuse the API server refuses too (it does not where the object is of
/// an older one); a group is all that it lets through, and it costs its own Service alone.
fn nonsense_slice(site: &Site, namespace: &str) {
    for (address, is_taken) in
        [("127.0.0.1", false), ("169.254.1.1", false), ("0.0.0.0", false), ("239.1.2.3", true)]
    {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "nonsense", "namespace": namespace,
                "labels": {"kubernetes.io/service-name": "sharer"}},
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        });
        assert_eq!(site.cluster.apply(&[slice]).is_ok(), is_taken, "{address}");
    }
    let note = steps::wait_for_event(site, namespace, "EndpointSlice", "nonsense", "DoubtfulEndpointSlice");
    assert!(note.contains("239.1.2.3") && note.contains("endpoints[0].addresses[0]"), "{note}");
}

fn wrong_pools(site: &Site) {
    let wrong = [
        ("overlapping", "10.1.8.128/25", "overlaps"),
        ("reversed", "10.1.20.9-10.1.20.1", "start IP"),
        ("garbled", "10.1.21.0/99", "invalid CIDR"),
    ];
    for (name, addresses, says) in wrong {
        site.cluster.apply(&[objects::pool(name, &[addresses])]).unwrap();
        let note =
            steps::wait_for_event(site, Site::namespace(), "IPAddressPool", name, "InvalidIPAddressPool");
        assert!(note.contains(says), "{name}: {note}");
        let path = format!("/apis/metallb.io/v1beta1/namespaces/{}/ipaddresspools/{name}", Site::namespace());
        site.cluster.api().delete(&path).unwrap();
    }
}

/// A Service that asks for an address.
fn requesting(namespace: &str, name: &str, address: &str, key: Option<&str>) -> Value {
    let mut service = objects::service(namespace, name);
    service["spec"]["ipFamilyPolicy"] = "SingleStack".into();
    service["metadata"]["annotations"] = json!({"metallb.io/loadBalancerIPs": address});
    if let Some(key) = key {
        service["metadata"]["annotations"]["metallb.io/allow-shared-ip"] = key.into();
    }
    service
}

/// Applies a Service that must stay without an address; returns the event's note.
fn pends(site: &Site, namespace: &str, service: Value) -> String {
    let name = service["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    site.cluster.apply(&[service]).unwrap();
    let note = steps::wait_for_event(site, namespace, "Service", &name, "AllocationFailed");
    let is_told = |service: &Value| {
        condition(service, ASSIGNED).is_some_and(|condition| condition["status"] == "False")
    };
    let told =
        site.wait_for("its condition says so", &steps::service_path(namespace, &name), is_told).unwrap();
    assert_eq!(ingress(&told), Vec::<std::net::IpAddr>::new());
    note
}
