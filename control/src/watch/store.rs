//! What a watch tells, made into the objects of one kind.
//!
//! A list replaces what is known when it is complete, not before. An object that says what it said keeps its `Arc`. One of a
//! wrong shape keeps its last good version and is reported.

use super::strip::{Watched, key};
use crate::{
    fault::{Fault, Problem, Severity},
    objects::{Kind, Object, ObjectKey, Subject},
};
use kube::runtime::watcher::Event;
use std::{collections::BTreeMap, sync::Arc};

/// What goes with the objects of one kind while they are followed.
#[derive(Debug)]
pub(super) struct Store<K: Watched> {
    /// What a list has told that is not complete.
    list: Option<List<K::Kept>>,
    /// What is wrong with objects of a wrong shape.
    faults: BTreeMap<ObjectKey, String>,
}

#[derive(Debug)]
struct List<T> {
    objects: Kind<T>,
    faults: BTreeMap<ObjectKey, String>,
    /// Something in it is new.
    news: bool,
}

/// What an event brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    /// Objects have changed.
    pub(super) objects: bool,
    /// What is wrong with them has.
    pub(super) faults: bool,
    /// A list is complete.
    pub(super) listed: bool,
}

impl<K: Watched> Default for Store<K> {
    fn default() -> Self {
        Self { list: None, faults: BTreeMap::new() }
    }
}

impl<K: Watched> Store<K> {
    /// Takes in an event.
    pub(super) fn take(&mut self, known: &mut Kind<K::Kept>, event: Event<K>) -> News {
        match event {
            Event::Init => {
                self.list = Some(List { objects: Kind::new(), faults: BTreeMap::new(), news: false });
                News::default()
            }
            Event::InitApply(object) => {
                self.add(known, object);
                News::default()
            }
            Event::InitDone => self.listed(known),
            Event::Apply(object) => self.apply(known, object),
            Event::Delete(object) => {
                let key = key(object.meta());
                News {
                    objects: known.remove(&key).is_some(),
                    faults: self.faults.remove(&key).is_some(),
                    listed: false,
                }
            }
        }
    }

    fn add(&mut self, known: &Kind<K::Kept>, object: K) {
        // There is one: a list begins with `Init`.
        let Some(list) = &mut self.list else { return };
        let (key, kept) = read(object);
        match kept {
            Ok(value) => {
                let (object, news) = merge(known, &key, value);
                list.news |= news;
                list.objects.insert(key, object);
            }
            Err(fault) => {
                if let Some(last) = known.get(&key) {
                    list.objects.insert(key.clone(), last.clone());
                }
                list.faults.insert(key, fault);
            }
        }
    }

    fn listed(&mut self, known: &mut Kind<K::Kept>) -> News {
        let Some(list) = self.list.take() else { return News { listed: true, ..News::default() } };
        // Nothing new, and as many: the same.
        let objects = list.news || list.objects.len() != known.len();
        if objects {
            *known = list.objects;
        }
        let faults = self.faults != list.faults;
        self.faults = list.faults;
        News { objects, faults, listed: true }
    }

    fn apply(&mut self, known: &mut Kind<K::Kept>, object: K) -> News {
        let (key, kept) = read(object);
        match kept {
            Ok(value) => {
                let (object, news) = merge(known, &key, value);
                if news {
                    known.insert(key.clone(), object);
                }
                News { objects: news, faults: self.faults.remove(&key).is_some(), listed: false }
            }
            Err(fault) => {
                let old = self.faults.insert(key, fault.clone());
                News { faults: old.as_ref() != Some(&fault), ..News::default() }
            }
        }
    }

    /// What is wrong with objects of a wrong shape.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let problem = |(key, message): (&ObjectKey, &String)| Problem {
            severity: Severity::Error,
            origin: None,
            object: Some(Subject { kind: K::KIND, key: key.clone() }),
            fault: Fault { path: String::new(), message: format!("cannot be read: {message}") },
        };
        self.faults.iter().map(problem).collect()
    }
}

fn read<K: Watched>(object: K) -> (ObjectKey, Result<K::Kept, String>) {
    let name = key(object.meta());
    match object.keep() {
        Ok(kept) => (name, Ok(kept)),
        Err(fault) => (name, Err(fault)),
    }
}

/// The object as it is known if it says the same, and whether it does not.
fn merge<T: PartialEq>(known: &Kind<T>, key: &ObjectKey, value: T) -> (Object<T>, bool) {
    match known.get(key) {
        Some(old) if *old.value == value => (old.clone(), false),
        _ => (Object { origin: None, value: Arc::new(value) }, true),
    }
}

#[cfg(test)]
mod tests;
