//! Objects as users write them.

use serde_json::{Value, json};

use super::Site;

/// The addresses for Services on the clients' segment, both families.
pub const POOL: [&str; 2] = ["10.1.8.0/24", "fd00:1::8:0/112"];

/// The class of Services that are Penstock's.
pub const CLASS: &str = "penstock.dev/gateway";

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A pool of MetalLB's.
pub fn pool(name: &str, addresses: &[&str]) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": Site::namespace()}, "spec": {"addresses": addresses},
    })
}

/// An advertisement of every pool by every gateway.
pub fn advertisement(name: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": Site::namespace()}, "spec": {},
    })
}

/// A Deployment of nginx; `version` is a label of its Pods, so that another one is a rollout.
pub fn deployment(namespace: &str, name: &str, replicas: u8, version: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            // A machine holds one Pod, so nothing is to surge far.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": name, "version": version}},
                "spec": {"containers": [{
                    "name": "nginx", "image": "nginx", "ports": [{"containerPort": 8080}]}]},
            },
        },
    })
}

/// A LoadBalancer Service of our class, port 80, for a [`deployment`] of the same name, with an address of each family.
pub fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": CLASS, "ipFamilyPolicy": "RequireDualStack",
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    })
}
