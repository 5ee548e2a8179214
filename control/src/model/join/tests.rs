use super::*;
use crate::objects::Object;

fn objects(services: &[(&str, &str)], slices: &[(&str, &str, &str)]) -> Objects {
    let mut all = Objects::default();
    for (name, spec) in services {
        let text = format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{spec}}}}}");
        let value = Arc::new(serde_yaml_ng::from_str(&text).unwrap());
        all.services.insert(ObjectKey::new("default", *name), Object { origin: None, value });
    }
    for (name, service, address) in slices {
        let text = format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
             metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {service}}}}}, \
             endpoints: [{{addresses: [{address}]}}], ports: [{{name: '', port: 80}}]}}"
        );
        let value = Arc::new(serde_yaml_ng::from_str(&text).unwrap());
        all.slices.insert(ObjectKey::new("default", *name), Object { origin: None, value });
    }
    all
}

const SPEC: &str = "clusterIP: 10.96.0.1, ports: [{port: 80}]";

fn addresses(model: &Model, service: &str) -> Vec<String> {
    let joined = &model.services()[&ObjectKey::new("default", service)];
    joined
        .slices
        .iter()
        .flat_map(|slice| &slice.endpoints)
        .map(|endpoint| endpoint.addr.to_string())
        .collect()
}

// S-57
#[test]
fn slices_may_come_before_their_service() {
    let mut model = Model::default();
    model.update(&objects(&[], &[("a", "web", "10.0.0.1")]));
    assert!(model.services().is_empty());
    model.update(&objects(&[("web", SPEC)], &[("a", "web", "10.0.0.1")]));
    assert_eq!(addresses(&model, "web"), ["10.0.0.1"]);
}

// S-58
#[test]
fn nothing_is_served_before_everything_is_listed() {
    let mut model = Model::default();
    let half = Objects { pending: true, ..objects(&[("web", SPEC)], &[]) };
    model.update(&half);
    assert!(model.services().is_empty(), "a Service without its endpoints would refuse clients");
    model.update(&objects(&[("web", SPEC)], &[("a", "web", "10.0.0.1")]));
    assert_eq!(addresses(&model, "web"), ["10.0.0.1"]);
}

// S-212
#[test]
fn a_relabelled_slice_changes_its_service() {
    let mut model = Model::default();
    let services = [("web", SPEC), ("api", SPEC)];
    model.update(&objects(&services, &[("a", "web", "10.0.0.1"), ("b", "web", "10.0.0.2")]));
    assert_eq!(addresses(&model, "web"), ["10.0.0.1", "10.0.0.2"]);
    model.update(&objects(&services, &[("a", "api", "10.0.0.1"), ("b", "web", "10.0.0.2")]));
    assert_eq!(addresses(&model, "web"), ["10.0.0.2"]);
    assert_eq!(addresses(&model, "api"), ["10.0.0.1"]);
}

// S-28
#[test]
fn a_wrong_object_leaves_its_last_good_version() {
    let mut model = Model::default();
    assert!(model.update(&objects(&[("web", SPEC)], &[])).is_empty());
    let before = Arc::clone(&model.services()[&ObjectKey::new("default", "web")]);
    let problems = model.update(&objects(&[("web", "clusterIP: 10.96.0.1, ports: [{port: 0}]")], &[]));
    assert_eq!(
        problems[0].to_string(),
        "Service default/web: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"
    );
    assert!(Arc::ptr_eq(&before, &model.services()[&ObjectKey::new("default", "web")]));
    assert!(model.update(&objects(&[], &[])).is_empty());
    assert!(model.services().is_empty());
}

#[test]
fn what_did_not_change_is_the_same() {
    let mut model = Model::default();
    let services = [("web", SPEC), ("api", SPEC)];
    model.update(&objects(&services, &[("a", "web", "10.0.0.1")]));
    let before = model.services().clone();
    model.update(&objects(&services, &[("a", "web", "10.0.0.9")]));
    let same = |name: &str| {
        let key = ObjectKey::new("default", name);
        Arc::ptr_eq(&before[&key], &model.services()[&key])
    };
    assert!(same("api"), "nothing of it has changed");
    assert!(!same("web"));
}

#[test]
fn a_service_that_is_no_longer_proxied_goes() {
    let mut model = Model::default();
    model.update(&objects(&[("web", SPEC)], &[]));
    model.update(&objects(&[("web", "type: ExternalName, externalName: a.example")], &[]));
    assert!(model.services().is_empty());
}
