use super::*;
use crate::objects::Objects;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

fn service(name: &str, version: u32, port: u16) -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version.to_string()},
        "spec": {"ports": [{"port": port}]},
    }))
    .unwrap()
}

fn take(store: &mut Store<Service>, known: &mut Kind<Service>, events: Vec<Event<Service>>) -> Vec<News> {
    events.into_iter().map(|event| store.take(known, event)).collect()
}

fn names<T>(known: &Kind<T>) -> Vec<&str> {
    known.keys().map(|key| key.name.as_str()).collect()
}

const NONE: News = News { objects: false, faults: false, listed: false };
const LISTED: News = News { listed: true, ..NONE };
const CHANGED: News = News { objects: true, ..NONE };

#[test]
fn a_list_counts_when_it_is_complete_and_brings_only_news() {
    let (mut store, mut known) = (Store::default(), Kind::new());
    let list =
        vec![Event::Init, Event::InitApply(service("a", 1, 80)), Event::InitApply(service("b", 2, 80))];
    assert_eq!(take(&mut store, &mut known, list), [NONE; 3]);
    assert!(known.is_empty(), "not yet");
    assert_eq!(store.take(&mut known, Event::InitDone), News { objects: true, ..LISTED });
    let first = known.clone();

    // The same again, with newer versions: no news, and the same objects.
    let again = vec![
        Event::Init,
        Event::InitApply(service("a", 7, 80)),
        Event::InitApply(service("b", 8, 80)),
        Event::InitDone,
    ];
    assert_eq!(take(&mut store, &mut known, again).last(), Some(&LISTED));
    let same = |name: &str, known: &Kind<Service>| {
        let key = ObjectKey::new("default", name);
        Arc::ptr_eq(&first[&key].value, &known[&key].value)
    };
    assert!(same("a", &known) && same("b", &known));

    // One that is gone, one that is new, one that has changed; a list that breaks off in between changes nothing.
    let broken = vec![Event::Init, Event::InitApply(service("c", 9, 80))];
    assert_eq!(take(&mut store, &mut known, broken), [NONE; 2]);
    assert_eq!(names(&known), ["a", "b"]);
    let new = vec![
        Event::Init,
        Event::InitApply(service("b", 10, 81)),
        Event::InitApply(service("d", 11, 80)),
        Event::InitDone,
    ];
    assert_eq!(take(&mut store, &mut known, new).last(), Some(&News { objects: true, ..LISTED }));
    assert_eq!(names(&known), ["b", "d"]);
    assert!(!same("b", &known));
}

#[test]
fn what_differs_in_nothing_that_is_kept_is_no_news() {
    let (mut store, mut known) = (Store::default(), Kind::new());
    let events = vec![
        Event::Apply(service("a", 1, 80)),
        Event::Apply(service("a", 2, 80)),
        Event::Apply(service("a", 3, 81)),
        Event::Delete(service("b", 4, 80)),
        Event::Delete(service("a", 5, 81)),
    ];
    assert_eq!(take(&mut store, &mut known, events), [CHANGED, NONE, CHANGED, NONE, CHANGED]);
    assert!(known.is_empty());
}

#[test]
fn one_of_a_wrong_shape_keeps_its_last_good_version_and_is_reported_until_it_is_right_or_gone() {
    type Pool = kube::core::DeserializeGuard<crate::metallb::IpAddressPool>;
    let pool = |name: &str, priority: i32| -> Pool {
        serde_json::from_value(json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": name, "namespace": "penstock"},
            "spec": {"addresses": ["192.0.2.0/28"], "serviceAllocation": {"priority": priority}},
        }))
        .unwrap()
    };
    let mut objects = Objects::default();
    let (mut store, known) = (Store::<Pool>::default(), Pool::of(&mut objects));
    assert_eq!(store.take(known, Event::Apply(pool("a", 1))), CHANGED);
    assert_eq!(store.take(known, Event::Apply(pool("a", -1))), News { faults: true, ..NONE });
    assert_eq!(store.take(known, Event::Apply(pool("a", -1))), NONE);
    let priority = |known: &Kind<crate::metallb::IpAddressPool>| {
        let pool = &known[&ObjectKey::new("penstock", "a")].value;
        pool.spec.service_allocation.as_ref().map(|allocation| allocation.priority)
    };
    assert_eq!(priority(known), Some(1));
    let told = store.problems()[0].to_string();
    assert!(told.starts_with("IPAddressPool penstock/a: cannot be read: "), "{told}");

    // So does a list.
    for event in [Event::Init, Event::InitApply(pool("a", -2)), Event::InitApply(pool("b", -3))] {
        assert_eq!(store.take(known, event), NONE);
    }
    assert_eq!(store.take(known, Event::InitDone), News { faults: true, ..LISTED });
    assert_eq!((priority(known), known.len(), store.problems().len()), (Some(1), 1, 2));
    assert_eq!(store.take(known, Event::Delete(pool("b", -3))), News { faults: true, ..NONE });
    assert_eq!(
        store.take(known, Event::Apply(pool("a", 2))),
        News { objects: true, faults: true, listed: false }
    );
    assert!(store.problems().is_empty());
}
