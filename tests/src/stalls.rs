//! How much of a time the machine took for itself.
//!
//! A thread sleeps for [`NAP`] again and again, and what it wakes late by is time in which a thread that had work got no
//! core. A test that a time is kept takes it off what it measured: on an idle machine that is next to nothing, and a
//! fault of ours, which does not keep other threads from running, is never taken off.
//!
//! Limits: a thread may be held up where this one is not, by less than a scheduler's round; so a promise of
//! milliseconds cannot be tested with this, one of seconds can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long the thread sleeps at a time.
const NAP: Duration = Duration::from_millis(10);

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Stalls {
    ends: Arc<AtomicBool>,
    /// Nanoseconds: of all stalls, and of the longest.
    taken: Arc<AtomicU64>,
    longest: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    /// Watches from now on.
    pub fn watch() -> Stalls {
        let ends = Arc::new(AtomicBool::new(false));
        let (taken, longest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (told, sum, most) = (ends.clone(), taken.clone(), longest.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                let began = Instant::now();
                std::thread::sleep(NAP);
                let late = u64::try_from(late_by(began.elapsed()).as_nanos()).unwrap_or(u64::MAX);
                sum.fetch_add(late, Ordering::AcqRel);
                most.fetch_max(late, Ordering::AcqRel);
            }
        });
        Stalls { ends, taken, longest, thread: Some(thread) }
    }

    /// What the machine has taken since the beginning.
    pub fn taken(&self) -> Duration {
        Duration::from_nanos(self.taken.load(Ordering::Acquire))
    }

    /// The longest time that the machine has taken at once.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Acquire))
    }

    /// Does `work`; returns what it did, and how long it took without what the machine took meanwhile.
    pub fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
        let (stalls, began) = (Stalls::watch(), Instant::now());
        let done = work();
        let took = began.elapsed();
        // A stall that is not over for the thread is not counted yet.
        std::thread::sleep(2 * NAP);
        (done, took.saturating_sub(stalls.taken()))
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What of a nap is too much of it.
fn late_by(slept: Duration) -> Duration {
    slept.saturating_sub(NAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_in_time_is_no_stall() {
        assert_eq!(late_by(NAP), Duration::ZERO);
        assert_eq!(late_by(NAP + Duration::from_secs(1)), Duration::from_secs(1));
    }

    /// Work that only waits is nobody else's time, unless the machine stalls: then it is at most that much less.
    #[test]
    fn waiting_is_not_taken_off() {
        const WAIT: Duration = Duration::from_secs(1);
        // On a machine so busy that most of a second is taken, the next may be better.
        let kept = (0..30).any(|_| Stalls::time(|| std::thread::sleep(WAIT)).1 > WAIT / 2);
        assert!(kept, "a second of waiting was taken to be the machine's");
    }
}
