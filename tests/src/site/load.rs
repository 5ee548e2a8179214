//! Requests at a steady rate from the client, each on a connection of its own and none tried twice.
//!
//! * In: the addresses, asked in turn, and how many requests a second. The rate waits for no answer
//!   while there are threads left; a thread that is late catches up.
//! * Out: how many were answered by whom, which failed and why, and how long the slowest took.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use penstock::{demo::get, netns::Namespace};

use crate::AN_ANSWER;

/// How long a connection, or an answer, may take where that is what is measured.
const PATIENCE: Duration = Duration::from_secs(3);

/// Threads that ask: so many requests can wait at the same time.
const THREADS: u64 = 128;

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Answers by what was answered.
    pub answers: BTreeMap<String, u64>,
    /// When a failed request began, and why it failed.
    pub failures: Vec<(Instant, String)>,
    /// When each answered request began, and how long it took, of those that took longer than 100 ms.
    pub slow: Vec<(Instant, Duration)>,
    /// The slowest answer.
    pub slowest: Duration,
}

impl Outcome {
    /// How many were answered.
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// An error with the first failures if there are any.
    pub fn all_answered(&self) -> Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let first: Vec<_> = self.failures.iter().take(5).map(|(_, why)| why.as_str()).collect();
        bail!(
            "{} of {} requests failed: {first:?}",
            self.failures.len(),
            self.answered() + self.failures.len() as u64
        )
    }
}

/// Requests that go on until [`Load::stop`].
#[derive(Debug)]
pub struct Load {
    ends: Arc<AtomicBool>,
    outcome: Arc<Mutex<Outcome>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to ask `targets` from `client`, `rate` times a second. What is not answered within three seconds fails.
    pub fn start(client: &Namespace, targets: &[SocketAddr], rate: u32) -> Result<Load> {
        Self::start_with(client, targets, rate, PATIENCE)
    }

    /// The same, where what counts is that every request is answered, whatever else the machine has to do.
    pub fn start_patient(client: &Namespace, targets: &[SocketAddr], rate: u32) -> Result<Load> {
        Self::start_with(client, targets, rate, AN_ANSWER)
    }

    fn start_with(client: &Namespace, targets: &[SocketAddr], rate: u32, patience: Duration) -> Result<Load> {
        let ends = Arc::new(AtomicBool::new(false));
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let next = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let targets: Arc<[SocketAddr]> = targets.into();
        // A thread keeps the namespace of the one that made it.
        let threads = client.enter(|| {
            let spawn = |_| {
                let (ends, outcome, next, targets) =
                    (ends.clone(), outcome.clone(), next.clone(), targets.clone());
                std::thread::spawn(move || {
                    while !ends.load(Ordering::Acquire) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let due =
                            began + Duration::from_secs(1) * u32::try_from(index).unwrap_or(u32::MAX) / rate;
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let target = targets[usize::try_from(index).unwrap_or(0) % targets.len()];
                        ask(target, patience, &outcome);
                    }
                })
            };
            (0..THREADS).map(spawn).collect()
        })?;
        Ok(Load { ends, outcome, threads })
    }

    /// So far.
    pub fn so_far(&self) -> Outcome {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets those that are under way end, and tells what became of all.
    pub fn stop(mut self) -> Outcome {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.ends.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

fn ask(target: SocketAddr, patience: Duration, outcome: &Mutex<Outcome>) {
    let began = Instant::now();
    let answer = get(target, patience);
    let took = began.elapsed();
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    match answer {
        Ok(answer) => {
            *outcome.answers.entry(answer.body).or_default() += 1;
            outcome.slowest = outcome.slowest.max(took);
            if took > Duration::from_millis(100) {
                outcome.slow.push((began, took));
            }
        }
        Err(error) => outcome.failures.push((began, format!("{target}: {error}"))),
    }
}
