//! Real Kubernetes: an API server that defaults, allocates and refuses, controllers that make EndpointSlices, and
//! kube-proxy that serves what is in it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use penstock::netns::{Namespace, Owner};
use penstock_tests::{
    cluster::{Api, ApiError, Cluster, ClusterOptions, Permission, SLICES, ServiceAccount},
    require_cluster,
};
use serde_json::{Value, json};

const SERVICES: &str = "/api/v1/namespaces/default/services";

#[test]
fn the_api_server_defaults_allocates_and_refuses_and_controllers_make_slices() {
    require_cluster!();
    let owner = Owner::new("psk-cluster");
    let mut cluster =
        Cluster::start(&ClusterOptions { controllers: SLICES, ..ClusterOptions::new(owner) }).unwrap();

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

#[test]
fn a_service_account_may_do_what_it_is_granted_and_the_audit_log_tells() {
    require_cluster!();
    let owner = Owner::new("psk-account");
    let mut cluster = Cluster::start(&ClusterOptions::new(owner.clone())).unwrap();
    let namespace = Namespace::create(&owner, "outside").unwrap();
    let admin = cluster.join(&namespace).unwrap();
    let account = ServiceAccount::new("default", "reader");
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"});
    let rbac = "rbac.authorization.k8s.io/v1";
    cluster
        .apply(&[
            json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"namespace": "default", "name": "reader"}}),
            json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "reader"},
                "rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]}]}),
            json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "reader"},
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "reader"}]}),
        ])
        .unwrap();
    let kubeconfig = cluster.kubeconfig_as(&admin, &account).unwrap();
    let kubectl = cluster.programs().kubectl.to_string_lossy().into_owned();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let get = |what: &str| namespace.run(&[&kubectl, &kubeconfig, "get", what, "--all-namespaces"]);
    assert!(get("services").unwrap().contains("kubernetes"));
    let refused = get("secrets").unwrap_err().to_string();
    assert!(refused.contains("system:serviceaccount:default:reader"), "{refused}");

    let audit = cluster.audit(&account, 0).unwrap();
    let permission = |verb: &str, resource: &str| Permission {
        verb: verb.to_owned(),
        group: String::new(),
        resource: resource.to_owned(),
        namespace: None,
    };
    assert_eq!(audit.used.into_iter().collect::<Vec<_>>(), [permission("list", "services")]);
    assert_eq!(audit.forbidden.into_iter().collect::<Vec<_>>(), [permission("list", "secrets")]);
    let granted: Vec<_> = cluster.granted(&account).unwrap().into_iter().collect();
    assert_eq!(granted, [permission("get", "services"), permission("list", "services")]);
}

#[test]
fn a_cluster_comes_back_without_its_history_and_as_it_was_at_a_snapshot() {
    require_cluster!();
    let mut cluster = Cluster::start(&ClusterOptions::new(Owner::new("psk-outage"))).unwrap();
    cluster.install_metallb().unwrap();
    let pool = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": "outside", "namespace": "default"},
        "spec": {"addresses": ["192.0.2.0/28"]},
    });
    cluster.apply(std::slice::from_ref(&pool)).unwrap();
    let pools = "/apis/metallb.io/v1beta1/namespaces/default/ipaddresspools";
    let read = cluster.api().get(&format!("{pools}/outside")).unwrap();
    // What MetalLB's definition adds.
    assert_eq!(read["spec"]["autoAssign"], true, "{read:#}");

    let old = read["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let snapshot = cluster.snapshot().unwrap();
    let revision = cluster.revision().unwrap();
    cluster.stop_api_server();
    assert!(cluster.api().get(pools).is_err());
    cluster.forget_history().unwrap();
    cluster.start_api_server().unwrap();
    let watch = format!("{pools}?watch=true&timeoutSeconds=1&resourceVersion={old}");
    let is_gone = |api: &Api| api.get(&watch).is_ok_and(|event| event["object"]["code"] == 410);
    cluster.wait_until("a watch whose place is gone", is_gone).unwrap();

    let changed = json!({"spec": {"addresses": ["192.0.2.16/28"]}});
    cluster.api().patch(&format!("{pools}/outside"), &changed).unwrap();
    assert!(cluster.revision().unwrap() > revision);
    cluster.restore(&snapshot).unwrap();
    let read = cluster.api().get(&format!("{pools}/outside")).unwrap();
    assert_eq!(read["spec"]["addresses"], json!(["192.0.2.0/28"]));
    assert_eq!(read["metadata"]["resourceVersion"], old.as_str());
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
