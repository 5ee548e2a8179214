//! Addresses given in a cluster: as its users see them, by one of two gateways, and by the other after it.

use super::gateway::{Gateway, Lab, OURS, PATIENCE, pool, service};
use penstock::{
    config::Ours,
    fault::{Fault, Problem, Severity},
    ipam,
    objects::{ObjectKey, Subject},
    reports::{self, ClusterLock, Faults, Found, Terms},
};
use penstock_tests::require_cluster;
use serde_json::{Value, json};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet};

/// Longer than a busy machine keeps a holder from renewing it.
const TERMS: Terms = Terms { duration: Duration::from_secs(8), renewal: Duration::from_secs(1) };

/// A gateway that gives addresses and tells of faults while it has the lock.
struct Giver {
    // Tasks before what they speak by.
    tasks: JoinSet<()>,
    held: watch::Receiver<bool>,
    found: watch::Sender<Found>,
    gateway: Gateway,
}

impl Giver {
    fn start(lab: &Lab, name: &str) -> Giver {
        let _guard = lab.runtime.enter();
        let gateway = lab.gateway(lab.admin.clone());
        let ours = Ours { class: "penstock.dev/gateway".to_owned(), classless: false };
        let (lock, writer) = (ClusterLock::new(gateway.leases(), name), gateway.writer());
        let (held, holds) = watch::channel(false);
        let (found, faults) = watch::channel(Found::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(reports::hold(lock, TERMS, held, std::future::pending()));
        tasks.spawn(ipam::run(ours, gateway.receiver(), holds.clone(), writer.clone()));
        tasks.spawn(reports::follow(Faults::of_cluster, faults, holds.clone(), writer));
        Giver { tasks, held: holds, found, gateway }
    }
}

fn get(lab: &Lab, name: &str) -> Value {
    lab.cluster.api().get(&format!("/api/v1/namespaces/default/services/{name}")).unwrap()
}

fn address(lab: &Lab, name: &str) -> String {
    get(lab, name)["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap_or_default().to_owned()
}

fn condition(lab: &Lab, name: &str, kind: &str) -> Value {
    let service = get(lab, name);
    let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not so after {PATIENCE:?}");
        sleep(Duration::from_millis(50));
    }
}

/// What was written when: the versions of all Services.
fn versions(lab: &Lab) -> Vec<Value> {
    let list = lab.cluster.api().get("/api/v1/namespaces/default/services").unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|service| service["metadata"]["resourceVersion"].clone()).collect()
}

// S-179, S-180, S-181
#[test]
fn addresses_are_given_by_one_gateway_and_outlive_it() {
    require_cluster!();
    let mut lab = Lab::new("psk-give");
    lab.cluster.install_metallb().unwrap();
    let mut theirs = service("theirs", 80);
    theirs["spec"]["loadBalancerClass"] = json!("example.com/other");
    let pool = pool("outside", "192.0.2.1-192.0.2.3");
    lab.cluster.apply(&[pool, theirs, service("a", 80), service("b", 80)]).unwrap();
    let given = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    lab.cluster.api().patch("/api/v1/namespaces/default/services/theirs/status", &given).unwrap();

    let first = Giver::start(&lab, "gateway-1");
    until("the first has the lock", || *first.held.borrow());
    let second = Giver::start(&lab, "gateway-2");
    until("both have addresses", || !address(&lab, "a").is_empty() && !address(&lab, "b").is_empty());
    let (a, b) = (address(&lab, "a"), address(&lab, "b"));
    assert!([&*a, &*b] == ["192.0.2.2", "192.0.2.3"] || [&*b, &*a] == ["192.0.2.2", "192.0.2.3"], "{a} {b}");
    lab.cluster.apply(&[service("c", 80)]).unwrap();
    let assigned = "penstock.dev/AddressAssigned";
    until("it is said why there is none", || condition(&lab, "c", assigned)["status"] == "False");
    assert_eq!(condition(&lab, "c", assigned)["reason"], "NoAvailableAddress");
    until("a person is told", || {
        let told = lab.cluster.kubectl(&["describe", "service", "c"]).unwrap();
        told.contains("AllocationFailed") && told.contains("no available IPs")
    });
    until("a person is told of the others", || {
        let told = lab.cluster.kubectl(&["describe", "service", "a"]).unwrap();
        told.contains("IPAllocated") && told.contains(&format!("Assigned IP [\"{a}\"]"))
    });
    let annotation = get(&lab, "a")["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"].clone();
    assert_eq!(annotation, "outside");
    assert_eq!(condition(&lab, "a", assigned)["status"], "True");
    let path = format!("/apis/metallb.io/v1beta1/namespaces/{OURS}/ipaddresspools/outside");
    until("the pool says how much is used", || {
        let status = lab.cluster.api().get(&path).unwrap()["status"].clone();
        status["assignedIPv4"] == 3 && status["availableIPv4"] == 0
    });

    // What is wrong with a Service is said on it.
    let found = |problems: Vec<Problem>| Found {
        objects: first.gateway.receiver().borrow().clone(),
        problems: problems.into(),
    };
    let fault = Fault { path: "spec.ports[0].port".to_owned(), message: "Required value".to_owned() };
    let object = Some(Subject::service(&ObjectKey::new("default", "b")));
    first.found.send_replace(found(vec![Problem { severity: Severity::Error, origin: None, object, fault }]));
    until("the fault is said", || condition(&lab, "b", "penstock.dev/Valid")["status"] == "False");
    first.found.send_replace(found(Vec::new()));
    until("that it is gone is said", || condition(&lab, "b", "penstock.dev/Valid")["status"] == "True");

    // Once all is said nothing more is written: own writes that come back are no news.
    let mut before = Vec::new();
    until("nothing is written for three seconds", || {
        before = versions(&lab);
        sleep(Duration::from_secs(3));
        versions(&lab) == before
    });

    // The first is gone without a word. What it gave stays, and what is freed goes to who waits.
    assert!(!*second.held.borrow(), "one at a time");
    let Giver { tasks, gateway, .. } = first;
    drop(tasks);
    drop(gateway);
    until("the second has the lock", || *second.held.borrow());
    sleep(Duration::from_secs(2));
    assert_eq!(versions(&lab), before, "it finds all as it should be");
    lab.cluster.api().delete("/api/v1/namespaces/default/services/a").unwrap();
    until("the third has the address that was freed", || address(&lab, "c") == a);
    assert_eq!(address(&lab, "b"), b);
    assert_eq!(address(&lab, "theirs"), "192.0.2.1");
    assert_eq!(condition(&lab, "theirs", assigned), Value::Null);
    let _guard = lab.runtime.enter();
    drop(second);
}
