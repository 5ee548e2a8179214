//! Whether changes reach the tables, and whether the node is to be used: what `/healthz` and `/livez` answer.
//!
//! A family is unhealthy when a change has waited for [`Health`]'s limit without being applied; one that has nothing to
//! do stays healthy for ever. A Node object that vanishes leaves the last seen state. An appliance without a node name
//! has no Node to wait for. A node that lacks one of its interfaces is not to be used until that is back.

use crate::model::{IpFamily, Node};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// The time: by the clock that never jumps, and by the one people read.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For durations.
    pub instant: Instant,
    /// For people.
    pub wall: Timestamp,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = i128::try_from(since_1970.as_nanos()).unwrap_or(i128::MAX);
        let wall = Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::MAX);
        Self { instant: Instant::now(), wall }
    }
}

/// The JSON of `/healthz` and `/livez`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Now in a good answer (as old clients of kube-proxy expect); else the newest sync of any family.
    pub last_updated: Timestamp,
    /// The time of the answer.
    pub current_time: Timestamp,
    /// Whether load balancers should use the node. Only in `/healthz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_eligible: Option<bool>,
    /// Whether every family is healthy.
    pub healthy: bool,
    /// Configured interfaces that are missing, so that the node can't be used. Only in `/healthz`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_interfaces: Vec<String>,
    /// By family.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub status: BTreeMap<IpFamily, FamilyStatus>,
}

/// A family of [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FamilyStatus {
    /// Its last sync.
    pub last_updated: Timestamp,
    /// Whether no change has waited too long.
    pub healthy: bool,
}

/// Collects what there is to know. Shared between the control loop and the pages.
#[derive(Debug)]
pub struct Health {
    /// How long a change may wait.
    limit: Duration,
    state: Mutex<State>,
    /// Answers of `/healthz` and `/livez`, good ones and bad ones.
    answers: [[AtomicU64; 2]; 2],
}

#[derive(Debug)]
struct State {
    families: BTreeMap<IpFamily, Family>,
    eligible: bool,
    missing_interfaces: Vec<String>,
}

#[derive(Debug, Default)]
struct Family {
    updated: Option<Timestamp>,
    /// Since when a change waits.
    queued: Option<Instant>,
}

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Should load balancers use this node?
    Healthz,
    /// Does the appliance work?
    Livez,
}

const BOTH: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

impl Health {
    /// `limit` is how long a change may wait. Without a node name there is no Node to wait for.
    pub fn new(limit: Duration, node_name: &str) -> Self {
        let state = State {
            families: BTreeMap::new(),
            eligible: node_name.is_empty(),
            missing_interfaces: Vec::new(),
        };
        Self { limit, state: Mutex::new(state), answers: Default::default() }
    }

    /// A change has come in.
    pub fn queued(&self, now: Moment) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for family in BOTH {
            state.families.entry(family).or_default().queued.get_or_insert(now.instant);
        }
    }

    /// Everything that came in is applied.
    pub fn updated(&self, now: Moment) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for family in BOTH {
            state.families.insert(family, Family { updated: Some(now.wall), queued: None });
        }
    }

    /// The Node object as it is now; `None` if there is none.
    pub fn node(&self, node: Option<&Node>) {
        if let Some(node) = node {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).eligible = !node.leaving;
        }
    }

    /// The interfaces that packets can't come or go by.
    pub fn missing_interfaces(&self, names: Vec<String>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).missing_interfaces = names;
    }

    /// Whether changes reach the tables.
    pub fn is_healthy(&self, now: Moment) -> bool {
        self.status(Question::Livez, now).1.healthy
    }

    /// The answer to a question: whether it is a good one, and its body.
    pub(super) fn status(&self, question: Question, now: Moment) -> (bool, Status) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // As kube-proxy: a family that is still starting up is not judged.
        let seen = state.families.iter().filter_map(|(family, known)| Some((*family, known, known.updated?)));
        let status: BTreeMap<_, _> = seen
            .map(|(family, known, last_updated)| {
                let late = |queued| now.instant.saturating_duration_since(queued) >= self.limit;
                (family, FamilyStatus { last_updated, healthy: !known.queued.is_some_and(late) })
            })
            .collect();
        let healthy = status.values().all(|family| family.healthy);
        let node_eligible = (question == Question::Healthz).then_some(state.eligible);
        let missing_interfaces = match question {
            Question::Healthz => state.missing_interfaces.clone(),
            Question::Livez => Vec::new(),
        };
        let good = healthy && node_eligible.unwrap_or(true) && missing_interfaces.is_empty();
        let newest = status.values().map(|family| family.last_updated).max();
        let last_updated = if good { now.wall } else { newest.unwrap_or(Timestamp::UNIX_EPOCH) };
        (
            good,
            Status {
                last_updated,
                current_time: now.wall,
                node_eligible,
                healthy,
                missing_interfaces,
                status,
            },
        )
    }

    /// Counts an answer.
    pub(super) fn count(&self, question: Question, good: bool) {
        self.answers[question as usize][usize::from(good)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers to a question were good, or not.
    pub(super) fn answers(&self, question: Question, good: bool) -> u64 {
        self.answers[question as usize][usize::from(good)].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
