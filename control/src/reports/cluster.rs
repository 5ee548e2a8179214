//! The desk and the lock at an API server.

use super::{
    desk::{Desk, Lock},
    write::{About, Change},
};
use crate::watch::{Event, Leases, Reference, WriteError, Writer};
use std::time::Duration;

/// The Lease of the lock.
const LOCK: &str = "penstock-addresses";

impl Desk for Writer {
    type Error = WriteError;

    /// What is gone needs no change: that it is gone comes in as news of its own.
    async fn change(&self, about: &About, change: &Change) -> Result<(), WriteError> {
        let key = &about.subject.key;
        let answer = match change {
            Change::Addresses(texts) => {
                let addresses: Vec<_> = texts.iter().filter_map(|text| text.parse().ok()).collect();
                self.service_addresses(key, &addresses).await
            }
            Change::Annotation(name, value) => self.annotate_service(key, name, value.as_deref()).await,
            Change::Condition(condition) => self.service_condition(key, condition).await,
            Change::Usage(usage) => self.pool_usage(key, usage).await,
            Change::Event(notice) => {
                let kind = about.subject.kind;
                let (kind, api_version) = (kind.name(), kind.api_version());
                let about = Reference { kind, api_version, key: key.clone(), uid: about.uid.clone() };
                let note = notice.note.clone();
                self.event(&Event { about, severity: notice.level, reason: notice.reason, note }).await
            }
        };
        match answer {
            Err(WriteError::Gone { what }) => {
                tracing::debug!("{what}: it is gone");
                Ok(())
            }
            answer => answer,
        }
    }
}

/// The Lease `penstock-addresses`, for one gateway.
#[derive(Debug, Clone)]
pub struct ClusterLock {
    leases: Leases,
    holder: String,
}

impl ClusterLock {
    /// As the gateway of this name.
    pub fn new(leases: Leases, node_name: &str) -> Self {
        Self { leases, holder: node_name.to_owned() }
    }
}

impl Lock for ClusterLock {
    type Error = WriteError;

    async fn acquire(&self, duration: Duration) -> Result<bool, WriteError> {
        self.leases.acquire(LOCK, &self.holder, duration).await
    }

    async fn release(&self) -> Result<(), WriteError> {
        self.leases.release(LOCK).await
    }
}
