//! What is wrong with objects, told on them: a Warning event on each, and on Services the condition `penstock.dev/Valid`.
//!
//! In: the objects, and the problems found in them ([`Found`], from the loop that publishes tables). Out: [`Write`]s, once for
//! each change of what is wrong with an object. A Service that was told of a fault is told when it is gone; one that
//! never had any is not written to. The condition is also the memory of what was told to a Service, so a restart
//! tells nothing again; events on other objects are told again once, and counted up by the API server's rules.
//!
//! What is wrong with an object is the same for all gateways, so the one that has the lock tells it. What one gateway alone
//! finds, such as a port that something else on its machine has, it tells itself, with its name and without a condition,
//! which the next would overwrite.

use super::{
    book::Book,
    follow::Planner,
    write::{About, Change, Notice, Write, read_condition},
};
use crate::{
    fault::{Problem, Severity},
    objects::{ObjectKind, Objects, Subject},
    watch::{Condition, ConditionStatus},
};
use imbl::ordmap::DiffItem;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Whether anything is wrong with a Service.
pub const VALID: &str = "penstock.dev/Valid";
/// Faults are listed up to this many bytes: an event takes 1024.
const LONGEST: usize = 900;

/// Objects, and what is wrong with them.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The objects.
    pub objects: Objects,
    /// What is wrong.
    pub problems: Arc<[Problem]>,
}

/// See the module.
#[derive(Debug)]
pub struct Faults {
    /// The gateway that found them alone; `None`: all find the same.
    node_name: Option<String>,
    last: Objects,
    /// What was told of which object.
    told: BTreeMap<Subject, Told>,
    book: Book,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    uid: Option<String>,
    note: Notice,
}

impl Faults {
    /// Faults that every gateway finds.
    pub fn of_cluster() -> Self {
        Self { node_name: None, last: Objects::default(), told: BTreeMap::new(), book: Book::default() }
    }

    /// Faults that this gateway finds alone.
    pub fn of_node(name: &str) -> Self {
        Self { node_name: Some(name.to_owned()), ..Self::of_cluster() }
    }

    /// Tells of an object what is wrong now.
    fn take(&mut self, subject: &Subject, objects: &Objects, problems: &[&Problem]) {
        let Some(uid) = uid(objects, subject) else {
            self.told.remove(subject);
            return self.book.forget(subject);
        };
        let about = About { subject: subject.clone(), uid };
        let notice =
            (!problems.is_empty()).then(|| notice(subject.kind, problems, self.node_name.as_deref()));
        if subject.kind == ObjectKind::Service && self.node_name.is_none() {
            return self.mark(&about, objects, notice);
        }
        let told = notice.map(|note| Told { uid: about.uid.clone(), note });
        if self.told.get(subject) == told.as_ref() {
            return;
        }
        match told {
            None => drop(self.told.remove(subject)),
            Some(told) => {
                self.book.observe(&about, []);
                self.book.tell(subject, told.note.clone());
                self.told.insert(subject.clone(), told);
            }
        }
    }

    /// Gives a Service its condition, and tells of it if it was another one.
    fn mark(&mut self, about: &About, objects: &Objects, notice: Option<Notice>) {
        let Some(service) = objects.services.get(&about.subject.key).map(|object| &object.value) else {
            return;
        };
        let said = read_condition(service, VALID).map(Change::Condition);
        let is_marked = said.is_some();
        self.book.observe(about, said);
        let (status, reason, message) = match &notice {
            Some(notice) => (ConditionStatus::False, notice.reason, notice.note.clone()),
            None if is_marked || self.told.contains_key(&about.subject) => {
                (ConditionStatus::True, "Valid", "nothing is wrong with the Service".to_owned())
            }
            None => return self.book.forget(&about.subject),
        };
        let (reason, generation) = (Cow::Borrowed(reason), service.metadata.generation);
        let condition = Change::Condition(Condition { kind: VALID, status, reason, message, generation });
        let is_told = self.book.will_say(&about.subject, &condition);
        self.book.want(&about.subject, [condition]);
        let Some(note) = notice else {
            // From here on the condition itself says that there was something.
            self.told.remove(&about.subject);
            return;
        };
        if !is_told {
            self.book.tell(&about.subject, note.clone());
        }
        self.told.insert(about.subject.clone(), Told { uid: about.uid.clone(), note });
    }

    /// Services that were read anew since the last time and have the condition: somebody else may have changed it.
    fn reread(&self, objects: &Objects) -> BTreeSet<Subject> {
        let mut subjects = BTreeSet::new();
        for item in self.last.services.diff(&objects.services) {
            if let DiffItem::Add(key, object) | DiffItem::Update { new: (key, object), .. } = item
                && self.node_name.is_none()
                && read_condition(&object.value, VALID).is_some()
            {
                subjects.insert(Subject::service(key));
            }
        }
        subjects
    }
}

impl Planner for Faults {
    type Input = Found;

    fn update(&mut self, found: &Found) -> Vec<Write> {
        let Found { objects, problems } = found;
        if objects.pending {
            return Vec::new();
        }
        let mut wrong: BTreeMap<&Subject, Vec<&Problem>> = BTreeMap::new();
        for problem in problems.iter() {
            if let Some(subject) = &problem.object {
                wrong.entry(subject).or_default().push(problem);
            }
        }
        let mut subjects = self.reread(objects);
        subjects.extend(self.told.keys().chain(wrong.keys().copied()).cloned());
        for subject in &subjects {
            self.take(subject, objects, wrong.get(subject).map_or(&[], Vec::as_slice));
        }
        self.last = Objects { services: objects.services.clone(), ..Objects::default() };
        self.book.writes()
    }

    fn book(&mut self) -> &mut Book {
        &mut self.book
    }
}

/// The uid of an object, if it is there.
fn uid(objects: &Objects, Subject { kind, key }: &Subject) -> Option<Option<String>> {
    Some(match kind {
        ObjectKind::Service => objects.services.get(key)?.value.metadata.uid.clone(),
        ObjectKind::EndpointSlice => objects.slices.get(key)?.value.uid.as_deref().map(ToOwned::to_owned),
        ObjectKind::Node => objects.nodes.get(key)?.value.metadata.uid.clone(),
        ObjectKind::Namespace => objects.namespaces.get(key)?.value.metadata.uid.clone(),
        ObjectKind::IpAddressPool => objects.pools.get(key)?.value.metadata.uid.clone(),
        ObjectKind::L2Advertisement => objects.advertisements.get(key)?.value.metadata.uid.clone(),
    })
}

/// All that is wrong with an object.
fn notice(kind: ObjectKind, problems: &[&Problem], node_name: Option<&str>) -> Notice {
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    let mut note = String::new();
    for (index, problem) in problems.iter().enumerate() {
        let fault = problem.fault.to_string();
        if index > 0 && note.len() + fault.len() > LONGEST {
            note += &format!("; and {} more", problems.len() - index);
            break;
        }
        let separator = if index > 0 { "; " } else { "" };
        note += separator;
        note += &fault;
    }
    if is_wrong {
        note += " (its last good version, if there was one, stays in use)";
    }
    if let Some(node) = node_name {
        note += &format!(" (on node {node})");
    }
    Notice::warning(reason(kind, is_wrong), note)
}

/// The reason of an event: the object is not used, or not all of it or not as may be meant.
fn reason(kind: ObjectKind, is_wrong: bool) -> &'static str {
    match (kind, is_wrong) {
        (ObjectKind::Service, true) => "InvalidService",
        (ObjectKind::Service, false) => "DoubtfulService",
        (ObjectKind::EndpointSlice, true) => "InvalidEndpointSlice",
        (ObjectKind::EndpointSlice, false) => "DoubtfulEndpointSlice",
        (ObjectKind::Node, true) => "InvalidNode",
        (ObjectKind::Node, false) => "DoubtfulNode",
        (ObjectKind::Namespace, true) => "InvalidNamespace",
        (ObjectKind::Namespace, false) => "DoubtfulNamespace",
        (ObjectKind::IpAddressPool, true) => "InvalidIPAddressPool",
        (ObjectKind::IpAddressPool, false) => "DoubtfulIPAddressPool",
        (ObjectKind::L2Advertisement, true) => "InvalidL2Advertisement",
        (ObjectKind::L2Advertisement, false) => "DoubtfulL2Advertisement",
    }
}

#[cfg(test)]
mod tests;
