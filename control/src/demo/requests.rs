//! Many requests, several at a time, with a change of the backends in the middle.
//!
//! * In: the addresses, how many requests to each, and the phase, which the caller moves on.
//! * Out: a [`Tally`]: answers by address, phase and backend, and what failed.
//! * A request that ended in [`Phase::Before`] is before the change, one that began in [`Phase::After`] is after it;
//!   all others may be answered by either set of backends and are [`Phase::During`]. The last quarter waits for
//!   [`Phase::After`], so that the new set is always tried.
//! * Nothing is tried twice: a request that fails has failed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use serde::Serialize;

use super::http;

/// How long a connection, or an answer, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many messages of failures are kept.
const MESSAGES: usize = 10;

/// When a request was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The first set of backends is published.
    Before,
    /// The change is on its way.
    During,
    /// The second set of backends is published.
    After,
}

/// An address to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// What it is: `ClusterIP`, `NodePort`, `LoadBalancer`.
    pub kind: &'static str,
    /// Where it is.
    pub address: SocketAddr,
}

impl Target {
    /// `ClusterIP IPv4`.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, if self.address.is_ipv4() { "IPv4" } else { "IPv6" })
    }
}

/// A run of requests: what all its threads share.
#[derive(Debug)]
pub struct Load {
    targets: Vec<Target>,
    total: u64,
    next: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    phase: AtomicU8,
    stopped: AtomicBool,
}

/// What came back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Answers by (index of the target, phase) and backend.
    pub answers: BTreeMap<(usize, Phase), BTreeMap<String, u64>>,
    /// Failures by target.
    pub failures: BTreeMap<usize, u64>,
    /// The first few failures in words.
    pub messages: Vec<String>,
}

impl Load {
    /// `each` requests to each of `targets`.
    pub fn new(targets: Vec<Target>, each: u64) -> Load {
        Load {
            total: each * targets.len() as u64,
            targets,
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Before as u8),
            stopped: AtomicBool::new(false),
        }
    }

    /// The addresses.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// All requests there will be.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Requests that have ended, well or not.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Requests that have failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }

    /// Moves on to `phase`.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Lets the threads end early.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Sends all the requests from `threads` threads of the calling thread's network namespace.
    pub fn send(&self, threads: usize) -> Tally {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.send_in_turn())).collect();
            let mut sum = Tally::default();
            for thread in threads {
                sum.add(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            sum
        })
    }

    fn send_in_turn(&self) -> Tally {
        let mut tally = Tally::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.total || !self.wait_for_its_time(index) {
                return tally;
            }
            let target = usize::try_from(index % self.targets.len() as u64).unwrap_or(0);
            let began = self.phase();
            match http::get(self.targets[target].address, PATIENCE) {
                Ok(answer) => {
                    let phase = if began == self.phase() { began } else { Phase::During };
                    *tally.answers.entry((target, phase)).or_default().entry(answer.body).or_default() += 1;
                }
                Err(error) => {
                    self.failed.fetch_add(1, Ordering::AcqRel);
                    tally.fail(target, format!("{}: {error}", self.targets[target].label()));
                }
            }
            self.done.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Holds the last quarter back until the change is through. False if the run has been stopped.
    fn wait_for_its_time(&self, index: u64) -> bool {
        while index >= self.total - self.total / 4 && self.phase() != Phase::After {
            if self.stopped.load(Ordering::SeqCst) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        !self.stopped.load(Ordering::SeqCst)
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Before,
            1 => Phase::During,
            _ => Phase::After,
        }
    }
}

impl Tally {
    fn fail(&mut self, target: usize, message: String) {
        *self.failures.entry(target).or_default() += 1;
        if self.messages.len() < MESSAGES {
            self.messages.push(message);
        }
    }

    fn add(&mut self, other: Tally) {
        for (key, counts) in other.answers {
            let sum = self.answers.entry(key).or_default();
            for (backend, count) in counts {
                *sum.entry(backend).or_default() += count;
            }
        }
        for (target, count) in other.failures {
            *self.failures.entry(target).or_default() += count;
        }
        let room = MESSAGES - self.messages.len().min(MESSAGES);
        self.messages.extend(other.messages.into_iter().take(room));
    }

    /// Answers from `backend` to requests for `target` in one of `phases`.
    pub fn count(&self, target: usize, phases: &[Phase], backend: &str) -> u64 {
        let of_phase =
            |phase: &Phase| self.answers.get(&(target, *phase)).and_then(|counts| counts.get(backend));
        phases.iter().filter_map(of_phase).sum()
    }

    /// All answers.
    pub fn answered(&self) -> u64 {
        self.answers.values().flat_map(BTreeMap::values).sum()
    }

    /// All failures.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::Arc,
    };

    use super::*;

    /// A server on the loopback that answers with whatever `name` holds, 0 for a broken answer.
    fn server(name: Arc<AtomicU8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 512]);
                let body = format!("backend-{}", name.load(Ordering::SeqCst));
                let length = if body == "backend-0" { 99 } else { body.len() };
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            }
        });
        address
    }

    fn targets(address: SocketAddr) -> Vec<Target> {
        vec![Target { kind: "ClusterIP", address }, Target { kind: "NodePort", address }]
    }

    #[test]
    fn requests_are_told_apart_by_when_they_were_under_way() {
        let name = Arc::new(AtomicU8::new(1));
        let load = Load::new(targets(server(name.clone())), 100);
        let tally = std::thread::scope(|scope| {
            let sender = scope.spawn(|| load.send(4));
            while load.done() < 100 {
                std::thread::sleep(Duration::from_millis(1));
            }
            load.set_phase(Phase::During);
            name.store(2, Ordering::SeqCst);
            // Three quarters go on, the last one waits.
            while load.done() < 150 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(load.done(), 150);
            load.set_phase(Phase::After);
            sender.join().unwrap()
        });
        assert_eq!((tally.answered(), tally.failed()), (200, 0));
        for target in 0..2 {
            assert_eq!(tally.count(target, &[Phase::After], "backend-1"), 0);
            assert_eq!(tally.count(target, &[Phase::After], "backend-2"), 25);
            let all = [Phase::Before, Phase::During, Phase::After];
            assert_eq!(tally.count(target, &all, "backend-1") + tally.count(target, &all, "backend-2"), 100);
        }
    }

    #[test]
    fn a_failure_counts_once_and_is_told() {
        let load = Load::new(targets(server(Arc::new(AtomicU8::new(0)))), 10);
        load.set_phase(Phase::After);
        let tally = load.send(2);
        assert_eq!((tally.answered(), tally.failed(), load.failed()), (0, 20, 20));
        assert_eq!(tally.messages.len(), MESSAGES);
        assert!(tally.messages[0].contains("IPv4"), "{:?}", tally.messages);
    }

    #[test]
    fn a_stopped_run_ends() {
        let load = Load::new(targets(server(Arc::new(AtomicU8::new(1)))), 100);
        load.stop();
        assert_eq!(load.send(2).answered(), 0);
    }
}
