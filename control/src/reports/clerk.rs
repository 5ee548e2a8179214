//! Makes writes: many objects' at a time, one object's after the other, again after a while if they fail.
//!
//! A write that fails is given back with what was made of it after a pause that grows with every failure of that object, so
//! that whoever asked for it says what is to be written by then. It holds up nobody else meanwhile.

use super::{
    desk::Desk,
    write::{Change, Write},
};
use crate::objects::Subject;
use std::{
    collections::BTreeMap,
    future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many objects are written to at a time.
const AT_ONCE: usize = 16;
/// How long one change may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause after a failure. It doubles with each that follows.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An event that could not be told so many times is not told.
const EVENT_ATTEMPTS: u32 = 5;
/// How often failures are logged.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// See the module. Dropped, it makes no further write.
#[derive(Debug)]
pub(super) struct Clerk<D> {
    desk: D,
    places: Arc<Semaphore>,
    tasks: JoinSet<Done>,
    /// How often in a row writes of an object have failed.
    failures: BTreeMap<Subject, u32>,
    logged: Option<Instant>,
}

/// What became of a write.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) write: Write,
    /// How many of its changes were made, from the first.
    pub(super) made: usize,
    failure: Option<String>,
}

impl<D: Desk> Clerk<D> {
    pub(super) fn new(desk: D) -> Self {
        Self {
            desk,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: JoinSet::new(),
            failures: BTreeMap::new(),
            logged: None,
        }
    }

    /// Begins with a write.
    pub(super) fn take(&mut self, write: Write) {
        let failures = self.failures.get(&write.about.subject).copied().unwrap_or_default();
        self.tasks.spawn(make(self.desk.clone(), Arc::clone(&self.places), write, failures));
    }

    /// The next write that was made, or was not; never, if there is none.
    pub(super) async fn done(&mut self) -> Done {
        let done = match self.tasks.join_next().await {
            None => return future::pending().await,
            Some(Ok(done)) => done,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return future::pending().await,
            },
        };
        let subject = &done.write.about.subject;
        match &done.failure {
            None => drop(self.failures.remove(subject)),
            Some(_) => *self.failures.entry(subject.clone()).or_default() += 1,
        }
        if let Some(failure) = &done.failure
            && self.logged.is_none_or(|logged| logged.elapsed() >= LOG_PERIOD)
        {
            self.logged = Some(Instant::now());
            let failing = self.failures.len();
            tracing::warn!(object = %subject, failing, "an object is not up to date; this is tried again: {failure}");
        }
        done
    }
}

/// Makes one write as far as possible. What failed is given back after a pause.
async fn make<D: Desk>(desk: D, places: Arc<Semaphore>, write: Write, failures: u32) -> Done {
    let mut done = Done { made: 0, failure: None, write };
    {
        // It is never closed; without a place the write is made all the same.
        let _place = places.acquire().await;
        for change in &done.write.changes {
            done.failure = match timeout(PATIENCE, desk.change(&done.write.about, change)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(with_sources(&error)),
                Err(_) => Some(format!("no answer within {PATIENCE:?}")),
            };
            match (&done.failure, change) {
                (None, _) => {}
                (Some(failure), Change::Event(notice)) if failures + 1 >= EVENT_ATTEMPTS => {
                    tracing::warn!(object = %done.write.about.subject, reason = notice.reason, "event not told: {failure}");
                    done.failure = None;
                }
                (Some(_), _) => break,
            }
            done.made += 1;
        }
    }
    if done.failure.is_some() {
        let pause = PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
        // Those that failed together are not tried again together.
        let share = u32::try_from(done.write.number % 8).unwrap_or_default();
        sleep(pause + pause * share / 16).await;
    }
    done
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
