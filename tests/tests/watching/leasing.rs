//! Leases: a gateway's own, as all see it, and a lock that one holds at a time.

use super::gateway::{Gateway, Lab, OURS, PATIENCE};
use penstock::watch::{Leases, Renewal};
use penstock_tests::Stalls;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Renews, is seen, locks and releases.
pub(crate) fn leases(lab: &Lab, gateway: &Gateway) {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{OURS}/leases");
    let leases = gateway.leases();
    let renewal = Renewal {
        holder: "gateway-1".to_owned(),
        duration: Duration::from_millis(3500),
        annotations: BTreeMap::from([("penstock.dev/macs".to_owned(), "02:00:00:00:00:01".to_owned())]),
    };
    let renew = |leases: &Leases| {
        let (leases, renewal) = (leases.clone(), renewal.clone());
        gateway.ask(async move { leases.renew("penstock-gateway-gateway-1", &renewal).await }).unwrap();
    };
    renew(&leases);
    let lease = lab.cluster.api().get(&format!("{path}/penstock-gateway-gateway-1")).unwrap();
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 4);
    assert_eq!(lease["metadata"]["labels"]["app.kubernetes.io/part-of"], "penstock");
    let mut seen = leases.seen();
    let mut changed = || {
        let before = seen.borrow_and_update().get("penstock-gateway-gateway-1").map(|lease| lease.changed);
        renew(&leases);
        let begun = Instant::now();
        loop {
            let now = seen.borrow().get("penstock-gateway-gateway-1").cloned();
            match now {
                Some(now) if Some(now.changed) != before => break now,
                _ => assert!(begun.elapsed() < PATIENCE, "not seen: {now:?}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let first = changed();
    assert_eq!((first.holder.as_str(), first.duration), ("gateway-1", Duration::from_secs(4)));
    assert_eq!(first.annotations["penstock.dev/macs"], "02:00:00:00:00:01");
    assert!(changed().changed > first.changed);

    locks(lab, gateway, &path);
    let (name, others) = ("penstock-gateway-gateway-1", leases.clone());
    gateway.ask(async move { others.release(name).await }).unwrap();
    assert!(lab.cluster.api().get(&format!("{path}/{name}")).is_err());
    let others = leases.clone();
    gateway.ask(async move { others.release(name).await }).unwrap();
}

/// Two holders of one lock: never both, and the second after the first is silent for long enough.
fn locks(lab: &Lab, gateway: &Gateway, path: &str) {
    let other = lab.gateway(lab.admin.clone());
    let (first, second) = (gateway.leases(), other.leases());
    // Longer than a busy machine keeps its holder from renewing it.
    let duration = Duration::from_secs(6);
    let name = "penstock-addresses";
    let take = |leases: &Leases, holder: &'static str| {
        let leases = leases.clone();
        gateway.ask(async move { leases.acquire(name, holder, duration).await }).unwrap()
    };
    assert!(take(&first, "one"));
    assert!(!take(&second, "two"), "it is held");
    let (begun, mut silent) = (Instant::now(), Instant::now());
    while begun.elapsed() < duration + Duration::from_secs(1) {
        silent = Instant::now();
        assert!(take(&first, "one"), "renewed");
        assert!(!take(&second, "two"), "it is still held");
        std::thread::sleep(Duration::from_millis(300));
    }
    while !take(&second, "two") {
        assert!(silent.elapsed() < PATIENCE, "a lock is taken over");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        silent.elapsed() > duration - Duration::from_millis(500),
        "not too early: {:?}",
        silent.elapsed()
    );
    assert!(!take(&first, "one"), "it has been taken over");
    let lease = lab.cluster.api().get(&format!("{path}/{name}")).unwrap();
    assert_eq!(
        (&lease["spec"]["holderIdentity"], &lease["spec"]["leaseTransitions"]),
        (&json!("two"), &json!(1))
    );

    // The first one's release leaves it to the second; the second's frees it at once.
    for leases in [first.clone(), second.clone()] {
        assert!(lab.cluster.api().get(&format!("{path}/{name}")).is_ok());
        gateway.ask(async move { leases.release(name).await }).unwrap();
    }
    let ((), took) = Stalls::time(|| {
        while !take(&first, "one") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(took < duration / 2, "a lock that was released is free at once, not after {took:?}");
    let leases = first.clone();
    gateway.ask(async move { leases.release(name).await }).unwrap();
}
