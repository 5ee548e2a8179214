//! The desk in a cluster: changes are made by the API server, and the lock is a Lease.

use super::{
    desk::{Desk, Lock},
    write::{About, Change, Condition, Notice, Weight},
};
use crate::{
    objects::ObjectKind,
    watch::{self, ConditionStatus, Event, Leases, Level, Reference, WriteError, Writer},
};
use std::{sync::Arc, time::Duration};

/// See the module. A copy is cheap.
#[derive(Debug, Clone)]
pub struct Office {
    writer: Writer,
    leases: Leases,
    lock: Arc<str>,
    holder: Arc<str>,
}

impl Office {
    /// With a lock of this name, held by this node.
    pub fn new(writer: Writer, leases: Leases, lock: &str, holder: &str) -> Self {
        Self { writer, leases, lock: lock.into(), holder: holder.into() }
    }

    /// Tells an event now, whoever has the lock.
    pub async fn tell(&self, about: &About, notice: &Notice) -> Result<(), WriteError> {
        let kind = about.subject.kind;
        let about = Reference {
            kind: kind.name(),
            api_version: kind.api_version(),
            key: about.subject.key.clone(),
            uid: about.uid.clone(),
        };
        let severity = match notice.weight {
            Weight::Normal => Level::Normal,
            Weight::Warning => Level::Warning,
        };
        self.writer.event(&Event { about, severity, reason: notice.reason, note: notice.note.clone() }).await
    }
}

impl Desk for Office {
    type Error = WriteError;

    async fn change(&self, about: &About, change: &Change) -> Result<(), WriteError> {
        let key = &about.subject.key;
        let done = match change {
            Change::Addresses(texts) => {
                let addresses: Vec<_> = texts.iter().filter_map(|text| text.parse().ok()).collect();
                self.writer.service_addresses(key, &addresses).await
            }
            Change::Annotation(name, value) => {
                self.writer.annotate_service(key, name, value.as_deref()).await
            }
            Change::Condition(condition) if about.subject.kind == ObjectKind::Service => {
                self.writer.service_condition(key, &condition.into()).await
            }
            // No other kind has conditions.
            Change::Condition(_) => Ok(()),
            Change::Usage(usage) => self.writer.pool_usage(key, usage).await,
            Change::Event(notice) => self.tell(about, notice).await,
        };
        match done {
            // What is gone has nothing to say.
            Err(WriteError::Gone { .. }) => Ok(()),
            done => done,
        }
    }
}

impl Lock for Office {
    type Error = WriteError;

    async fn acquire(&self, duration: Duration) -> Result<bool, WriteError> {
        self.leases.acquire(&self.lock, &self.holder, duration).await
    }

    async fn release(&self) -> Result<(), WriteError> {
        self.leases.release(&self.lock).await
    }
}

impl From<&Condition> for watch::Condition {
    fn from(condition: &Condition) -> Self {
        Self {
            kind: condition.name,
            status: if condition.holds { ConditionStatus::True } else { ConditionStatus::False },
            reason: condition.reason.to_string(),
            message: condition.message.clone(),
            generation: None,
        }
    }
}
