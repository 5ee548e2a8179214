//! What may be written to an object, as data: whoever decides what is to be said does not know how it is done.

use crate::{
    ipam::Usage,
    objects::Subject,
    watch::{Condition, ConditionStatus, Level},
};
use k8s_openapi::api::core::v1::Service;
use std::{borrow::Cow, net::IpAddr};

/// Changes of one object, to be made in this order. The next ones wait until it is known what became of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The object.
    pub about: About,
    /// What is to be changed.
    pub changes: Vec<Change>,
    /// Tells it from other writes of the same object.
    pub(super) number: u64,
}

/// An object, and which of those that had its name one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its kind and name.
    pub subject: Subject,
    /// `metadata.uid`, by which events refer to it.
    pub uid: Option<String>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `status.loadBalancer` of a Service. Each is an address; what was read of others may be a name.
    Addresses(Vec<String>),
    /// An annotation; `None` removes it.
    Annotation(&'static str, Option<String>),
    /// A condition in the status.
    Condition(Condition),
    /// How much of a pool is used, in its status.
    Usage(Usage),
    /// An event about it.
    Event(Notice),
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should look at it.
    pub level: Level,
    /// Why, in one word.
    pub reason: &'static str,
    /// For people.
    pub note: String,
}

/// What of an object a change changes. Events change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Addresses,
    Annotation(&'static str),
    Condition(&'static str),
    Usage,
}

impl Write {
    /// The addresses, if this changes them.
    pub fn addresses(&self) -> Option<Vec<IpAddr>> {
        self.changes.iter().find_map(|change| match change {
            Change::Addresses(texts) => Some(texts.iter().filter_map(|text| text.parse().ok()).collect()),
            _ => None,
        })
    }

    /// The events.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.changes.iter().filter_map(|change| match change {
            Change::Event(notice) => Some(notice),
            _ => None,
        })
    }
}

impl Change {
    /// Whether two conditions say the same, of whatever generation.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Condition(one), Self::Condition(other)) => {
                let of_any = |condition: &Condition| Condition { generation: None, ..condition.clone() };
                of_any(one) == of_any(other)
            }
            _ => self == other,
        }
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        Some(match self {
            Self::Addresses(_) => Slot::Addresses,
            Self::Annotation(name, _) => Slot::Annotation(name),
            Self::Condition(condition) => Slot::Condition(condition.kind),
            Self::Usage(_) => Slot::Usage,
            Self::Event(_) => return None,
        })
    }
}

/// What a Service says of one of its conditions, if it says whether it is so.
pub fn read_condition(service: &Service, kind: &'static str) -> Option<Condition> {
    let conditions = service.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == kind)?;
    let status = match condition.status.as_str() {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => return None,
    };
    Some(Condition {
        kind,
        status,
        reason: Cow::Owned(condition.reason.clone()),
        message: condition.message.clone(),
        generation: condition.observed_generation,
    })
}

impl Notice {
    /// Somebody should look at it.
    pub fn warning(reason: &'static str, note: impl Into<String>) -> Self {
        Self { level: Level::Warning, reason, note: note.into() }
    }

    /// All is as it should be.
    pub fn normal(reason: &'static str, note: impl Into<String>) -> Self {
        Self { level: Level::Normal, reason, note: note.into() }
    }
}
