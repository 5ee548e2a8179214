//! What may be written to an object, as data: whoever decides what is to be said does not know how it is done.

use crate::{ipam::Usage, objects::Subject};
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

/// A condition of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type, as `penstock.dev/AddressAssigned`.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one CamelCase word.
    pub reason: Cow<'static, str>,
    /// Why, for people, and what to do about it.
    pub message: String,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should look at it.
    pub weight: Weight,
    /// Why, in one word.
    pub reason: &'static str,
    /// For people.
    pub note: String,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// All is as it should be.
    Normal,
    /// Somebody should look at it.
    Warning,
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
    pub(super) fn slot(&self) -> Option<Slot> {
        Some(match self {
            Self::Addresses(_) => Slot::Addresses,
            Self::Annotation(name, _) => Slot::Annotation(name),
            Self::Condition(condition) => Slot::Condition(condition.name),
            Self::Usage(_) => Slot::Usage,
            Self::Event(_) => return None,
        })
    }
}

impl Condition {
    /// What a Service says of this condition, if it says whether it holds.
    pub fn read(service: &Service, name: &'static str) -> Option<Self> {
        let conditions = service.status.as_ref()?.conditions.as_ref()?;
        let condition = conditions.iter().find(|condition| condition.type_ == name)?;
        let holds = match condition.status.as_str() {
            "True" => true,
            "False" => false,
            _ => return None,
        };
        let reason = Cow::Owned(condition.reason.clone());
        Some(Self { name, holds, reason, message: condition.message.clone() })
    }
}

impl Notice {
    /// Somebody should look at it.
    pub fn warning(reason: &'static str, note: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, reason, note: note.into() }
    }

    /// All is as it should be.
    pub fn normal(reason: &'static str, note: impl Into<String>) -> Self {
        Self { weight: Weight::Normal, reason, note: note.into() }
    }
}
