use super::*;
use crate::{
    compile::{Compiler, Environment},
    config::{Config, Ours},
    l2::{Decision, Plan, Reason},
    manifests,
    model::Model,
    routes::View,
};
use std::sync::Arc;

const WEB: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: LoadBalancer, loadBalancerClass: penstock.dev/gateway, clusterIP: 10.96.0.1, ports: [{port: 80}]}\n";
const SLICE: &str = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: [{addresses: [10.244.0.5]}, {addresses: [10.244.0.6], conditions: {ready: false}}]\nports: [{name: '', port: 8080}]\n";
const IP: &str = "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n";

fn ours() -> Option<Ours> {
    let config = Config::from_yaml("interfaces: [{name: any}]\nkubernetes: {}\n", "test.yaml", "n1").unwrap();
    config.cluster().map(|cluster| cluster.ours.clone())
}

/// What is told of `default/web` when the source has these objects.
fn told(yaml: &str, change: impl FnOnce(&mut Known)) -> Result<WhyView, String> {
    let objects = manifests::read_bytes("test.yaml", yaml.as_bytes().to_vec());
    let mut model = Model::default();
    let mut problems = objects.problems.clone();
    problems.extend(model.update(&objects));
    let config = Config::from_yaml("interfaces: [{name: any}]", "test.yaml", "n1").unwrap();
    let compiled = Compiler::new().compile(&model, &Environment::of(&config, &Arc::new(View::default())));
    problems.extend(compiled.problems);
    let problems = [problems.into(), Arc::default(), Arc::default(), Arc::default()];
    let mut known = Known { node_name: "n1".to_owned(), ours: ours(), objects, problems, ..Known::default() };
    change(&mut known);
    story(&known, &compiled.snapshot, &ObjectKey::new("default", "web"))
}

fn plan(owner: Option<&str>, why: Reason) -> Arc<Plan> {
    let decision = Decision { owner: owner.map(Into::into), why, addresses: Vec::new(), pool: None };
    let decisions = [(ObjectKey::new("default", "web"), Arc::new(decision))].into();
    Arc::new(Plan { decisions, ..Plan::default() })
}

fn step<'v>(view: &'v WhyView, name: &str) -> (State, &'v str) {
    let step = view.steps.iter().find(|step| step.name == name).unwrap();
    (step.state, step.facts[0].as_str())
}

#[test]
fn a_service_that_is_served_has_every_step_done() {
    let view =
        told(&format!("{WEB}{IP}{SLICE}"), |known| known.plan = plan(Some("n1"), Reason::Only)).unwrap();
    assert_eq!(view.answer, "served");
    assert!(view.steps.iter().all(|step| step.state == State::Done), "{view:#?}");
    assert!(step(&view, "announcement").1.starts_with("by n1 (this gateway): "));
    assert!(
        step(&view, "endpoints")
            .1
            .starts_with("1 ready, 0 terminating that still serve, 1 not ready, in 1 slice")
    );
    assert!(step(&view, "tables").1.ends_with("port \"\": 1 backends"));
}

#[test]
fn a_pending_address_says_why() {
    let condition = "status: {conditions: [{type: penstock.dev/AddressAssigned, status: 'False', reason: AllocationFailed, message: no available IPs, lastTransitionTime: '2026-01-01T00:00:00Z'}]}\n";
    let view = told(&format!("{WEB}{condition}{SLICE}"), |_| ()).unwrap();
    assert_eq!(view.answer, "addresses: none is assigned: no available IPs");
    let view = told(&format!("{WEB}{SLICE}"), |_| ()).unwrap();
    assert!(view.answer.contains("no gateway has said why"), "{}", view.answer);
    let view =
        told(&format!("{WEB}{SLICE}").replace("penstock.dev/gateway", "example.com/lb"), |_| ()).unwrap();
    assert!(view.answer.contains("its class example.com/lb is somebody else's"), "{}", view.answer);
}

#[test]
fn what_is_wrong_with_the_object_comes_first() {
    let view = told(&format!("{}{SLICE}", WEB.replace("port: 80", "port: 80000")), |_| ()).unwrap();
    assert!(
        view.answer.starts_with("object: ") && view.answer.contains("spec.ports[0].port"),
        "{}",
        view.answer
    );
    let view = told(&format!("{WEB}{IP}"), |_| ()).unwrap();
    assert!(view.answer.starts_with("endpoints: no EndpointSlice"), "{}", view.answer);
    let view =
        told(&format!("{WEB}{IP}{SLICE}"), |known| known.plan = plan(None, Reason::NoGateway)).unwrap();
    assert_eq!(view.answer, format!("announcement: by nobody: {}", Reason::NoGateway));
}

#[test]
fn a_service_that_is_not_there_may_be_elsewhere() {
    let other = WEB.replace("name: web", "name: web, namespace: shop");
    assert_eq!(told(&other, |_| ()).unwrap_err(), "there is no Service default/web; there is shop/web");
    assert_eq!(told("", |_| ()).unwrap_err(), "there is no Service default/web");
    assert!(told("", |known| known.objects.pending = true).unwrap_err().contains("not been listed yet"));
}
