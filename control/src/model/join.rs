//! All objects, joined by Service, kept up to date.
//!
//! Cost of an update: the reading and joining of what changed, where the source has kept what did not; a comparison of
//! key and pointer an object besides, where it made its maps anew. Who reads the model finds what changed in the same way.

use super::{Node, ReadSlice, Reading, Service, Slice};
use crate::{
    fault::{Fault, Origin, Problem, Severity},
    objects::{self, Object, ObjectKey, ObjectKind, Objects, Subject},
};
use imbl::{OrdMap, ordmap::DiffItem};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A Service and its slices of both families, in order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The Service.
    pub service: Arc<Service>,
    /// Its slices.
    pub slices: Vec<Arc<Slice>>,
}

/// All there is.
#[derive(Debug, Default)]
pub struct Model {
    services: Kind<k8s_openapi::api::core::v1::Service, Service>,
    slices: Kind<ReadSlice, Slice>,
    nodes: Kind<k8s_openapi::api::core::v1::Node, Node>,
    /// Slices by the Service they are of, whether or not it exists yet.
    slices_of: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    joined: OrdMap<ObjectKey, Arc<Joined>>,
    /// Those of them with a healthCheckNodePort.
    health_checked: BTreeMap<ObjectKey, Arc<Joined>>,
}

impl Model {
    /// Takes in a source's objects: reads what changed, forgets what is gone. Returns what is wrong
    /// with objects; what the source could not read is in [`Objects::problems`]. Before a source has listed all there is,
    /// nothing is taken in: a Service without its endpoints would refuse clients (§2.3).
    pub fn update(&mut self, objects: &Objects) -> Vec<Problem> {
        if objects.pending {
            return Vec::new();
        }
        let mut dirty = BTreeSet::new();
        for change in
            self.services.update(&objects.services, |key, service| Service::read(key, service).shared())
        {
            dirty.insert(change.key);
        }
        for change in self.slices.update(&objects.slices, |_, slice| slice.reading.clone()) {
            let service = |slice: Arc<Slice>| ObjectKey::new(change.key.namespace.clone(), &*slice.service);
            let (old, new) = (change.old.map(service), change.new.map(service));
            if let Some(old) = old {
                if let Some(slices) = self.slices_of.get_mut(&old) {
                    slices.remove(&change.key);
                }
                dirty.insert(old);
            }
            if let Some(new) = new {
                self.slices_of.entry(new.clone()).or_default().insert(change.key);
                dirty.insert(new);
            }
        }
        for _ in self.nodes.update(&objects.nodes, |key, node| Node::read(key, node).shared()) {}
        for key in dirty {
            self.join(key);
        }
        let mut problems = Vec::new();
        self.services.problems(ObjectKind::Service, &mut problems);
        self.slices.problems(ObjectKind::EndpointSlice, &mut problems);
        self.nodes.problems(ObjectKind::Node, &mut problems);
        problems
    }

    fn join(&mut self, key: ObjectKey) {
        let slices: Vec<_> = match self.slices_of.get(&key) {
            Some(names) if names.is_empty() => {
                self.slices_of.remove(&key);
                Vec::new()
            }
            names => names.into_iter().flatten().filter_map(|name| self.slices.get(name).cloned()).collect(),
        };
        match self.services.get(&key) {
            Some(service) => {
                let joined = Arc::new(Joined { service: Arc::clone(service), slices });
                match service.health_check_node_port {
                    Some(_) => drop(self.health_checked.insert(key.clone(), Arc::clone(&joined))),
                    None => drop(self.health_checked.remove(&key)),
                }
                self.joined.insert(key, joined);
            }
            None => {
                self.health_checked.remove(&key);
                self.joined.remove(&key);
            }
        }
    }

    /// The Services to be proxied, in order of their names. One that did not change is the same `Arc` as before.
    pub fn services(&self) -> &OrdMap<ObjectKey, Arc<Joined>> {
        &self.joined
    }

    /// Those of them that have a healthCheckNodePort.
    pub fn health_checked(&self) -> &BTreeMap<ObjectKey, Arc<Joined>> {
        &self.health_checked
    }

    /// The names of all Nodes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.seen.keys().map(|key| key.name.as_str())
    }

    /// The Node with this name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(&ObjectKey::new("", name))
    }
}

/// The objects of one kind.
#[derive(Debug)]
struct Kind<R, T> {
    /// As they were taken in last, by which changes are known.
    seen: objects::Kind<R>,
    /// The last good version of each that is of use.
    good: BTreeMap<ObjectKey, Arc<T>>,
    /// What is wrong, or doubtful, with some.
    findings: BTreeMap<ObjectKey, Findings>,
}

#[derive(Debug)]
struct Findings {
    origin: Option<Origin>,
    faults: Vec<(Severity, Fault)>,
}

/// What became of an object.
struct Change<T> {
    key: ObjectKey,
    old: Option<Arc<T>>,
    new: Option<Arc<T>>,
}

impl<R, T> Default for Kind<R, T> {
    fn default() -> Self {
        Self { seen: objects::Kind::new(), good: BTreeMap::new(), findings: BTreeMap::new() }
    }
}

impl<R, T: PartialEq> Kind<R, T> {
    fn get(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        self.good.get(key)
    }

    fn update(
        &mut self,
        objects: &objects::Kind<R>,
        read: fn(&ObjectKey, &R) -> Reading<Arc<T>>,
    ) -> Vec<Change<T>> {
        let before = std::mem::replace(&mut self.seen, objects.clone());
        let mut changes = Vec::new();
        for item in before.diff(objects) {
            let (key, object) = match item {
                DiffItem::Remove(key, _) => {
                    self.findings.remove(key);
                    let old = self.good.remove(key);
                    changes.extend(change(key, old, None));
                    continue;
                }
                // Only its place in the file is another one.
                DiffItem::Update { old: (key, old), new: (_, new) }
                    if Arc::ptr_eq(&old.value, &new.value) =>
                {
                    if let Some(findings) = self.findings.get_mut(key) {
                        findings.origin.clone_from(&new.origin);
                    }
                    continue;
                }
                DiffItem::Add(key, object) | DiffItem::Update { new: (key, object), .. } => (key, object),
            };
            let old = self.good.get(key).cloned();
            self.take(key, object, read(key, &object.value));
            changes.extend(change(key, old, self.good.get(key).cloned()));
        }
        changes
    }

    /// Takes in a newer version. A wrong one leaves the last good one in place, an equal one its `Arc`.
    fn take(&mut self, key: &ObjectKey, object: &Object<R>, reading: Reading<Arc<T>>) {
        let mut faults: Vec<_> =
            reading.warnings.into_iter().map(|fault| (Severity::Warning, fault)).collect();
        match reading.value {
            Err(errors) => faults.extend(errors.into_iter().map(|fault| (Severity::Error, fault))),
            Ok(Some(new)) if self.good.get(key).is_some_and(|old| **old == *new) => {}
            Ok(Some(new)) => drop(self.good.insert(key.clone(), new)),
            Ok(None) => drop(self.good.remove(key)),
        }
        match faults.is_empty() {
            true => drop(self.findings.remove(key)),
            false => {
                let findings = Findings { origin: object.origin.clone(), faults };
                self.findings.insert(key.clone(), findings);
            }
        }
    }

    fn problems(&self, kind: ObjectKind, problems: &mut Vec<Problem>) {
        for (key, findings) in &self.findings {
            problems.extend(findings.faults.iter().map(|(severity, fault)| Problem {
                severity: *severity,
                origin: findings.origin.clone(),
                object: Some(Subject { kind, key: key.clone() }),
                fault: fault.clone(),
            }));
        }
    }
}

fn change<T>(key: &ObjectKey, old: Option<Arc<T>>, new: Option<Arc<T>>) -> Option<Change<T>> {
    let same = match (&old, &new) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        (None, None) => true,
        _ => false,
    };
    (!same).then(|| Change { key: key.clone(), old, new })
}

#[cfg(test)]
mod tests;
