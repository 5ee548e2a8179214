//! The chart and the kustomizations give the same objects, and their configuration is one that Penstock takes.

use penstock::config::{Config, Source};
use penstock_tests::require_cluster;
use serde_json::Value;

use crate::shipped::{chart, helm, kustomize, object, text};

/// What Helm adds to every object of its own.
const HELM_LABELS: [&str; 4] = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];

/// An object without what only one of the two has: Helm's labels and the checksum by which it rolls a changed
/// configuration out, and the hash by which kustomize does.
fn plain(mut object: Value) -> Value {
    if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
        HELM_LABELS.iter().for_each(|label| drop(labels.remove(*label)));
    }
    if object["kind"] == "DaemonSet" {
        let annotations = &mut object["spec"]["template"]["metadata"]["annotations"];
        annotations.as_object_mut().unwrap().remove("checksum/config");
        for volume in object["spec"]["template"]["spec"]["volumes"].as_array_mut().unwrap() {
            if let Some(name) = volume["configMap"].get_mut("name") {
                *name = without_hash(name).into();
            }
        }
    }
    if object["kind"] == "ConfigMap" {
        object["metadata"]["name"] = without_hash(&object["metadata"]["name"]).into();
        if let Some(configuration) = object["data"].get_mut("penstock.yaml") {
            let config = Config::from_yaml(configuration.as_str().unwrap(), "penstock.yaml", "node-1");
            *configuration = format!("{:?}", config.unwrap()).into();
        }
    }
    object
}

fn without_hash(name: &Value) -> String {
    let name = name.as_str().unwrap();
    let shortened = name.strip_prefix("penstock-config-").filter(|hash| hash.len() == 10);
    shortened.map_or(name, |_| "penstock-config").to_owned()
}

/// Sorted, since the order of objects is neither's promise.
fn sorted(objects: Vec<Value>) -> Vec<Value> {
    let mut objects: Vec<Value> = objects.into_iter().map(plain).collect();
    let key = |object: &Value| {
        let metadata = &object["metadata"];
        [&object["kind"], &metadata["namespace"], &metadata["name"]].map(ToString::to_string)
    };
    objects.sort_by_key(key);
    objects
}

#[track_caller]
fn same(kustomized: Vec<Value>, templated: Vec<Value>) {
    let (kustomized, templated) = (sorted(kustomized), sorted(templated));
    for (one, other) in kustomized.iter().zip(&templated) {
        assert_eq!(one, other, "\nkustomize:\n{one:#}\nHelm:\n{other:#}");
    }
    assert_eq!(kustomized.len(), templated.len());
}

#[test]
fn the_chart_and_the_kustomizations_give_the_same_objects() {
    require_cluster!();
    let Some(helm) = helm() else { return };
    let both = |overlay: &str| [kustomize("crds"), kustomize(overlay)].concat();
    same(both("base"), chart(&helm, "namespace.create=true"));
    same(both("overlays/metallb"), chart(&helm, "namespace.create=true,poolNamespace=metallb-system"));
    same(both("overlays/without-kube-proxy"), chart(&helm, "namespace.create=true,apiServer.host=192.0.2.1"));
    let monitored = "namespace.create=true,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true";
    same(both("overlays/monitoring"), chart(&helm, monitored));
}

#[test]
fn values_of_the_chart_reach_the_configuration_and_the_pod() {
    require_cluster!();
    let Some(helm) = helm() else { return };
    let objects = chart(
        &helm,
        "interfaces[0].name=eth7,workers.count=3,classless=true,config.snat.ports=50000-51000,runAsUser=0,\
         config.workers.count=2,image.tag=9.9,resources.limits.hugepages-2Mi=64Mi",
    );
    let data = &object(&objects, "ConfigMap", "penstock-config")["data"]["penstock.yaml"];
    let config = Config::from_yaml(data.as_str().unwrap(), "penstock.yaml", "node-1").unwrap();
    assert_eq!((config.interfaces[0].name.as_str(), config.snat.ports), ("eth7", 50000..=51000));
    assert_eq!(config.workers.count, 2, "`config` wins");
    let Source::Kubernetes(kubernetes) = config.source else { panic!("{data}") };
    assert!(kubernetes.ours.classless);
    let pod = &object(&objects, "DaemonSet", "penstock")["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["securityContext"]["runAsUser"], &pod["securityContext"]["runAsNonRoot"]),
        (&0.into(), &false.into())
    );
    for container in [&pod["containers"][0], &pod["initContainers"][0]] {
        assert_eq!(container["image"], "penstock:9.9");
        assert_eq!(container["resources"]["limits"]["hugepages-2Mi"], "64Mi");
    }
    assert!(objects.iter().all(|object| object["kind"] != "Namespace" && object["kind"] != "ServiceMonitor"));
}

#[test]
fn helm_finds_no_fault_with_the_chart() {
    let Some(helm) = helm() else { return };
    let mut command = std::process::Command::new(helm);
    command.args(["lint", "--strict"]).arg(crate::shipped::path("deploy/helm/penstock"));
    penstock::netns::run(command).unwrap();
}

#[test]
fn everything_has_the_version_of_the_workspace() {
    let manifest = text("Cargo.toml");
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let chart = text("deploy/helm/penstock/Chart.yaml");
    assert!(chart.contains(&format!("\nversion: {version}\nappVersion: {version}\n")), "{chart}");
    let base = text("deploy/kustomize/base/kustomization.yaml");
    assert!(base.contains(&format!("newTag: {version}}}")), "{base}");
}

/// The table of `control/src/watch/mod.rs`, which says what each permission is for, and the ClusterRole and Roles: no more
/// and no less. That the appliance gets along with them, and uses them all, the tests of the cluster show.
#[test]
fn roles_grant_what_the_watching_code_says_it_needs() {
    require_cluster!();
    let mut said: Vec<String> = Vec::new();
    for row in text("control/src/watch/mod.rs").lines().filter(|line| line.starts_with("//! | ")) {
        let cells: Vec<&str> = row.trim_start_matches("//!").split('|').map(str::trim).collect();
        let (group, resources, verbs, place) = (cells[1], cells[2], cells[3], cells[4]);
        if group == "API group" {
            continue;
        }
        let group = group.trim_matches('`').replace("(core)", "");
        let place = match place {
            "everywhere" => "",
            "our namespace" => "penstock-system",
            "the pools' namespace" => "metallb-system",
            other => panic!("{other} is no place"),
        };
        for resource in resources.split(", ") {
            let resource = resource.trim_matches('`');
            said.extend(verbs.split(", ").map(|verb| format!("{verb} {group}/{resource} {place}")));
        }
    }
    let mut granted: Vec<String> = Vec::new();
    for object in kustomize("overlays/metallb") {
        let place = object["metadata"]["namespace"].as_str().unwrap_or("").to_owned();
        let rules = object["rules"].as_array().into_iter().flatten();
        for rule in rules {
            let words = |field: &str| -> Vec<String> {
                let values = rule[field].as_array().unwrap().iter();
                values.map(|value| value.as_str().unwrap().to_owned()).collect()
            };
            for (verb, resource) in words("verbs")
                .iter()
                .flat_map(|verb| words("resources").into_iter().map(move |resource| (verb.clone(), resource)))
            {
                granted.push(format!("{verb} {}/{resource} {place}", words("apiGroups")[0]));
            }
        }
    }
    said.sort();
    granted.sort();
    assert!(said.len() > 20, "{said:#?}");
    assert_eq!(said, granted);
}
