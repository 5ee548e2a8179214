use super::*;
use std::fs;

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.1
  externalTrafficPolicy: Local
  ports: [{name: http, port: 80, nodePort: 30080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.244.1.5], nodeName: gateway, targetRef: {kind: Pod, name: web-a}}
- {addresses: [10.244.2.5], nodeName: other, conditions: {ready: false, serving: true, terminating: true}}
ports: [{name: http, port: 8080}]
---
apiVersion: v1
kind: Node
metadata: {name: gateway}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
";

fn folder(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("manifests")).unwrap();
    fs::write(dir.path().join("manifests/web.yaml"), text).unwrap();
    dir
}

#[test]
fn a_folder_shows_services_endpoints_and_their_lists() {
    let dir = folder(MANIFEST);
    let report = check(&dir.path().join("manifests")).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.node_name, "gateway", "the only Node");
    let service = &report.services["services"][0];
    assert_eq!((&service["cluster"]["endpoints"], &service["local"]["endpoints"]), (&1.into(), &1.into()));
    assert_eq!(report.endpoints.len(), 2);
    let shown = table(&report);
    for part in [
        "node gateway",
        "shop/web",
        "http/TCP",
        "10.96.0.1:80",
        "30080",
        "10.244.1.5:8080",
        "terminating",
        "Nothing is wrong",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
}

#[test]
fn one_manifest_is_a_manifest_and_a_configuration_names_its_folder() {
    let dir = folder(MANIFEST);
    let manifests = dir.path().join("manifests");
    assert_eq!(check(&manifests.join("web.yaml")).unwrap().endpoints.len(), 2);
    let file = dir.path().join("penstock.yaml");
    let config = format!(
        "nodeName: other\ninterfaces: [{{name: eth0}}]\nmanifests: {{path: {}}}\n",
        manifests.display()
    );
    fs::write(&file, config).unwrap();
    let report = check(&file).unwrap();
    assert_eq!(report.node_name, "other");
    assert_eq!(report.services["services"][0]["local"]["endpoints"], 1, "what terminates still serves there");
    assert!(
        report.problems[0].to_string().contains("nodeName"),
        "there is no such Node: {:?}",
        report.problems
    );
}

#[test]
fn all_that_is_wrong_is_listed() {
    let dir =
        folder(&MANIFEST.replace("port: 80,", "port: 0,").replace("addressType: IPv4", "addressType: IPv9"));
    let report = check(&dir.path().join("manifests")).unwrap();
    assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    let shown = table(&report);
    assert!(shown.contains("No Service would be published") && shown.contains("Errors (2):"), "{shown}");
    assert!(
        shown.contains("web.yaml: document 1: Service shop/web: spec.ports[0].port: Invalid value: 0"),
        "{shown}"
    );

    let file = dir.path().join("penstock.yaml");
    fs::write(&file, "interfaces: [{name: eth0, vlan: 0}]\nworkers: {count: 0}\n").unwrap();
    let report = check(&file).unwrap();
    assert_eq!(report.problems.len(), 2);
    assert!(report.problems[0].to_string().contains("penstock.yaml: document 1: "), "{}", report.problems[0]);
}

#[test]
fn what_is_not_there_is_said() {
    let error = check(Path::new("/nowhere.yaml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere.yaml: cannot be read"), "{error}");
}
