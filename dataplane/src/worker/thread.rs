//! A worker's thread.

use super::{Handoff, Idle, Query, Report, Worker, WorkerReport, idle::IdleClock};
use crate::{
    io::{AfXdp, PacketIo, Tun},
    path::{Path, PathConfig},
    state::Millis,
    table::publish::Reader,
};
use crossbeam::channel::{Receiver, Sender};
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
    /// How many there are.
    pub workers: usize,
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
    thread: Option<JoinHandle<Report>>,
}

/// Time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// Questions that may wait.
const QUERIES: usize = 16;

/// Starts a worker on a thread of its own.
pub fn spawn<I: PacketIo + Send + 'static>(
    settings: WorkerSettings,
    io: I,
    tables: Reader,
    handoff: Handoff,
) -> io::Result<WorkerHandle<I>> {
    let (queries, asked) = crossbeam::channel::bounded(QUERIES);
    let (renewals, renewed) = crossbeam::channel::bounded(1);
    let report = Arc::new(WorkerReport::default());
    let stop = Arc::new(AtomicBool::new(false));
    let (their_report, their_stop) = (Arc::clone(&report), Arc::clone(&stop));
    let thread = std::thread::Builder::new().name(format!("worker-{}", settings.index)).spawn(move || {
        // First, so that its memory is near its core.
        pin(&settings);
        let worker = Worker::new(io, Path::new(settings.path.clone()), tables, handoff, asked);
        run(&settings, worker, &renewed, &their_report, &their_stop)
    })?;
    Ok(WorkerHandle { report, queries, renewals, stop, thread: Some(thread) })
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
    let mut idle = IdleClock::new(settings.idle, settings.workers);
    let start = settings.start;
    let mut reported = start;
    while !stop.load(Ordering::Relaxed) {
        let time = Instant::now();
        let now = Millis((time - start).as_millis() as u32);
        let handled = worker.poll(|_| now);
        let asked = worker.answer(now);
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
        if let Some(longest) = idle.after(handled, asked) {
            worker.io_mut().wait(longest);
        }
    }
    worker.give_up();
    let last = worker.report();
    report.leave(last.clone());
    last
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
        self.renewals.try_send(Box::new(renewal)).is_ok()
    }

    /// Puts a question. `false`: too many are waiting, or the worker is gone.
    pub fn ask(&self, query: Query) -> bool {
        self.queries.try_send(query).is_ok()
    }

    /// Whether its thread has ended by itself, which it never should.
    pub fn has_died(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells the worker to stop, and waits for it. Its last numbers, if it did not panic.
    pub fn stop(mut self) -> Option<Report> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl<I> Drop for WorkerHandle<I> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
