//! Ends a worker's sleep from another thread: a descriptor in the set it sleeps on, written to only while it sleeps.
//!
//! The sleeper says that it lies down, looks once more whether there is something to do, and sleeps; whoever brings
//! something looks, behind it, whether the other lies. One of the two sees the other, as each has a fence between what it
//! writes and what it reads. So waking a worker that is up costs a load, and one that sleeps a system call, once.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// See the module.
#[derive(Debug)]
pub struct Waker {
    asleep: AtomicBool,
    /// None, where the process has no descriptor left: then sleeps are short.
    event: Option<EventFd>,
}

impl Waker {
    /// For one sleeper.
    pub fn new() -> Self {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .inspect_err(
                |error| tracing::warn!(%error, "no descriptor to wake a worker by: its sleeps are short"),
            )
            .ok();
        Self { asleep: AtomicBool::new(false), event }
    }

    /// Wakes the sleeper, if it sleeps. What there is to do must be there already.
    #[inline]
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.event.iter().for_each(|event| {
                // Full after 2^64 writes, and readable then too.
                let _ = event.write(1);
            });
        }
    }

    /// The sleeper lies down: from now on it is woken, so it must look once more before it sleeps.
    pub fn lie_down(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper is up.
    pub fn get_up(&self) {
        if !self.asleep.swap(false, Ordering::AcqRel) {
            self.event.iter().for_each(|event| {
                // Nothing is there if the one who wakes has yet to write: the next sleep is short then.
                let _ = event.read();
            });
        }
    }

    /// What becomes readable.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.event.as_ref().map(AsFd::as_fd)
    }
}

impl Default for Waker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::sync::atomic::AtomicU64;
    use std::time::{Duration, Instant};

    fn is_readable(waker: &Waker, patience: u16) -> bool {
        let mut set = [PollFd::new(waker.descriptor().unwrap(), PollFlags::POLLIN)];
        poll(&mut set, PollTimeout::from(patience)).unwrap() > 0
    }

    #[test]
    fn only_a_sleeper_is_woken_and_only_once() {
        let waker = Waker::new();
        waker.wake();
        assert!(!is_readable(&waker, 0), "it was up");
        waker.lie_down();
        waker.wake();
        waker.wake();
        assert!(is_readable(&waker, 0));
        waker.get_up();
        assert!(!is_readable(&waker, 0));
        waker.lie_down();
        waker.get_up();
        assert!(!is_readable(&waker, 0), "it got up by itself");
    }

    /// Work that is brought at any moment is never slept over.
    #[test]
    fn no_work_is_slept_over() {
        const ROUNDS: u64 = 2000;
        let (waker, brought, done) = (Waker::new(), AtomicU64::new(0), AtomicU64::new(0));
        let longest = std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    brought.store(round, Ordering::Release);
                    waker.wake();
                    while done.load(Ordering::Acquire) < round {
                        std::thread::yield_now();
                    }
                }
            });
            let mut longest = Duration::ZERO;
            while done.load(Ordering::Relaxed) < ROUNDS {
                waker.lie_down();
                let asleep = Instant::now();
                if brought.load(Ordering::Acquire) == done.load(Ordering::Relaxed) {
                    is_readable(&waker, 5000);
                }
                longest = longest.max(asleep.elapsed());
                waker.get_up();
                done.store(brought.load(Ordering::Acquire), Ordering::Release);
            }
            longest
        });
        assert!(longest < Duration::from_secs(4), "slept over work: {longest:?}");
    }
}
