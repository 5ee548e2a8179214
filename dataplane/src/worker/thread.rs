//! A worker's thread.

use super::{Handoff, Idle, Query, Report, Worker, WorkerReport, idle::IdleClock};
use crate::{
    io::{AfXdp, PacketIo, Tun, Waker},
    lane::Lanes,
    path::{Path, PathConfig},
    state::Millis,
    table::publish::Reader,
};
use crossbeam::channel::{Receiver, Sender};
use nix::time::{ClockId, clock_gettime};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How a worker's thread is set up.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Which worker this is.
    pub index: usize,
    /// The core to stay on.
    pub core: Option<usize>,
    /// What to do when idle.
    pub idle: Idle,
    /// What the path is told.
    pub path: PathConfig,
    /// When the workers' clock began: the same for all of them, since they share the affinity records.
    pub start: Instant,
    /// The way back to the kernel.
    pub kernel: Option<Arc<Tun>>,
}

/// Makes new I/O of a worker's old, on the worker's thread. `None` ends the worker.
pub type Renewal<I> = Box<dyn FnOnce(I) -> Option<I> + Send>;

/// The control plane's grip on a running worker. Dropping it stops the worker.
#[derive(Debug)]
pub struct WorkerHandle<I = AfXdp> {
    /// Its latest numbers.
    pub report: Arc<WorkerReport>,
    queries: Sender<Query>,
    renewals: Sender<Renewal<I>>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<Report>>,
}

/// Time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// Questions that may wait.
const QUERIES: usize = 16;

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError<E> {
    /// There is no thread.
    #[error(transparent)]
    Thread(io::Error),
    /// There is no I/O.
    #[error(transparent)]
    Io(E),
    /// The thread ended before it had any.
    #[error("the worker's thread ended at its start")]
    Died,
}

/// Starts a worker on a thread of its own, and waits until it has its I/O, which `open` gives it.
///
/// All of a worker's memory is taken there, behind the pinning, and so lies on the memory node of its core: packets, rings,
/// flows. With `lanes`, busy flows take these.
pub fn spawn<I: PacketIo + 'static, E: Send + 'static>(
    settings: WorkerSettings,
    open: impl FnOnce() -> Result<I, E> + Send + 'static,
    tables: Reader,
    handoff: Handoff,
    lanes: Option<Lanes>,
) -> Result<WorkerHandle<I>, SpawnError<E>> {
    let (queries, asked) = crossbeam::channel::bounded(QUERIES);
    let (renewals, renewed) = crossbeam::channel::bounded(1);
    let (opened, is_open) = crossbeam::channel::bounded(1);
    let report = Arc::new(WorkerReport::default());
    let stop = Arc::new(AtomicBool::new(false));
    let waker = Arc::clone(handoff.waker());
    let (their_report, their_stop) = (Arc::clone(&report), Arc::clone(&stop));
    let builder = std::thread::Builder::new().name(format!("worker-{}", settings.index));
    let thread = builder.spawn(move || {
        pin(&settings);
        let io = match open() {
            Ok(io) => io,
            Err(error) => {
                let _ = opened.send(Err(error));
                return Report::default();
            }
        };
        let mut worker = Worker::new(io, Path::new(settings.path.clone()), tables, handoff, asked);
        if let Some(lanes) = lanes {
            worker = worker.with_lanes(lanes, monotonic(settings.start));
        }
        let _ = opened.send(Ok(()));
        run(&settings, worker, &renewed, &their_report, &their_stop)
    });
    let thread = Some(thread.map_err(SpawnError::Thread)?);
    match is_open.recv() {
        Ok(Ok(())) => Ok(WorkerHandle { report, queries, renewals, stop, waker, thread }),
        Ok(Err(error)) => Err(SpawnError::Io(error)),
        Err(_) => Err(SpawnError::Died),
    }
}

/// The life of a worker's thread.
fn run<I: PacketIo>(
    settings: &WorkerSettings,
    worker: Worker<I>,
    renewals: &Receiver<Renewal<I>>,
    report: &WorkerReport,
    stop: &AtomicBool,
) -> Report {
    let mut worker = worker.with_kernel(settings.kernel.clone());
    let mut idle = IdleClock::new(settings.idle, worker.handoff.waker().descriptor().is_some());
    let start = settings.start;
    let mut reported = start;
    while !stop.load(Ordering::Relaxed) {
        let time = Instant::now();
        let now = Millis((time - start).as_millis() as u32);
        let handled = worker.poll(|_| now);
        worker.answer(now);
        if time - reported >= REPORT_EVERY {
            if let Ok(renewal) = renewals.try_recv() {
                let last = worker.report();
                worker = match worker.renewed(renewal) {
                    Some(worker) => worker,
                    None => return last,
                };
            }
            report.leave(worker.housekeep());
            reported = time;
        }
        if let Some(longest) = idle.after(handled) {
            worker.sleep(longest);
        }
    }
    worker.give_up();
    let last = worker.report();
    report.leave(last.clone());
    last
}

/// A moment by the monotonic clock, which is what the classifier goes by.
fn monotonic(moment: Instant) -> Duration {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    now.saturating_sub(moment.elapsed())
}

fn pin(settings: &WorkerSettings) {
    let Some(core) = settings.core else { return };
    if core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        tracing::info!(worker = settings.index, core, "pinned");
    } else {
        tracing::warn!(worker = settings.index, core, "cannot be pinned to this core; check workers.cores");
    }
}

impl<I> WorkerHandle<I> {
    /// Gives the worker other I/O, between two batches and within a tenth of a second. `false`: it has yet to take the
    /// last, or is gone.
    pub fn renew(&self, renewal: impl FnOnce(I) -> Option<I> + Send + 'static) -> bool {
        let accepted = self.renewals.try_send(Box::new(renewal)).is_ok();
        self.waker.wake();
        accepted
    }

    /// Puts a question. `false`: too many are waiting, or the worker is gone.
    pub fn ask(&self, query: Query) -> bool {
        let accepted = self.queries.try_send(query).is_ok();
        self.waker.wake();
        accepted
    }

    /// Whether its thread has ended by itself, which it never should.
    pub fn has_died(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells the worker to stop, and waits for it. Its last numbers, if it did not panic.
    pub fn stop(mut self) -> Option<Report> {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.take()?.join().ok()
    }
}

impl<I> Drop for WorkerHandle<I> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
