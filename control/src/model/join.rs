//! All objects, joined by Service, kept up to date.
//!
//! Cost of an update: a comparison of key and pointer an object, and the reading and joining of what changed.

use super::{Node, Reading, Service, Slice, differences};
use crate::{
    fault::{Fault, Origin, Problem, Severity},
    objects::{self, ObjectKey, ObjectKind, Objects, Subject},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
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
    slices: Kind<k8s_openapi::api::discovery::v1::EndpointSlice, Slice>,
    nodes: Kind<k8s_openapi::api::core::v1::Node, Node>,
    /// Slices by the Service they are of, whether or not it exists yet.
    slices_of: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    joined: BTreeMap<ObjectKey, Arc<Joined>>,
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
        for change in self.services.update(&objects.services, Service::read) {
            dirty.insert(change.key);
        }
        for change in self.slices.update(&objects.slices, Slice::read) {
            if let Some(old) = change.old {
                if let Some(slices) = self.slices_of.get_mut(&old.service) {
                    slices.remove(&change.key);
                }
                dirty.insert(old.service.clone());
            }
            if let Some(new) = change.new {
                self.slices_of.entry(new.service.clone()).or_default().insert(change.key);
                dirty.insert(new.service.clone());
            }
        }
        for _ in self.nodes.update(&objects.nodes, Node::read) {}
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
                let joined = Joined { service: Arc::clone(service), slices };
                self.joined.insert(key, Arc::new(joined));
            }
            None => drop(self.joined.remove(&key)),
        }
    }

    /// The Services to be proxied, in order of their names. One that did not change is the same `Arc` as before.
    pub fn services(&self) -> &BTreeMap<ObjectKey, Arc<Joined>> {
        &self.joined
    }

    /// The addresses of all endpoints, whether they may get flows now or later.
    pub fn endpoint_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let slices = self.joined.values().flat_map(|joined| &joined.slices);
        slices.flat_map(|slice| &slice.endpoints).map(|endpoint| endpoint.addr)
    }

    /// The names of all Nodes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.0.keys().map(|key| key.name.as_str())
    }

    /// The Node with this name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(&ObjectKey::new("", name))
    }
}

/// The objects of one kind.
#[derive(Debug)]
struct Kind<R, T>(BTreeMap<ObjectKey, Entry<R, T>>);

#[derive(Debug)]
struct Entry<R, T> {
    /// As it was read last, by which a change is known.
    raw: Option<Arc<R>>,
    origin: Option<Origin>,
    /// The last good version, if it is of use.
    good: Option<Arc<T>>,
    findings: Vec<(Severity, Fault)>,
}

/// What became of an object.
struct Change<T> {
    key: ObjectKey,
    old: Option<Arc<T>>,
    new: Option<Arc<T>>,
}

impl<R, T> Default for Kind<R, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R, T: PartialEq> Kind<R, T> {
    fn get(&self, key: &ObjectKey) -> Option<&Arc<T>> {
        self.0.get(key)?.good.as_ref()
    }

    fn update(
        &mut self,
        objects: &objects::Kind<R>,
        read: fn(&ObjectKey, &R) -> Reading<T>,
    ) -> Vec<Change<T>> {
        let mut changes = Vec::new();
        let (gone, stale) = differences(&self.0, objects.iter(), |entry, object| {
            entry.raw.as_ref().is_some_and(|raw| Arc::ptr_eq(raw, &object.value))
                && entry.origin == object.origin
        });
        for key in gone {
            let old = self.0.remove(&key).and_then(|entry| entry.good);
            changes.extend(change(&key, old, None));
        }
        for (key, object) in stale {
            let entry = self.0.entry(key.clone()).or_insert_with(|| Entry {
                raw: None,
                origin: None,
                good: None,
                findings: Vec::new(),
            });
            entry.origin.clone_from(&object.origin);
            if entry.raw.as_ref().is_some_and(|raw| Arc::ptr_eq(raw, &object.value)) {
                // Only its place in the file is another one.
                continue;
            }
            let old = entry.good.clone();
            entry.take(&object.value, read(key, &object.value));
            changes.extend(change(key, old, entry.good.clone()));
        }
        changes
    }

    fn problems(&self, kind: ObjectKind, problems: &mut Vec<Problem>) {
        for (key, entry) in &self.0 {
            problems.extend(entry.findings.iter().map(|(severity, fault)| Problem {
                severity: *severity,
                origin: entry.origin.clone(),
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

impl<R, T: PartialEq> Entry<R, T> {
    /// Takes in a newer version. A wrong one leaves the last good one in place, an equal one its `Arc`.
    fn take(&mut self, raw: &Arc<R>, reading: Reading<T>) {
        self.raw = Some(Arc::clone(raw));
        self.findings = reading.warnings.into_iter().map(|fault| (Severity::Warning, fault)).collect();
        match reading.value {
            Err(faults) => self.findings.extend(faults.into_iter().map(|fault| (Severity::Error, fault))),
            Ok(Some(new)) if self.good.as_deref() == Some(&new) => {}
            Ok(new) => self.good = new.map(Arc::new),
        }
    }
}

#[cfg(test)]
mod tests;
