//! What a Service says of its announcing: the annotation that names the node, a condition, and MetalLB's event.
//!
//! In: the objects, and the plan made of them. Out: writes, made by the one gateway that has the lock: all gateways come to
//! the same plan, so any of them can tell.

use crate::{
    fault::Problem,
    l2::{Decision, Plan},
    objects::{ObjectKey, Objects, Subject, changed_keys},
    reports::{About, Book, Change, Notice, Planner, Write, read_condition},
    watch::{Condition, ConditionStatus},
};
use k8s_openapi::api::core::v1::Service;
use std::{collections::BTreeSet, sync::Arc};

/// The annotation that names the node which announces a Service's addresses.
pub const ANNOUNCED_BY: &str = "penstock.dev/announced-by";
/// The condition that says whether a Service's addresses are announced, by whom, and why.
pub const ANNOUNCED: &str = "penstock.dev/Announced";

/// The objects and the gateways, and what was planned for them.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// The objects.
    pub objects: Objects,
    /// The gateways that are alive, by the names of their nodes.
    pub live: Arc<BTreeSet<String>>,
    /// Who announces what.
    pub plan: Arc<Plan>,
    /// What is wrong with advertisements.
    pub problems: Arc<[Problem]>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Notes {
    last: Planned,
    book: Book,
}

impl Notes {
    fn take(&mut self, key: &ObjectKey, now: &Planned) {
        let subject = Subject::service(key);
        let service = now.objects.services.get(key).map(|service| &service.value);
        let decision = now.plan.decisions.get(key);
        match (service, decision) {
            (Some(service), Some(decision)) => self.say(subject, service, decision),
            (Some(service), None) if carries_traces(service) => {
                self.observe(&subject, service);
                let condition = condition(false, "NotOurs", "no gateway is to announce it");
                self.book.want(&subject, [Change::Annotation(ANNOUNCED_BY, None), condition]);
            }
            _ => self.book.forget(&subject),
        }
    }

    fn say(&mut self, subject: Subject, service: &Service, decision: &Decision) {
        self.observe(&subject, service);
        let owner = decision.owner.as_ref().map(ToString::to_string);
        let annotation = Change::Annotation(ANNOUNCED_BY, owner.clone());
        let is_news = owner.is_some() && !self.book.will_say(&subject, &annotation);
        let message = match &owner {
            Some(node) => format!("announced by {node}: {}", decision.why),
            None => decision.why.to_string(),
        };
        let condition = condition(owner.is_some(), decision.why.word(), message);
        self.book.want(&subject, [annotation, condition]);
        if let (true, Some(node)) = (is_news, owner) {
            let note = format!("announcing from node \"{node}\" with protocol \"layer2\"");
            self.book.tell(&subject, Notice::normal("nodeAssigned", note));
        }
    }

    fn observe(&mut self, subject: &Subject, service: &Service) {
        let about = About { subject: subject.clone(), uid: service.metadata.uid.clone() };
        let annotation = Change::Annotation(ANNOUNCED_BY, announced_by(service).map(str::to_owned));
        let condition = read_condition(service, ANNOUNCED).map(Change::Condition);
        self.book.observe(&about, std::iter::once(annotation).chain(condition));
    }
}

/// The node that a Service says it is announced by.
pub fn announced_by(service: &Service) -> Option<&str> {
    service.metadata.annotations.as_ref()?.get(ANNOUNCED_BY).map(String::as_str)
}

/// Whether a Service still says that it is announced, or why not, though it is not ours to announce any more.
fn carries_traces(service: &Service) -> bool {
    announced_by(service).is_some()
}

fn condition(holds: bool, reason: &'static str, message: impl Into<String>) -> Change {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    let (reason, message) = (reason.into(), message.into());
    Change::Condition(Condition { kind: ANNOUNCED, status, reason, message, generation: None })
}

impl Planner for Notes {
    type Input = Planned;

    fn update(&mut self, now: &Planned) -> Vec<Write> {
        if now.objects.pending {
            return Vec::new();
        }
        let last = std::mem::replace(&mut self.last, now.clone());
        let mut keys = changed_keys(&last.objects.services, &now.objects.services);
        if !Arc::ptr_eq(&last.plan, &now.plan) {
            let (before, after) = (&last.plan.decisions, &now.plan.decisions);
            keys.extend(before.keys().filter(|key| !after.contains_key(*key)).cloned());
            keys.extend(
                after.iter().filter(|(key, new)| before.get(*key) != Some(*new)).map(|(key, _)| key.clone()),
            );
        }
        for key in keys {
            self.take(&key, now);
        }
        self.book.writes()
    }

    fn book(&mut self) -> &mut Book {
        &mut self.book
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        l2::Reason,
        objects::{Kind, Object},
    };
    use serde_json::{Value, json};

    fn planned(metadata: Value, decision: Option<Decision>) -> Planned {
        let service: Service = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let key = ObjectKey::new("shop", "web");
        let object = Object { origin: None, value: Arc::new(service) };
        let objects = Objects { services: Kind::unit(key.clone(), object), ..Objects::default() };
        let decisions = decision.into_iter().map(|decision| (key.clone(), Arc::new(decision))).collect();
        Planned { objects, plan: Arc::new(Plan { decisions, ..Plan::default() }), ..Planned::default() }
    }

    fn decision(owner: Option<&str>, why: Reason) -> Option<Decision> {
        Some(Decision { owner: owner.map(Into::into), why, addresses: Vec::new(), pool: None })
    }

    fn texts(writes: &[Write]) -> Vec<String> {
        let text = |change: &Change| match change {
            Change::Annotation(_, value) => format!("by {}", value.as_deref().unwrap_or("nobody")),
            Change::Condition(condition) => format!("{}: {}", condition.reason, condition.message),
            Change::Event(notice) => notice.note.clone(),
            other => format!("{other:?}"),
        };
        writes.iter().flat_map(|write| &write.changes).map(text).collect()
    }

    #[test]
    fn the_announcer_is_told_once() {
        let mut notes = Notes::default();
        let now = planned(json!({}), decision(Some("gw-a"), Reason::Only));
        let writes = notes.update(&now);
        let all = texts(&writes);
        assert_eq!(all[0], "by gw-a");
        assert!(all[1].starts_with("Elected: announced by gw-a: "), "{all:?}");
        assert_eq!(all[2], "announcing from node \"gw-a\" with protocol \"layer2\"");
        assert!(notes.finished(&writes[0], 3).is_none() && notes.update(&now).is_empty());
        // Another gateway goes on: the Service says it already, so there is no event.
        let said =
            planned(json!({"annotations": {ANNOUNCED_BY: "gw-a"}}), decision(Some("gw-a"), Reason::Only));
        let again = texts(&Notes::default().update(&said));
        assert!(again.len() == 1 && again[0].starts_with("Elected"), "{again:?}");
    }

    #[test]
    fn nobody_and_no_more_are_told_too() {
        let said = |decision| planned(json!({"annotations": {ANNOUNCED_BY: "gw-a"}}), decision);
        let none = texts(&Notes::default().update(&said(decision(None, Reason::NoEndpoint))));
        assert!(none[0] == "by nobody" && none[1].starts_with("NoUsableEndpoint: "), "{none:?}");
        let other = texts(&Notes::default().update(&said(None)));
        assert_eq!(other, ["by nobody", "NotOurs: no gateway is to announce it"]);
        assert!(Notes::default().update(&planned(json!({}), None)).is_empty(), "not ours and never was");
    }
}
