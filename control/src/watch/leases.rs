//! Leases (`coordination.k8s.io/v1`): which gateways live, and who may do what only one may.
//!
//! A gateway renews its own Lease, and all see it (`seen`). A lock is taken by whoever writes its record first: the
//! API server refuses a write that is based on an older version. A lock that is held is only taken over after its record
//! has not changed for its duration by the local clock, as client-go does. A renewal in the steady state is one request,
//! and every call ends well before the duration is over.

use super::{
    MANAGER,
    connection::Answers,
    error::{WriteError, within},
    seen::{SeenLease, SeenLeases},
};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The label of all our Leases.
const LABEL: (&str, &str) = ("app.kubernetes.io/part-of", "penstock");
/// The Leases with that label.
pub(super) const SELECTOR: &str = "app.kubernetes.io/part-of=penstock";
/// How long a release may take: it is done on the way out.
const RELEASE: Duration = Duration::from_secs(1);

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Its name.
    pub holder: String,
    /// For how long others may believe it; whole seconds are written, rounded up.
    pub duration: Duration,
    /// What else others should know.
    pub annotations: BTreeMap<String, String>,
}

/// The Leases of our namespace.
#[derive(Clone)]
pub struct Leases {
    api: Api<Lease>,
    namespace: Arc<str>,
    answers: Answers,
    seen: watch::Sender<SeenLeases>,
    /// The locks that were asked for; those that are ours as the API server last gave them back.
    locks: Arc<Mutex<BTreeMap<String, Option<Lease>>>>,
    /// Locks of others that were read, and when their record was first read so.
    observed: Arc<Mutex<BTreeMap<String, SeenLease>>>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Leases {
    pub(super) fn new(client: Client, namespace: &str, answers: Answers) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.into(),
            answers,
            seen: watch::Sender::new(SeenLeases::new()),
            locks: Arc::default(),
            observed: Arc::default(),
        }
    }

    pub(super) fn sender(&self) -> watch::Sender<SeenLeases> {
        self.seen.clone()
    }

    /// All Leases of gateways and locks, ours among them. While ours is not seen to be renewed although it is, the
    /// others cannot be judged either.
    pub fn seen(&self) -> watch::Receiver<SeenLeases> {
        self.seen.subscribe()
    }

    /// Renews a Lease that is ours alone, or creates it.
    pub async fn renew(&self, name: &str, renewal: &Renewal) -> Result<(), WriteError> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name, "labels": {LABEL.0: LABEL.1}, "annotations": renewal.annotations,
            },
            "spec": {
                "holderIdentity": renewal.holder,
                "leaseDurationSeconds": seconds(renewal.duration),
                "renewTime": MicroTime(Timestamp::now()),
            },
        });
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&lease);
        let request = self.api.patch(name, &params, &patch);
        self.ask(patience(renewal.duration), "patch", name, request).await.map(drop)
    }

    /// Deletes a Lease: others need not wait until it is over. A lock that is not ours any more stays.
    pub async fn release(&self, name: &str) -> Result<(), WriteError> {
        let preconditions =
            match lock(&self.locks).get_mut(name).map(|held| held.take().map(|lease| lease.metadata)) {
                // Another's lock.
                Some(None) => return Ok(()),
                Some(Some(ObjectMeta { resource_version, uid, .. })) => {
                    Some(Preconditions { resource_version, uid })
                }
                None => None,
            };
        let params = DeleteParams { preconditions, ..Default::default() };
        match self.ask(RELEASE, "delete", name, self.api.delete(name, &params)).await {
            Ok(_) | Err(WriteError::Gone { .. } | WriteError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes a lock, or keeps it; whether it is ours now, for `duration` from before the call. After an error it may be
    /// either, so who held it goes on until that time is over.
    pub async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<bool, WriteError> {
        let deadline = Instant::now() + patience(duration);
        let held = lock(&self.locks).entry(name.to_owned()).or_default().clone();
        if let Some(lease) = held {
            let renewed = record(Some(lease), name, holder, duration);
            match self.write(name, renewed, deadline).await {
                Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) => {
                    // Somebody else has written it: look.
                    lock(&self.locks).insert(name.to_owned(), None);
                }
                answer => return answer.map(|()| true),
            }
        } else if self.is_held_by_another(name, holder) {
            return Ok(false);
        }
        let there = self.ask(left(deadline), "get", name, self.api.get_opt(name)).await?;
        if there.as_ref().is_some_and(|lease| !self.is_free(name, holder, duration, lease)) {
            return Ok(false);
        }
        let taken = record(there, name, holder, duration);
        match self.write(name, taken, deadline).await {
            Ok(()) => Ok(true),
            Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a lock is seen to be another's, and good: then nothing need be asked.
    fn is_held_by_another(&self, name: &str, holder: &str) -> bool {
        self.seen.borrow().get(name).is_some_and(|seen| {
            !seen.holder.is_empty() && seen.holder != holder && seen.changed.elapsed() < seen.duration
        })
    }

    /// Whether a lock may be taken: it is nobody's, ours from before a restart, or its holder has not renewed it in time.
    fn is_free(&self, name: &str, holder: &str, duration: Duration, lease: &Lease) -> bool {
        let mut now = SeenLease::new(lease, Instant::now());
        if now.holder.is_empty() || now.holder == holder {
            return true;
        }
        if now.duration.is_zero() {
            now.duration = duration;
        }
        // The earliest time that this record was seen at.
        let seen = self.seen.borrow().get(name).cloned();
        let mut observed = lock(&self.observed);
        for known in seen.iter().chain(observed.get(name)) {
            if known.same_record(&now) {
                now.changed = now.changed.min(known.changed);
            }
        }
        let is_over = now.changed.elapsed() >= now.duration;
        observed.insert(name.to_owned(), now);
        is_over
    }

    /// Writes a lock's record: a new one, or one that is based on the version it has.
    async fn write(&self, name: &str, lease: Lease, deadline: Instant) -> Result<(), WriteError> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let written = if lease.metadata.resource_version.is_some() {
            let request = self.api.replace(name, &params, &lease);
            self.ask(left(deadline), "update", name, request).await?
        } else {
            let request = self.api.create(&params, &lease);
            self.ask(left(deadline), "create", name, request).await?
        };
        lock(&self.locks).insert(name.to_owned(), Some(written));
        Ok(())
    }

    /// Waits for an answer, and notes that there was one.
    async fn ask<T>(
        &self,
        limit: Duration,
        verb: &str,
        name: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        let what = format!("{verb} leases {}/{name}", self.namespace);
        let answer = within(limit, &what, request).await;
        if !matches!(answer, Err(WriteError::Away { .. })) {
            self.answers.note();
        }
        answer
    }
}

/// The record of a lock that is ours, made of the one that is there.
fn record(there: Option<Lease>, name: &str, holder: &str, duration: Duration) -> Lease {
    let now = MicroTime(Timestamp::now());
    let mut lease = there.unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        spec: None,
    });
    lease.metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(holder) {
        let transitions = spec.lease_transitions.map_or(0, |count| count.saturating_add(1));
        *spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: Some(now.clone()),
            lease_transitions: Some(transitions),
            ..Default::default()
        };
    }
    spec.lease_duration_seconds = Some(seconds(duration));
    spec.renew_time = Some(now);
    lease
}

/// Whole seconds, rounded up; the API wants one at least.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000).max(1)).unwrap_or(i32::MAX)
}

/// How long a call may take, so that two more fit before others think us dead.
fn patience(duration: Duration) -> Duration {
    (duration / 3).clamp(Duration::from_millis(200), Duration::from_secs(5))
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_who_has_had_the_lock() {
        let first = record(None, "lock", "a", Duration::from_millis(3500));
        let spec = first.spec.clone().unwrap();
        assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(4), Some(0)));
        assert_eq!(spec.acquire_time, spec.renew_time);
        let renewed = record(Some(first.clone()), "lock", "a", Duration::from_secs(4)).spec.unwrap();
        assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(0), &spec.acquire_time));
        assert!(renewed.renew_time > spec.renew_time);
        let taken = record(Some(first), "lock", "b", Duration::ZERO).spec.unwrap();
        assert_eq!((taken.lease_transitions, taken.lease_duration_seconds), (Some(1), Some(1)));
        assert!(taken.acquire_time > spec.acquire_time);
    }
}
