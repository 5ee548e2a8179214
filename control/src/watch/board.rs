//! Where all kinds come together: the objects as consumers see them, and what is wrong with the connection.
//!
//! One cell holds the objects; every kind's task changes its own part in place, so a change is seen as soon as it is
//! known, and consumers' copies are cheap. What is wrong is kept for each kind and told as few problems: all that cannot be
//! reached are one. A trouble is logged when it begins and when it ends, and now and then meanwhile.
//!
//! An API server that has just started refuses what it allows, until it has read its roles: for [`REFUSALS`] a refusal is
//! taken for an absence, and nobody is advised to change roles that are right.

use super::{
    connection::Answers,
    reminder::Reminder,
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
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The field, so to say, of problems of the connection itself.
const CONNECTION: &str = "API server";
/// How long an API server may refuse before it is believed.
const REFUSALS: Duration = Duration::from_secs(30);

/// Whether a problem is one of the connection, which is logged here.
pub fn is_of_connection(problem: &Problem) -> bool {
    problem.object.is_none() && problem.origin.is_none() && problem.fault.path == CONNECTION
}

/// What keeps a kind from being followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers, or not in time, or with errors of its own.
    Away(String),
    /// We are not allowed to.
    Refused {
        /// What the API server says.
        cause: String,
        /// What to do.
        remedy: String,
    },
}

/// A kind that is not followed.
#[derive(Debug)]
struct Ill {
    since: Timestamp,
    /// As it is told.
    trouble: Trouble,
    /// Since when the API server has done nothing but refuse.
    refused: Option<Instant>,
}

/// The objects, and what is wrong.
#[derive(Debug)]
pub(super) struct Board {
    objects: watch::Sender<Objects>,
    state: Mutex<State>,
    answers: Answers,
}

#[derive(Debug, Default)]
struct State {
    /// Kinds that have not been listed yet.
    awaited: BTreeSet<&'static str>,
    troubles: BTreeMap<&'static str, Ill>,
    /// While the API server is away.
    reminder: Option<Reminder>,
    faults: BTreeMap<&'static str, Vec<Problem>>,
}

impl Board {
    /// Nothing is known, and these kinds are waited for.
    pub(super) fn new(awaited: BTreeSet<&'static str>) -> Self {
        let objects = watch::Sender::new(Objects { pending: !awaited.is_empty(), ..Objects::default() });
        let state = Mutex::new(State { awaited, ..State::default() });
        Self { objects, state, answers: Answers::default() }
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

    /// Whether every kind is followed.
    pub(super) fn is_well(&self) -> bool {
        let state = self.state();
        state.awaited.is_empty() && state.troubles.is_empty()
    }

    /// When the API server has answered.
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// A kind is followed again, or still.
    pub(super) fn well(&self, kind: &'static str) {
        self.answers.note();
        self.objects.send_if_modified(|objects| {
            let mut state = self.state();
            let Some(Ill { since, trouble, .. }) = state.troubles.remove(kind) else { return false };
            match trouble {
                Trouble::Away(_) if state.away().is_some() => {}
                Trouble::Away(_) => {
                    state.reminder = None;
                    tracing::info!(%since, "the API server is reached again");
                }
                Trouble::Refused { .. } => tracing::info!(kind, %since, "the API server allows it again"),
            }
            objects.problems = state.problems();
            true
        });
    }

    /// A kind cannot be followed.
    pub(super) fn ill(&self, kind: &'static str, trouble: Trouble) {
        self.ill_at(kind, trouble, Instant::now());
    }

    fn ill_at(&self, kind: &'static str, trouble: Trouble, now: Instant) {
        if let Trouble::Refused { .. } = trouble {
            self.answers.note();
        }
        self.objects.send_if_modified(|objects| {
            let is_news = self.state().ill(kind, trouble, now);
            if is_news {
                objects.problems = self.state().problems();
            }
            is_news
        });
    }

    // Taken while the objects are held, never the other way round.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in that a kind cannot be followed. Whether there is anything new to tell.
    fn ill(&mut self, kind: &'static str, trouble: Trouble, now: Instant) -> bool {
        let old = self.troubles.remove(kind);
        let before = old.as_ref().and_then(|old| old.refused);
        let refused = matches!(trouble, Trouble::Refused { .. }).then(|| before.unwrap_or(now));
        let trouble = match (trouble, refused) {
            (Trouble::Refused { cause, .. }, Some(since)) if now < since + REFUSALS => {
                Trouble::Away(format!("{kind}: {cause}"))
            }
            (trouble, _) => trouble,
        };
        let is_news = match (old.as_ref().map(|old| &old.trouble), &trouble) {
            // Why nobody answers may differ from try to try: the first reason is the one to know.
            (Some(Trouble::Away(_)), Trouble::Away(_)) => false,
            (old, new) => old != Some(new),
        };
        let ill = match old {
            Some(old) if !is_news => Ill { refused, ..old },
            old => Ill { since: old.map_or_else(Timestamp::now, |old| old.since), trouble, refused },
        };
        if is_news {
            self.log(kind, &ill.trouble, now);
        }
        self.troubles.insert(kind, ill);
        self.remind(now);
        is_news
    }

    /// Tells of a trouble that is not in the list yet.
    fn log(&mut self, kind: &str, trouble: &Trouble, now: Instant) {
        match trouble {
            Trouble::Away(cause) if self.away().is_none() => {
                self.reminder = Some(Reminder::new(now));
                tracing::warn!(kind, cause, "the API server cannot be reached: last good objects stay");
            }
            Trouble::Away(cause) => tracing::debug!(kind, cause, "cannot be followed"),
            Trouble::Refused { cause, remedy } => {
                tracing::error!(kind, cause, "the API server refuses: {remedy}");
            }
        }
    }

    /// Tells of an absence that goes on.
    fn remind(&mut self, now: Instant) {
        if let Some(mut reminder) = self.reminder {
            if let Some((since, cause)) = self.away()
                && reminder.is_due(now)
            {
                tracing::warn!(%since, cause, "the API server still cannot be reached: last good objects stay");
            }
            self.reminder = Some(reminder);
        }
    }

    /// Since when nobody answers for some kind, and why.
    fn away(&self) -> Option<(Timestamp, &str)> {
        let away = self.troubles.values().filter_map(|ill| match &ill.trouble {
            Trouble::Away(cause) => Some((ill.since, cause.as_str())),
            Trouble::Refused { .. } => None,
        });
        away.min()
    }

    fn problems(&self) -> Vec<Problem> {
        let told = |message| Problem {
            severity: Severity::Error,
            origin: None,
            object: None,
            fault: Fault { path: CONNECTION.to_owned(), message },
        };
        let away = self.away().map(|(since, cause)| {
            told(format!("cannot be reached since {since:.0}: last good objects stay ({cause})"))
        });
        let refused = self.troubles.values().filter_map(|ill| match &ill.trouble {
            Trouble::Refused { cause, remedy } => Some(told(format!("{cause}: {remedy}"))),
            Trouble::Away(_) => None,
        });
        away.into_iter().chain(refused).chain(self.faults.values().flatten().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
