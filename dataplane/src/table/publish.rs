//! Read-copy-update of the [`Snapshot`]: one publisher, a fixed number of workers.
//!
//! A worker calls [`Reader::refresh`] between batches: one atomic load when nothing changed, else it takes the new
//! snapshot under a lock that is held for a few pointer moves. The batch boundary is the quiescent state. A worker
//! never frees a snapshot: it leaves the old one behind for the publisher, which drops it in
//! [`Publisher::reclaim`]. [`Publisher::oldest_in_use`] tells which generation every worker has passed, and with it
//! which numbers (services, backends, next hops) may be given again.
//!
//! No `unsafe`: the cost per batch is one load, and the lock is taken once per worker per change. The protocol is
//! model-checked with loom (`make loom`).

use super::Snapshot;
use std::sync::Arc;

#[cfg(loom)]
use loom::sync::{Mutex, atomic::AtomicU64, atomic::Ordering};
#[cfg(not(loom))]
use std::sync::{Mutex, atomic::AtomicU64, atomic::Ordering};

#[derive(Debug)]
struct Shared<T> {
    generation: AtomicU64,
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    current: Arc<T>,
    generation: u64,
    /// By worker: the generation it works with.
    seen: Vec<u64>,
    /// Snapshots the workers have left. Room is made by the publisher, so a worker's push never allocates.
    left: Vec<Arc<T>>,
}

/// The one who publishes. `T` is [`Snapshot`] but for tests.
#[derive(Debug)]
pub struct Publisher<T = Snapshot> {
    shared: LoomArc<Shared<T>>,
}

/// A worker's end.
#[derive(Debug)]
pub struct Reader<T = Snapshot> {
    shared: LoomArc<Shared<T>>,
    worker: usize,
    generation: u64,
    current: Arc<T>,
}

#[cfg(loom)]
use loom::sync::Arc as LoomArc;
#[cfg(not(loom))]
use std::sync::Arc as LoomArc;

impl<T> Publisher<T> {
    /// A publisher with `first` as generation 0, and a reader for each of `workers` workers.
    pub fn new(first: T, workers: usize) -> (Self, Vec<Reader<T>>) {
        let publisher = Self::for_workers(first, workers);
        let readers = (0..workers).map(|worker| publisher.reader(worker)).collect();
        (publisher, readers)
    }

    /// A publisher with one reader that starts with `first`, for replays and tests.
    pub fn single(first: T) -> (Self, Reader<T>) {
        let publisher = Self::for_workers(first, 1);
        let reader = publisher.reader(0);
        (publisher, reader)
    }

    fn for_workers(first: T, workers: usize) -> Self {
        let slot = Slot {
            current: Arc::new(first),
            generation: 0,
            seen: vec![0; workers],
            left: Vec::with_capacity(workers),
        };
        Self { shared: LoomArc::new(Shared { generation: AtomicU64::new(0), slot: Mutex::new(slot) }) }
    }

    fn reader(&self, worker: usize) -> Reader<T> {
        Reader { shared: LoomArc::clone(&self.shared), worker, generation: 0, current: self.current() }
    }

    /// Makes `next` the current snapshot and returns its generation. Workers use it from their next batch on.
    pub fn publish(&self, next: T) -> u64 {
        let next = Arc::new(next);
        let (old, left, generation) = {
            let mut slot = lock(&self.shared.slot);
            let workers = slot.seen.len();
            let left = std::mem::replace(&mut slot.left, Vec::with_capacity(workers));
            let old = std::mem::replace(&mut slot.current, next);
            slot.generation += 1;
            self.shared.generation.store(slot.generation, Ordering::Release);
            (old, left, slot.generation)
        };
        drop((old, left));
        generation
    }

    /// The current snapshot.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&lock(&self.shared.slot).current)
    }

    /// The current generation.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// The oldest generation any worker still works with. Whatever was gone before it is out of use.
    pub fn oldest_in_use(&self) -> u64 {
        let slot = lock(&self.shared.slot);
        slot.seen.iter().copied().min().unwrap_or(slot.generation)
    }

    /// Frees the snapshots that workers have left. Called from time to time by the owner of the publisher.
    pub fn reclaim(&self) {
        let left = {
            let mut slot = lock(&self.shared.slot);
            let workers = slot.seen.len();
            std::mem::replace(&mut slot.left, Vec::with_capacity(workers))
        };
        drop(left);
    }
}

impl<T> Reader<T> {
    /// The snapshot to use for the next batch, and whether it is another one than last time.
    #[inline]
    pub fn refresh(&mut self) -> (&Arc<T>, bool) {
        let changed = self.shared.generation.load(Ordering::Acquire) != self.generation;
        if changed {
            self.take();
        }
        (&self.current, changed)
    }

    /// The generation in use.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[cold]
    fn take(&mut self) {
        let mut slot = lock(&self.shared.slot);
        let old = std::mem::replace(&mut self.current, Arc::clone(&slot.current));
        self.generation = slot.generation;
        let (worker, generation) = (self.worker, self.generation);
        slot.seen[worker] = generation;
        slot.left.push(old);
    }
}

impl<T> Drop for Reader<T> {
    /// A worker that is gone holds nothing back.
    fn drop(&mut self) {
        lock(&self.shared.slot).seen[self.worker] = u64::MAX;
    }
}

/// A worker that panicked while holding the lock has done whole moves only, so the state is sound.
#[cfg(not(loom))]
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
#[cfg(loom)]
fn lock<T>(mutex: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no panics in the model")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Counts its drops by thread.
    struct Tracked(u64, std::thread::ThreadId);
    impl Drop for Tracked {
        fn drop(&mut self) {
            assert_eq!(std::thread::current().id(), self.1, "a worker freed generation {}", self.0);
        }
    }

    #[test]
    fn workers_see_the_newest_and_never_free() {
        let me = std::thread::current().id();
        let (publisher, readers) = Publisher::new(Tracked(0, me), 3);
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let threads: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let now = reader.refresh().0.0;
                        assert!(now >= last, "went back from {last} to {now}");
                        last = now;
                    }
                    reader.refresh();
                    reader
                })
            })
            .collect();
        for generation in 1..=2000 {
            assert_eq!(publisher.publish(Tracked(generation, me)), generation);
        }
        stop.store(true, Ordering::Relaxed);
        let mut readers: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert!(readers.iter_mut().all(|reader| reader.refresh().0.0 == 2000));
        assert_eq!(publisher.oldest_in_use(), 2000);
    }

    #[test]
    fn an_old_snapshot_lives_until_the_last_worker_has_left_it() {
        let (publisher, mut readers) = Publisher::new(0, 2);
        publisher.publish(1);
        assert_eq!(publisher.oldest_in_use(), 0);
        assert_eq!(readers[0].refresh(), (&Arc::new(1), true));
        assert_eq!(readers[0].refresh(), (&Arc::new(1), false));
        assert_eq!(publisher.oldest_in_use(), 0, "worker 1 has not moved");
        let gone = readers.pop();
        drop(gone);
        assert_eq!(publisher.oldest_in_use(), 1, "a stopped worker holds nothing back");
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;

    /// Knows where it was made, and minds where it ends.
    struct Tracked(u64, loom::thread::ThreadId);
    impl Drop for Tracked {
        fn drop(&mut self) {
            assert_eq!(loom::thread::current().id(), self.1, "a worker freed generation {}", self.0);
        }
    }

    /// In every interleaving a reader goes forward only, its generation fits its snapshot, it frees nothing, and the
    /// publisher knows what is in use.
    #[test]
    fn publish_and_refresh() {
        let mut model = loom::model::Builder::new();
        // All interleavings with up to three preemptions: enough to find what goes wrong in practice, and it ends.
        model.preemption_bound = Some(3);
        model.check(|| {
            let me = loom::thread::current().id();
            let (publisher, readers) = Publisher::new(Tracked(0, me), 2);
            let threads: Vec<_> = readers
                .into_iter()
                .map(|mut reader| {
                    loom::thread::spawn(move || {
                        let mut last = 0;
                        for _ in 0..2 {
                            let now = reader.refresh().0.0;
                            assert!(now >= last, "went back from {last} to {now}");
                            assert_eq!(now, reader.generation());
                            last = now;
                        }
                        reader
                    })
                })
                .collect();
            for generation in 1..=2 {
                let before = publisher.oldest_in_use();
                assert_eq!(publisher.publish(Tracked(generation, me)), generation);
                let after = publisher.oldest_in_use();
                assert!(before <= after && after <= generation);
            }
            publisher.reclaim();
            let mut readers: Vec<_> = threads.into_iter().map(|t| t.join().expect("reader")).collect();
            let oldest = readers.iter().map(Reader::generation).min();
            assert_eq!(Some(publisher.oldest_in_use()), oldest);
            readers.iter_mut().for_each(|reader| assert_eq!(reader.refresh().0.0, 2));
            assert_eq!(publisher.oldest_in_use(), 2);
        });
    }
}
