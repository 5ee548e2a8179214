//! Real Kubernetes: an API server that defaults, allocates and refuses, controllers that make EndpointSlices, and
//! kube-proxy that serves what is in it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use penstock::netns::Owner;
use penstock_tests::{
    cluster::{Api, ApiError, Cluster, ClusterOptions},
    require_cluster,
};
use serde_json::{Value, json};

const SERVICES: &str = "/api/v1/namespaces/default/services";

#[test]
fn the_api_server_defaults_allocates_and_refuses_and_controllers_make_slices() {
    require_cluster!();
    let owner = Owner::new("psk-cluster");
    let mut cluster =
        Cluster::start(&ClusterOptions { controllers: true, ..ClusterOptions::new(owner) }).unwrap();

    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack", "selector": {"app": "web"},
            "externalTrafficPolicy": "Local", "ports": [{"port": 80, "targetPort": 8080}],
        },
    });
    cluster.apply(&[service]).unwrap();
    let read = cluster.api().get(&format!("{SERVICES}/web")).unwrap();
    let spec = &read["spec"];
    assert!(spec["clusterIP"].as_str().unwrap().starts_with("10.96."), "{spec:#}");
    assert!(spec["clusterIPs"][1].as_str().unwrap().starts_with("fd00:96::"), "{spec:#}");
    let node_port = spec["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30_000..=32_767).contains(&node_port), "{spec:#}");
    assert!(spec["healthCheckNodePort"].as_u64().is_some_and(|port| port != node_port), "{spec:#}");
    assert_eq!(
        (&spec["ports"][0]["protocol"], &spec["internalTrafficPolicy"]),
        (&json!("TCP"), &json!("Cluster"))
    );

    let bad = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"},
        "spec": {"ports": [{"port": 0}]},
    });
    let error = cluster.api().create(SERVICES, &bad).unwrap_err();
    assert!(matches!(&error, ApiError::Refused { code: 422, .. }), "{error}");
    assert!(error.to_string().contains("spec.ports[0].port"), "{error}");

    make_pod(cluster.api());
    cluster.wait_until("an EndpointSlice with the Pod", |api| !ready_addresses(api).is_empty()).unwrap();
    assert_eq!(ready_addresses(cluster.api()), ["10.2.0.11"]);
}

/// A Node with a Pod, and what its kubelet would say of it.
fn make_pod(api: &Api) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    api.create("/api/v1/nodes", &node).unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web"}]},
    });
    api.create("/api/v1/namespaces/default/pods", &pod).unwrap();
    let status = json!({"status": {
        "phase": "Running", "podIP": "10.2.0.11", "podIPs": [{"ip": "10.2.0.11"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    api.patch("/api/v1/namespaces/default/pods/web-1/status", &status).unwrap();
}

fn ready_addresses(api: &Api) -> Vec<String> {
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let slices = api.get(path).unwrap();
    let items = slices["items"].as_array().unwrap().iter();
    let endpoints = items.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    ready.flat_map(|endpoint| endpoint["addresses"].as_array().unwrap()).map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
