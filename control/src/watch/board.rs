//! Where all kinds come together: the objects as consumers see them, and what is wrong with the connection.
//!
//! One cell holds the objects; every kind's task changes its own part in place, so a change is seen as soon as it is
//! known, and consumers' copies are cheap. What is wrong is kept for each kind and told as few problems: all that cannot be
//! reached are one. A trouble is logged when it begins and when it ends.

use super::{
    store::{News, Store},
    strip::Watched,
};
use crate::{
    fault::{Fault, Problem, Severity},
    objects::Objects,
};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// What keeps a kind from being followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers, or not in time, or with errors of its own.
    Away(String),
    /// We are not allowed to.
    Refused(String),
}

/// The objects, and what is wrong.
#[derive(Debug)]
pub(super) struct Board {
    objects: watch::Sender<Objects>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Kinds that have not been listed yet.
    awaited: BTreeSet<&'static str>,
    troubles: BTreeMap<&'static str, (Timestamp, Trouble)>,
    faults: BTreeMap<&'static str, Vec<Problem>>,
}

impl Board {
    /// Nothing is known, and these kinds are waited for.
    pub(super) fn new(awaited: BTreeSet<&'static str>) -> Self {
        let objects = watch::Sender::new(Objects { pending: !awaited.is_empty(), ..Objects::default() });
        Self { objects, state: Mutex::new(State { awaited, ..State::default() }) }
    }

    /// The objects, now and from now on.
    pub(super) fn objects(&self) -> watch::Receiver<Objects> {
        self.objects.subscribe()
    }

    /// Takes in what a watch tells.
    pub(super) fn take<K: Watched>(&self, store: &mut Store<K>, event: Event<K>) {
        self.objects.send_if_modified(|objects| {
            let News { objects: changed, faults, listed } = store.take(K::of(objects), event);
            if !(changed || faults || listed) {
                return false;
            }
            let mut state = self.state();
            let first = listed && state.awaited.remove(K::PLURAL);
            objects.pending = !state.awaited.is_empty();
            if faults {
                state.faults.insert(K::PLURAL, store.problems());
                objects.problems = state.problems();
            }
            changed || faults || first
        });
    }

    /// A kind is followed again, or still.
    pub(super) fn well(&self, kind: &'static str) {
        self.objects.send_if_modified(|objects| {
            let mut state = self.state();
            let Some((since, trouble)) = state.troubles.remove(kind) else { return false };
            match trouble {
                Trouble::Away(_) if state.away().is_some() => {}
                Trouble::Away(_) => tracing::info!(%since, "the API server is reached again"),
                Trouble::Refused(_) => tracing::info!(kind, %since, "the API server allows it again"),
            }
            objects.problems = state.problems();
            true
        });
    }

    /// A kind cannot be followed.
    pub(super) fn ill(&self, kind: &'static str, trouble: Trouble) {
        self.objects.send_if_modified(|objects| {
            let mut state = self.state();
            let old = state.troubles.get(kind).map(|(since, trouble)| (*since, trouble.clone()));
            match (&old, &trouble) {
                // Why nobody answers may differ from try to try: the first reason is the one to know.
                (Some((_, Trouble::Away(_))), Trouble::Away(_)) => return false,
                (Some((_, old)), new) if old == new => return false,
                (_, Trouble::Away(cause)) if state.away().is_none() => {
                    tracing::warn!(kind, cause, "the API server cannot be reached: last good objects stay");
                }
                (_, Trouble::Away(cause)) => tracing::debug!(kind, cause, "cannot be followed"),
                (_, Trouble::Refused(cause)) => tracing::error!(kind, cause, "the API server refuses"),
            }
            let since = old.map_or_else(Timestamp::now, |(since, _)| since);
            state.troubles.insert(kind, (since, trouble));
            objects.problems = state.problems();
            true
        });
    }

    // Taken while the objects are held, never the other way round.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Since when nobody answers for some kind, and why.
    fn away(&self) -> Option<(Timestamp, &str)> {
        let away = self.troubles.values().filter_map(|(since, trouble)| match trouble {
            Trouble::Away(cause) => Some((*since, cause.as_str())),
            Trouble::Refused(_) => None,
        });
        away.min()
    }

    fn problems(&self) -> Vec<Problem> {
        let told = |message| Problem {
            severity: Severity::Error,
            origin: None,
            object: None,
            fault: Fault { path: "API server".to_owned(), message },
        };
        let away = self.away().map(|(since, cause)| {
            told(format!("cannot be reached since {since:.0}: last good objects stay ({cause})"))
        });
        let refused = self.troubles.values().filter_map(|(_, trouble)| match trouble {
            Trouble::Refused(cause) => Some(told(cause.clone())),
            Trouble::Away(_) => None,
        });
        away.into_iter().chain(refused).chain(self.faults.values().flatten().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
