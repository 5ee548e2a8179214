//! The Leases that are there, and when each was last seen to change.
//!
//! Whether a holder is alive is judged by the local clock since its record last changed, as client-go does: clocks of other
//! machines are not trusted. A list after an outage leaves the time of a record that is as it was.

use imbl::OrdMap;
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::runtime::watcher::Event;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// All Leases of gateways, by name.
pub type SeenLeases = OrdMap<String, SeenLease>;

/// A Lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLease {
    /// Who has it; empty: nobody.
    pub holder: String,
    /// How long it is good for after it was renewed, in whole seconds, as it says itself.
    pub duration: Duration,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was renewed, by the holder's clock: to tell one renewal from the next.
    pub renewed: Option<Timestamp>,
    /// When its record was last seen to change, by ours.
    pub changed: Instant,
}

impl SeenLease {
    /// As it is now.
    pub(super) fn new(lease: &Lease, now: Instant) -> Self {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        Self {
            holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            annotations: lease.metadata.annotations.clone().unwrap_or_default(),
            renewed: spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
            changed: now,
        }
    }

    /// Whether it is the same renewal by the same holder.
    pub(super) fn same_record(&self, other: &Self) -> bool {
        (&self.holder, self.duration, self.renewed) == (&other.holder, other.duration, other.renewed)
    }
}

/// A list that is not complete.
#[derive(Debug, Default)]
pub(super) struct Seen {
    list: SeenLeases,
}

impl Seen {
    /// Takes in what a watch tells. Whether something has changed.
    pub(super) fn take(&mut self, known: &mut SeenLeases, event: Event<Lease>) -> bool {
        let name = |lease: &Lease| lease.metadata.name.clone().unwrap_or_default();
        match event {
            Event::Init => {
                self.list = SeenLeases::new();
                false
            }
            Event::InitApply(lease) => {
                let name = name(&lease);
                let lease = merge(known.get(&name), &lease);
                self.list.insert(name, lease);
                false
            }
            Event::InitDone => {
                let list = std::mem::take(&mut self.list);
                let news = list != *known;
                *known = list;
                news
            }
            Event::Apply(lease) => {
                let name = name(&lease);
                let lease = merge(known.get(&name), &lease);
                known.insert(name, lease.clone()).is_none_or(|old| old != lease)
            }
            Event::Delete(lease) => known.remove(&name(&lease)).is_some(),
        }
    }
}

fn merge(known: Option<&SeenLease>, lease: &Lease) -> SeenLease {
    let mut new = SeenLease::new(lease, Instant::now());
    if let Some(old) = known.filter(|old| old.same_record(&new)) {
        new.changed = old.changed;
    }
    new
}

#[cfg(test)]
mod tests;
