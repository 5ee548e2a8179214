//! A real API server takes what is shipped: with strict validation, and with the definitions of MetalLB or with ours,
//! which make the same of the same objects.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use penstock::netns::{self, Owner, find_program};
use penstock_tests::{
    cluster::{Api, Cluster, ClusterOptions, metallb_definitions},
    require_cluster,
};
use serde_json::{Value, json};

use crate::shipped::{chart, documents, helm, kustomize, object, path};

/// Where MetalLB's users put its objects.
const POOLS: &str = "metallb-system";

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The Prometheus Operator's definition of a kind, of its Go module.
fn operators_definition(plural: &str) -> PathBuf {
    let go = find_program("go").unwrap_or_else(|_| PathBuf::from("/usr/local/go/bin/go"));
    let mut command = Command::new(go);
    command.args(["mod", "download", "-json", "github.com/prometheus-operator/prometheus-operator"]);
    command.current_dir(path("tests/deploy/prometheus-operator"));
    let answer: Value = serde_json::from_str(&netns::run(command).unwrap()).unwrap();
    let folder = Path::new(answer["Dir"].as_str().unwrap()).join("example/prometheus-operator-crd");
    folder.join(format!("monitoring.coreos.com_{plural}.yaml"))
}

#[test]
fn the_api_server_takes_everything_that_is_shipped() {
    require_cluster!();
    let mut cluster = Cluster::start(&ClusterOptions::new(Owner::new("psk-shipped"))).unwrap();
    for plural in ["servicemonitors", "prometheusrules"] {
        cluster.apply_path("-f", &operators_definition(plural)).unwrap();
    }
    let monitoring = |api: &Api| {
        let served = |plural: &str| api.get(&format!("/apis/monitoring.coreos.com/v1/{plural}")).is_ok();
        served("servicemonitors") && served("prometheusrules")
    };
    cluster.wait_until("the operator's API", monitoring).unwrap();
    cluster.apply(&[namespace(POOLS)]).unwrap();
    for folder in ["crds", "base", "overlays/metallb", "overlays/without-kube-proxy", "overlays/monitoring"] {
        cluster
            .apply_path("-k", &path("deploy/kustomize").join(folder))
            .unwrap_or_else(|error| panic!("{folder}: {error}"));
    }

    // Nothing makes Pods of the DaemonSet here: admission is asked for one itself.
    let objects = kustomize("base");
    let template = &object(&objects, "DaemonSet", "penstock")["spec"]["template"];
    let mut pod = template.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "one".into();
    let made = cluster.api().create("/api/v1/namespaces/penstock-system/pods", &pod).unwrap();
    assert_eq!(made["spec"]["priority"], 2_000_001_000, "system-node-critical: {made:#}");
    // Without the labels of our Namespace, Pod Security would not have it.
    let restricted = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    cluster.api().patch("/api/v1/namespaces/default", &restricted).unwrap();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "penstock", "namespace": "default"}});
    cluster.apply(&[account]).unwrap();
    let refused = cluster.api().create("/api/v1/namespaces/default/pods", &pod).unwrap_err().to_string();
    assert!(refused.contains("violates PodSecurity"), "{refused}");

    if let Some(helm) = helm() {
        let values = "namespace.create=true,poolNamespace=metallb-system,serviceMonitor.enabled=true,\
                      prometheusRule.enabled=true,dashboard.enabled=true";
        let mut objects = chart(&helm, values);
        // Another owner of the fields takes them over.
        objects.retain(|object| object["kind"] != "CustomResourceDefinition");
        let file = cluster.folder().join("chart.json");
        fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap();
        let line = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=helm",
            "--validate=strict",
            "-f",
        ];
        let file = file.to_string_lossy();
        cluster.kubectl(&[&line[..], &[&file]].concat()).unwrap();
    }
}

/// The pools and layer 2 advertisements of MetalLB's own samples.
fn samples() -> Vec<Value> {
    let definitions = metallb_definitions().unwrap();
    let folder = definitions.ancestors().nth(3).unwrap().join("configsamples");
    let mut samples: Vec<Value> = Vec::new();
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            samples.extend(documents(&fs::read_to_string(entry.path()).unwrap()));
        }
    }
    samples.retain(|sample| matches!(sample["kind"].as_str(), Some("IPAddressPool" | "L2Advertisement")));
    for (index, sample) in samples.iter_mut().enumerate() {
        sample["metadata"]["namespace"] = POOLS.into();
        sample["metadata"]["name"] = format!("sample-{index}").into();
    }
    samples
}

/// Every field that the samples leave out.
fn everything() -> Vec<Value> {
    let selector = json!({"matchLabels": {"a": "b"},
        "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}, {"key": "e", "operator": "Exists"}]});
    let object = |kind: &str, spec: Value| {
        json!({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": "everything", "namespace": POOLS},
            "spec": spec})
    };
    let pool = json!({
        "addresses": ["192.0.2.0/28", "198.51.100.1-198.51.100.9", "2001:db8::/120"],
        "autoAssign": false, "avoidBuggyIPs": true,
        "serviceAllocation": {"priority": 3, "namespaces": ["x"], "namespaceSelectors": [selector],
            "serviceSelectors": [selector]},
    });
    let advertisement = json!({
        "ipAddressPools": ["p"], "ipAddressPoolSelectors": [selector], "nodeSelectors": [selector],
        "serviceSelectors": [selector], "interfaces": ["eth0"],
        "preferredNodeSelectors": [{"weight": 100, "preference": selector}],
    });
    vec![object("IPAddressPool", pool), object("L2Advertisement", advertisement)]
}

fn collection(object: &Value) -> String {
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
    format!("/apis/metallb.io/v1beta1/namespaces/{POOLS}/{plural}")
}

/// What the API server makes of these objects.
fn specs(cluster: &Cluster, objects: &[Value]) -> Vec<Value> {
    cluster.apply(objects).unwrap();
    let read = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap();
        cluster.api().get(&format!("{}/{name}", collection(object))).unwrap()["spec"].clone()
    };
    objects.iter().map(read).collect()
}

/// These are refused.
fn nonsense() -> Vec<Value> {
    let mut none = everything();
    none[0]["spec"].as_object_mut().unwrap().remove("addresses");
    none[1]["spec"]["preferredNodeSelectors"][0]["weight"] = 101.into();
    let mut types = everything();
    types[0]["spec"]["addresses"] = "192.0.2.0/28".into();
    types[1]["spec"]["interfaces"] = json!([7]);
    let mut unknown = everything();
    unknown[0]["spec"]["adresses"] = json!([]);
    unknown[1]["spec"]["ipAddressPool"] = "p".into();
    [none, types, unknown].concat()
}

#[test]
fn our_definitions_of_metallbs_objects_do_what_metallbs_do() {
    require_cluster!();
    let mut cluster = Cluster::start(&ClusterOptions::new(Owner::new("psk-definitions"))).unwrap();
    cluster.apply(&[namespace(POOLS)]).unwrap();
    let objects = [samples(), everything()].concat();
    assert!(objects.len() > 8, "{objects:#?}");
    let names = ["ipaddresspools", "l2advertisements"];
    let served =
        |api: &Api| names.iter().all(|name| api.get(&format!("/apis/metallb.io/v1beta1/{name}")).is_ok());

    cluster.apply_path("-k", &path("deploy/kustomize/crds")).unwrap();
    cluster.wait_until("our API", served).unwrap();
    let ours = specs(&cluster, &objects);
    for object in nonsense() {
        assert!(cluster.apply(std::slice::from_ref(&object)).is_err(), "ours takes {object:#}");
    }
    let status = json!({"status": {"assignedIPv4": 1, "assignedIPv6": 0, "availableIPv4": i64::MAX, "availableIPv6": 2}});
    let pool = format!("{}/everything", collection(&everything()[0]));
    let read = cluster.api().patch(&format!("{pool}/status"), &status).unwrap();
    assert_eq!(read["status"], status["status"]);

    for name in names {
        cluster
            .api()
            .delete(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}.metallb.io"))
            .unwrap();
    }
    let gone =
        |api: &Api| names.iter().all(|name| api.get(&format!("/apis/metallb.io/v1beta1/{name}")).is_err());
    cluster.wait_until("an end of our API", gone).unwrap();
    cluster.install_metallb().unwrap();
    let theirs = specs(&cluster, &objects);
    for object in nonsense() {
        assert!(cluster.apply(std::slice::from_ref(&object)).is_err(), "MetalLB's takes {object:#}");
    }
    for ((object, our), their) in objects.iter().zip(&ours).zip(&theirs) {
        assert_eq!(our, their, "{object:#}");
    }
}
