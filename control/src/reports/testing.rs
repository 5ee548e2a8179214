//! An API server as far as planners see one: a table of objects that takes changes and hands out what it has.

use super::{
    desk::Desk,
    write::{About, Change, Notice, read_condition},
};
use crate::{
    metallb::IpAddressPool,
    objects::{Object, ObjectKey, ObjectKind, Objects},
    watch::{Condition, ConditionStatus},
};
use k8s_openapi::api::core::v1::{Namespace, Service};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::watch;

/// See the module. A copy is the same table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    objects: watch::Sender<Objects>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What was changed, in order.
    log: Vec<(About, Change)>,
    /// Objects whose changes fail so many times more.
    failing: BTreeMap<ObjectKey, usize>,
    /// How many events were refused, if all are.
    refused_events: Option<usize>,
    /// How long a change takes.
    delay: Duration,
    now: usize,
    most: usize,
}

impl Table {
    /// Empty, and listed.
    pub(crate) fn new() -> Self {
        Self { objects: watch::Sender::new(Objects::default()), state: Arc::default() }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Objects> {
        self.objects.subscribe()
    }

    pub(crate) fn objects(&self) -> Objects {
        self.objects.borrow().clone()
    }

    /// Changes the objects otherwise.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Objects)) {
        self.objects.send_modify(edit);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What was changed since this was asked last.
    pub(crate) fn log(&self) -> Vec<(About, Change)> {
        std::mem::take(&mut self.state().log)
    }

    /// Events told since [`log`](Self::log) was asked last, as `object reason: note`.
    pub(crate) fn events(&self) -> Vec<String> {
        let tell = |(about, change): &(About, Change)| match change {
            Change::Event(Notice { reason, note, .. }) => {
                Some(format!("{} {reason}: {note}", about.subject.key.name))
            }
            _ => None,
        };
        self.state().log.iter().filter_map(tell).collect()
    }

    /// The next changes of this object fail.
    pub(crate) fn fail(&self, key: &ObjectKey, times: usize) {
        self.state().failing.insert(key.clone(), times);
    }

    /// Every event fails from now on.
    pub(crate) fn refuse_events(&self) {
        self.state().refused_events = Some(0);
    }

    pub(crate) fn refused_events(&self) -> usize {
        self.state().refused_events.unwrap_or_default()
    }

    /// Every change takes so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// How many changes were under way at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state().most
    }

    /// Creates or replaces `default/NAME` (or `NAMESPACE/NAME`), keeping uid, time of creation and status.
    pub(crate) fn service(&self, name: &str, spec: Value, metadata: Value) {
        let key: ObjectKey = name.parse().unwrap();
        let mut object = json!({
            "metadata": {"namespace": key.namespace, "name": key.name, "uid": format!("uid-{name}")},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "penstock.dev/gateway", "clusterIP": "10.96.0.1",
                "ports": [{"port": 80}]},
        });
        merge(&mut object["metadata"], metadata);
        merge(&mut object["spec"], spec);
        let mut service: Service = serde_json::from_value(object).unwrap();
        self.edit(|objects| {
            if let Some(old) = objects.services.get(&key) {
                service.status = service.status.or_else(|| old.value.status.clone());
                let ours = old.value.metadata.annotations.clone().unwrap_or_default();
                let ours = ours.into_iter().filter(|(name, _)| name == "metallb.io/ip-allocated-from-pool");
                service.metadata.annotations.get_or_insert_default().extend(ours);
            }
            objects.services.insert(key, Object { origin: None, value: Arc::new(service) });
        });
    }

    /// Edits what there is of a Service.
    pub(crate) fn edit_service(&self, name: &str, edit: impl FnOnce(&mut Service)) {
        let key: ObjectKey = name.parse().unwrap();
        self.edit(|objects| {
            if let Some(object) = objects.services.get_mut(&key) {
                let mut service = Service::clone(&object.value);
                edit(&mut service);
                object.value = Arc::new(service);
            }
        });
    }

    pub(crate) fn status(&self, name: &str, addresses: &str) {
        let texts = addresses.split_whitespace().map(|address| json!({"ip": address}));
        let status = json!({"loadBalancer": {"ingress": texts.collect::<Vec<_>>()}});
        self.edit_service(name, |service| service.status = Some(serde_json::from_value(status).unwrap()));
    }

    pub(crate) fn delete(&self, name: &str) {
        let key: ObjectKey = name.parse().unwrap();
        self.edit(|objects| drop(objects.services.remove(&key)));
    }

    pub(crate) fn pool(&self, name: &str, spec: Value) {
        let key = ObjectKey::new("pools", name);
        let object = json!({"metadata": {"namespace": "pools", "name": name}, "spec": spec});
        let pool: IpAddressPool = serde_json::from_value(object).unwrap();
        self.edit(|objects| {
            objects.pools.insert(key, Object { origin: None, value: Arc::new(pool) });
        });
    }

    pub(crate) fn delete_pool(&self, name: &str) {
        self.edit(|objects| drop(objects.pools.remove(&ObjectKey::new("pools", name))));
    }

    pub(crate) fn namespace(&self, name: &str, labels: Value) {
        let object = json!({"metadata": {"name": name, "labels": labels}});
        let namespace: Namespace = serde_json::from_value(object).unwrap();
        self.edit(|objects| {
            let object = Object { origin: None, value: Arc::new(namespace) };
            objects.namespaces.insert(ObjectKey::new("", name), object);
        });
    }

    /// The addresses in a Service's status, a blank between two.
    pub(crate) fn addresses(&self, name: &str) -> String {
        let objects = self.objects();
        let service = &objects.services[&name.parse::<ObjectKey>().unwrap()].value;
        let ingress = service.status.clone().unwrap_or_default().load_balancer.unwrap_or_default().ingress;
        let texts: Vec<_> = ingress.into_iter().flatten().filter_map(|entry| entry.ip).collect();
        texts.join(" ")
    }

    pub(crate) fn annotation(&self, name: &str, annotation: &str) -> Option<String> {
        let objects = self.objects();
        let service = &objects.services[&name.parse::<ObjectKey>().unwrap()].value;
        service.metadata.annotations.as_ref()?.get(annotation).cloned()
    }

    pub(crate) fn condition(&self, name: &str, kind: &'static str) -> Option<Condition> {
        read_condition(&self.objects().services[&name.parse::<ObjectKey>().unwrap()].value, kind)
    }

    /// Makes a change, as an API server does.
    pub(crate) fn apply(&self, about: &About, change: &Change) {
        self.state().log.push((about.clone(), change.clone()));
        if about.subject.kind != ObjectKind::Service {
            return;
        }
        let name = about.subject.key.to_string();
        match change.clone() {
            Change::Addresses(texts) => self.edit_service(&name, |service| {
                let entries: Vec<_> = texts.iter().map(|text| json!({"ip": text, "ipMode": "VIP"})).collect();
                assert!(texts.iter().all(|text| text.parse::<IpAddr>().is_ok()));
                let status = service.status.get_or_insert_default();
                status.load_balancer.get_or_insert_default().ingress =
                    serde_json::from_value(entries.into()).unwrap();
            }),
            Change::Annotation(annotation, value) => self.edit_service(&name, |service| {
                let annotations = service.metadata.annotations.get_or_insert_default();
                match value {
                    Some(value) => drop(annotations.insert(annotation.to_owned(), value)),
                    None => drop(annotations.remove(annotation)),
                }
            }),
            Change::Condition(condition) => self.edit_service(&name, |service| {
                let conditions = service.status.get_or_insert_default().conditions.get_or_insert_default();
                conditions.retain(|old| old.type_ != condition.kind);
                let status = if condition.status == ConditionStatus::True { "True" } else { "False" };
                let new = json!({"type": condition.kind, "status": status, "reason": condition.reason,
                    "message": condition.message, "observedGeneration": condition.generation, "lastTransitionTime": "2026-01-01T00:00:00Z"});
                conditions.push(serde_json::from_value(new).unwrap());
            }),
            Change::Usage(_) | Change::Event(_) => {}
        }
    }
}

impl Desk for Table {
    type Error = io::Error;

    async fn change(&self, about: &About, change: &Change) -> Result<(), io::Error> {
        let delay = {
            let mut state = self.state();
            state.now += 1;
            state.most = state.most.max(state.now);
            state.delay
        };
        tokio::time::sleep(delay).await;
        {
            let mut state = self.state();
            state.now -= 1;
            let key = &about.subject.key;
            if let Some(times) = state.failing.get_mut(key).filter(|times| **times > 0) {
                *times -= 1;
                return Err(io::Error::other("refused"));
            }
            if let (Some(refused), Change::Event(_)) = (&mut state.refused_events, change) {
                *refused += 1;
                return Err(io::Error::other("refused"));
            }
        }
        self.apply(about, change);
        Ok(())
    }
}

/// Puts fields over fields; null removes.
fn merge(into: &mut Value, from: Value) {
    let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) else { return };
    for (name, value) in from {
        match value {
            Value::Null => drop(into.remove(&name)),
            value => drop(into.insert(name, value)),
        }
    }
}
