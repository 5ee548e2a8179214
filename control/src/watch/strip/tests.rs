use super::*;
use crate::{ipam::Request, model::Model, objects::Object};
use serde_json::{Value, json};
use std::sync::Arc;

/// What API servers add to everything.
fn metadata(name: &str, namespace: &str) -> Value {
    json!({
        "name": name, "namespace": namespace, "uid": "0acb40a3-2c99-467a-93a3-7293ba7014c7", "generation": 3,
        "resourceVersion": "4711", "creationTimestamp": "2026-01-01T00:00:00Z", "generateName": "some-",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "1"}],
        "finalizers": ["service.kubernetes.io/load-balancer-cleanup"],
        "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:spec": {}}}],
        "labels": {"app": "web", "kubernetes.io/service-name": "web", "topology.kubernetes.io/zone": "a"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}", "metallb.io/address-pool": "outside",
            "metallb.universe.tf/allow-shared-ip": "key", "penstock.dev/announced-by": "gateway-1",
            "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z",
        },
    })
}

fn web() -> Service {
    serde_json::from_value(json!({
        "metadata": metadata("web", "default"),
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000,
            "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "selector": {"app": "web"},
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}],
        },
        "status": {
            "loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]},
            "conditions": [
                {"type": "penstock.dev/Announced", "status": "True", "reason": "A", "message": "",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "example.com/Theirs", "status": "True", "reason": "A", "message": "",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ],
        },
    }))
    .unwrap()
}

fn slice() -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": metadata("web-1", "default"), "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [{
            "addresses": ["10.2.0.1", "10.2.0.2"], "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "node-1", "zone": "a", "hostname": "web-0", "hints": {"forZones": [{"name": "a"}]},
            "deprecatedTopology": {"a": "b"},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": "2", "resourceVersion": "3"},
        }],
    }))
    .unwrap()
}

fn node(heartbeat: &str, network: &str) -> Node {
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "lastHeartbeatTime": heartbeat, "lastTransitionTime": heartbeat,
            "reason": "Kubelet", "message": heartbeat})
    };
    serde_json::from_value(json!({
        "metadata": metadata("node-1", ""),
        "spec": {"podCIDR": "10.2.0.0/24", "podCIDRs": ["10.2.0.0/24"], "providerID": "cloud://1",
            "taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "198.18.0.9"}],
            "conditions": [condition("MemoryPressure", "False"), condition("Ready", "True"),
                condition("NetworkUnavailable", network)],
            "images": [{"names": ["a"], "sizeBytes": 1}], "capacity": {"cpu": heartbeat.len().to_string()},
            "nodeInfo": {"architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
                "systemUUID": ""},
        },
    }))
    .unwrap()
}

/// What the model makes of them.
fn read(service: Service, slice: ReadSlice, node: Node) -> String {
    fn only<T>(name: ObjectKey, value: T) -> Kind<T> {
        Kind::unit(name, Object { origin: None, value: Arc::new(value) })
    }
    let mut model = Model::default();
    let problems = model.update(&Objects {
        services: only(key(&service.metadata), service),
        slices: only(ObjectKey::new("default", "web-1"), slice),
        nodes: only(key(&node.metadata), node),
        ..Objects::default()
    });
    format!("{:#?} {:#?} {problems:#?}", model.services(), model.node("node-1"))
}

#[test]
fn who_reads_objects_finds_in_what_is_kept_all_that_was_there() {
    let (time, full) = ("2026-01-01T00:00:00Z", web());
    let whole = read(web(), slice().into(), node(time, "True"));
    assert!(whole.contains("web-0") && whole.contains("leaving: true"), "{whole}");
    let kept = read(web().keep().unwrap(), slice().keep().unwrap(), node(time, "True").keep().unwrap());
    assert_eq!(kept, whole);
    let key = key(&full.metadata);
    assert_eq!(Request::read(&key, &full.clone().keep().unwrap()), Request::read(&key, &full));
}

#[test]
fn what_nobody_reads_is_dropped() {
    let service = web().keep().unwrap();
    let annotations: Vec<_> = service.metadata.annotations.iter().flat_map(|all| all.keys()).collect();
    assert_eq!(
        annotations,
        ["metallb.io/address-pool", "metallb.universe.tf/allow-shared-ip", "penstock.dev/announced-by"]
    );
    let conditions = service.status.unwrap().conditions.unwrap();
    assert_eq!(conditions.iter().map(|it| it.type_.as_str()).collect::<Vec<_>>(), ["penstock.dev/Announced"]);
    for meta in [service.metadata, node("2026-01-01T00:00:00Z", "True").keep().unwrap().metadata] {
        assert!(
            meta.managed_fields.is_none() && meta.resource_version.is_none() && meta.finalizers.is_none()
        );
        assert!(meta.uid.is_some() && meta.generation == Some(3) && meta.labels.is_some());
    }
    assert!(service.spec.unwrap().selector.is_some(), "sharing an address depends on it");
    let mut inside = web();
    inside.spec.as_mut().unwrap().type_ = Some("ClusterIP".to_owned());
    assert_eq!(inside.keep().unwrap().spec.unwrap().selector, None);
}

#[test]
fn a_heartbeat_changes_nothing_but_a_lost_network_does() {
    let quiet = node("2026-01-01T00:00:00Z", "False").keep().unwrap();
    assert_eq!(node("2026-01-01T00:00:10.5Z", "False").keep().unwrap(), quiet);
    assert_ne!(node("2026-01-01T00:00:00Z", "True").keep().unwrap(), quiet);
}
