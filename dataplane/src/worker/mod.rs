//! The poll loop: what drives the path with real packets and real time.
//!
//! A [`Worker`] owns its I/O, its flows and its end of the published tables, and runs on a thread (and, if told, a core)
//! of its own. One turn ([`Worker::poll`]): look for a new snapshot (one atomic load), receive a batch, process it,
//! carry out the verdicts, do what is due for the fast lane, end some idle flows. Between turns it answers at most one question of the control plane.
//! Workers share nothing but the [`Mesh`] by which they hand each other stray packets.

mod handoff;
mod held;
mod query;
mod report;
mod idle;
mod thread;
#[cfg(test)]
mod tests;

pub use handoff::{Handoff, Mesh};
pub use idle::{Idle, LONGEST_SLEEP};
pub use query::{FlowFilter, FlowRecord, LaneRecord, Query, Uses};
pub use report::{Report, WorkerReport};
pub use thread::{Renewal, SpawnError, WorkerHandle, WorkerSettings, spawn};

use crate::{
    io::{Frame, FrameBatch, PacketIo, Tun},
    lane::Lanes,
    path::{Path, Verdict},
    state::Millis,
    table::publish::Reader,
    wire::Ethernet,
};
use arrayvec::ArrayVec;
use crossbeam::channel::Receiver;
use held::{Held, send_split};
use std::{sync::Arc, time::Duration};

/// How long a full turn of the expiry hand takes, in milliseconds.
const SWEEP_PERIOD_MS: usize = 1000;
/// The most places one turn looks at, and the most flows it ends, of each family: 5 µs in a row of such turns, and 30 µs where
/// nothing of it is in any cache, code and page tables included. There is a turn each millisecond while there are
/// packets, so that a million flows that have idled away are gone after 16 seconds; a worker that has none and sleeps takes
/// four times as long. Twice as many a turn would be 45 µs of the worst kind.
pub const SWEEP_MOST: (usize, usize) = (4096, 64);

/// See the module.
#[derive(Debug)]
pub struct Worker<I> {
    io: I,
    path: Path,
    tables: Reader,
    handoff: Handoff,
    queries: Receiver<Query>,
    batch: FrameBatch,
    held: Held,
    swept: Millis,
    handoffs_refused: u64,
    kernel: Option<Arc<Tun>>,
    passes_refused: u64,
    splits_refused: u64,
    turns: u64,
}

impl<I: PacketIo> Worker<I> {
    /// A worker ready for its first turn.
    pub fn new(io: I, path: Path, tables: Reader, handoff: Handoff, queries: Receiver<Query>) -> Self {
        let batch = ArrayVec::new();
        Self {
            io,
            path,
            tables,
            handoff,
            queries,
            batch,
            held: Held::new(),
            swept: Millis::default(),
            handoffs_refused: 0,
            kernel: None,
            passes_refused: 0,
            splits_refused: 0,
            turns: 0,
        }
    }

    /// Gives the kernel what is its own, by this device. Without one such packets are dropped.
    #[must_use]
    pub fn with_kernel(mut self, kernel: Option<Arc<Tun>>) -> Self {
        self.kernel = kernel;
        self
    }

    /// Has busy flows take these lanes. `start` is the monotonic clock's time where this worker's is zero.
    #[must_use]
    pub fn with_lanes(mut self, lanes: Lanes, start: Duration) -> Self {
        self.path.set_lanes(lanes, start);
        self
    }

    /// One turn. Returns how many packets it handled, or has ready for the next one. `clock` tells the time once the batch
    /// is in: the machine's, or
    /// in a replay the capture's.
    pub fn poll(&mut self, clock: impl FnOnce(&I) -> Millis) -> usize {
        self.turns += 1;
        self.handoff.receive(&mut self.io, &mut self.batch);
        self.io.receive(&mut self.batch);
        let handled = self.batch.len();
        let now = clock(&self.io);
        let (snapshot, _) = self.tables.refresh();
        if handled > 0 {
            let verdicts = self.path.process(&mut self.batch, snapshot, now);
            for (frame, verdict) in self.batch.drain(..).zip(verdicts) {
                match *verdict {
                    Verdict::Forward(port) | Verdict::Relay(port) | Verdict::Reply(port, _) => {
                        self.io.transmit(port, frame)
                    }
                    Verdict::Split(port, mtu) => {
                        self.splits_refused += u64::from(!send_split(&mut self.io, port, mtu, frame));
                    }
                    Verdict::Hold(place) => self.held.keep(place, frame, &mut self.io),
                    Verdict::Handoff(owner) => {
                        self.handoffs_refused += u64::from(!self.handoff.send(owner, &frame));
                        self.io.recycle(frame);
                    }
                    Verdict::Pass => {
                        self.passes_refused += u64::from(!pass(self.kernel.as_deref(), &frame));
                        self.io.recycle(frame);
                    }
                    Verdict::Drop(_) => self.io.recycle(frame),
                }
            }
        }
        self.io.flush();
        let is_adopting = self.path.work_lanes(snapshot, now);
        self.expire(now);
        // Held frames that may go on are the first of the next turn's.
        self.held.release(&self.path.release(now), &mut self.batch);
        handled + self.batch.len() + usize::from(is_adopting)
    }

    fn expire(&mut self, now: Millis) {
        let passed = now.since(self.swept).as_millis() as usize;
        if passed == 0 {
            return;
        }
        self.swept = now;
        let capacity = self.path.config().v4_flows.max(self.path.config().v6_flows);
        let examine = (capacity.div_ceil(SWEEP_PERIOD_MS) * passed).min(SWEEP_MOST.0);
        self.path.expire(now, examine, SWEEP_MOST.1);
    }

    /// Sleeps until there is something to do, and not longer than this.
    pub(super) fn sleep(&mut self, longest: Duration) {
        let waker = Arc::clone(self.handoff.waker());
        waker.lie_down();
        if self.handoff.waiting() == 0 && self.queries.is_empty() {
            self.io.wait(longest, waker.descriptor());
        }
        waker.get_up();
    }

    /// Answers one waiting question, if there is one. Returns whether there was.
    pub fn answer(&mut self, now: Millis) -> bool {
        match self.queries.try_recv() {
            Ok(query) => {
                query.answer(&self.path, self.tables.refresh().0, now);
                true
            }
            Err(_) => false,
        }
    }

    /// What is done a few times a second only. Returns the state of this worker for people.
    pub fn housekeep(&mut self) -> Report {
        self.io.housekeep();
        self.report()
    }

    /// The state of this worker.
    pub fn report(&self) -> Report {
        Report {
            counters: self.path.counters(),
            generation: self.tables.generation(),
            turns: self.turns,
            handoffs_refused: self.handoffs_refused,
            passes_refused: self.passes_refused,
            splits_refused: self.splits_refused,
            frames: self.io.accounts(),
            sockets: self.io.sockets(),
            has_strays: self.path.has_strays(),
        }
    }

    /// Its I/O.
    pub fn io(&self) -> &I {
        &self.io
    }

    /// The same, to change.
    pub fn io_mut(&mut self) -> &mut I {
        &mut self.io
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether frames that were held are ready for the next turn.
    pub fn is_pending(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Gives all frames back that wait for something.
    pub fn give_up(&mut self) {
        self.held.clear(&mut self.io);
        self.batch.drain(..).for_each(|frame| self.io.recycle(frame));
    }

    /// The same worker with other I/O, made of the old; its flows stay. `None`: there is none to be had.
    pub fn renewed(mut self, renewal: Renewal<I>) -> Option<Self> {
        self.give_up();
        Some(Self { io: renewal(self.io)?, ..self })
    }

    /// Ends the worker, and gives its I/O back.
    pub fn into_io(mut self) -> I {
        self.give_up();
        self.io
    }
}

/// Gives the kernel the IP packet in a frame. `false`: it was not taken.
#[cold]
fn pass(kernel: Option<&Tun>, frame: &Frame) -> bool {
    match (kernel, Ethernet::parse(frame)) {
        (Some(kernel), Ok(ethernet)) => kernel.give(ethernet.payload()),
        (None, _) | (_, Err(_)) => false,
    }
}
