//! The way of a packet, once it is in memory and before it leaves it.
//!
//! [`Path::process`] takes a batch of frames, the published tables and the time, and gives one [`Verdict`] for each
//! frame, in the same order. It rewrites frames in place and changes the worker's own flows; it does no I/O, no
//! allocation, no locking (but for fragments), and reads no clock, so all of it is tested without a network.
//!
//! Stages, in order: classify (per packet), look up and steer (over the batch), then per packet track, rewrite and emit;
//! packets without a flow are selected backends together (`newcomers.rs`), and open one. Replies, ICMP, fragments and relays
//! are beside the road.

mod config;
mod verdict;
mod counters;
mod packet;
mod classify;
mod forward;
mod lookup;
mod steer;
mod conntrack;
mod plain;
mod masquerade;
mod select;
mod newcomers;
mod open;
mod rewrite;
mod emit;
mod reply;
mod relay;
mod icmp_error;
mod echo;
mod fragment;
mod split;
mod explain;
mod adopt;
#[cfg(test)]
pub(crate) mod world;
#[cfg(test)]
mod tests;

pub use config::{PathConfig, TcpReject};
pub use counters::Counters;
pub use echo::{Echo, EchoPolicy};
pub use explain::{Explanation, LaneAnswer, explain};
pub use masquerade::{Masquerade, SourceClass};
pub use packet::{Packet, Part};
#[cfg(test)]
pub(crate) use rewrite::flow_deltas;
pub use select::{Decision, Refusal, Remembered, decide};
pub use split::pieces;
pub use steer::Steering;
pub use verdict::{DropReason, ReplyKind, Verdict};

use crate::{
    io::{BATCH, Frame},
    lane::{FLOWS_A_TURN, Lanes},
    state::{Datagrams, Flows, FreePlaces, HELD, Millis, Place, TokenBucket, Waiting, Way, Ways},
    table::{Snapshot, Tables},
    wire::{Family, V4, V6},
};
use arrayvec::ArrayVec;
use forward::run;
use newcomers::Newcomers;
use packet::Arrivals;
use std::{sync::Arc, time::Duration};

/// The verdict of a packet whose stage has yet to run; every arrival's is replaced.
const PENDING: Verdict = Verdict::Drop(DropReason::NoService);

/// How often a worker looks for outlived affinity records in one more shard.
const AFFINITY_SWEEP: Duration = Duration::from_secs(1);

/// Everything one worker changes while it handles packets.
#[derive(Debug)]
pub struct Path {
    config: PathConfig,
    v4: Half<V4>,
    v6: Half<V6>,
    replies: TokenBucket,
    echoes: TokenBucket,
    free_places: FreePlaces,
    counters: Counters,
    verdicts: [Verdict; BATCH],
    affinity_swept: Millis,
    /// Whose keys were moved first in the last turn.
    is_v6_first: bool,
}

/// The part of a worker that belongs to one family.
#[derive(Debug)]
struct Half<F: Family> {
    flows: Flows<F>,
    ways: Ways,
    arrivals: Arrivals<F>,
    datagrams: Arc<Datagrams<F>>,
    waiting: Waiting<F>,
}

impl<F: Family> Half<F> {
    fn new(capacity: usize, seed: u64, datagrams: &Arc<Datagrams<F>>) -> Self {
        Self {
            flows: Flows::new(capacity, seed),
            ways: Ways::default(),
            arrivals: Arrivals::new(),
            datagrams: Arc::clone(datagrams),
            waiting: Waiting::new(),
        }
    }
}

/// What the per-packet stages of a batch share.
struct Stage<'a, F: Family> {
    config: &'a PathConfig,
    tables: &'a Tables<F>,
    flows: &'a mut Flows<F>,
    /// The ways to backends.
    ways: &'a [Way],
    replies: &'a mut TokenBucket,
    echoes: &'a mut TokenBucket,
    counters: &'a mut Counters,
    /// Packets of the block without a flow, as far as they are decided.
    newcomers: Newcomers<'a, F>,
    now: Millis,
}

impl Path {
    /// A worker's state, with empty tables. All memory is taken here.
    pub fn new(config: PathConfig) -> Self {
        Self {
            v4: Half::new(config.v4_flows, config.seed, &config.fragments.v4),
            v6: Half::new(config.v6_flows, config.seed.rotate_left(32), &config.fragments.v6),
            replies: TokenBucket::new(config.reply_rate.0, config.reply_rate.1),
            echoes: TokenBucket::new(config.reply_rate.0, config.reply_rate.1),
            free_places: (0..HELD as u8).map(Place).collect(),
            counters: Counters::default(),
            verdicts: [PENDING; BATCH],
            affinity_swept: Millis::default(),
            is_v6_first: false,
            config,
        }
    }

    /// Decides and rewrites a batch; see the module. At most [`BATCH`] frames.
    pub fn process(&mut self, frames: &mut [Frame], snapshot: &Snapshot, now: Millis) -> &[Verdict] {
        let Self { config, v4, v6, replies, echoes, free_places, counters, verdicts, .. } = self;
        *verdicts = [PENDING; BATCH];
        let (frames, _) = frames.split_at_mut(frames.len().min(BATCH));
        classify::batch(frames, v4, v6, verdicts);
        if !v4.arrivals.fragments.is_empty() {
            fragment::batch(config, &snapshot.v4, v4, frames, free_places, now, verdicts);
        }
        if !v6.arrivals.fragments.is_empty() {
            fragment::batch(config, &snapshot.v6, v6, frames, free_places, now, verdicts);
        }
        let mut forwarded = run(config, v4, &snapshot.v4, [replies, echoes], counters, now, frames, verdicts);
        forwarded += run(config, v6, &snapshot.v6, [replies, echoes], counters, now, frames, verdicts);
        let verdicts = &verdicts[..frames.len()];
        counters.count(verdicts, forwarded);
        verdicts
    }

    /// The frames that are held ([`Verdict::Hold`]) and need be no longer, at most a batch: they are to be processed
    /// again.
    #[inline]
    pub fn release(&mut self, now: Millis) -> ArrayVec<Place, BATCH> {
        let mut released = ArrayVec::new();
        let Self { v4, v6, free_places, config, .. } = self;
        if !(v4.waiting.is_empty() && v6.waiting.is_empty()) {
            let worker = config.steering.worker();
            v4.waiting.release(&v4.datagrams, worker, free_places, now, &mut released);
            v6.waiting.release(&v6.datagrams, worker, free_places, now, &mut released);
        }
        released
    }

    /// Ends idle flows: a bounded piece of work, to be done between batches. `examine` flows of each family are
    /// looked at, and at most `most` ended.
    pub fn expire(&mut self, now: Millis, examine: usize, most: usize) {
        let timeouts = &self.config.timeouts;
        let ended = self.v4.flows.sweep(now, timeouts, examine, most)
            + self.v6.flows.sweep(now, timeouts, examine, most);
        self.counters.flows_expired += ended as u64;
        if now.since(self.affinity_swept) >= AFFINITY_SWEEP {
            self.affinity_swept = now;
            self.config.affinity.sweep(now);
        }
    }

    /// Switches the fast lanes on. `start` is the monotonic clock's time where this worker's is zero.
    pub fn set_lanes(&mut self, lanes: Lanes, start: Duration) {
        let worker = self.config.steering.worker();
        self.v4.flows.set_lane(lanes.v4, &lanes.settings, worker, start);
        self.v6.flows.set_lane(lanes.v6, &lanes.settings, worker, start);
    }

    /// Does for the fast lanes what is due when the packets of a batch have left, by the snapshot that the batch was
    /// processed with: a bounded piece of work. Returns whether there is more of it.
    #[inline]
    pub fn work_lanes(&mut self, snapshot: &Snapshot, now: Millis) -> bool {
        if !self.v4.flows.lane.is_on() {
            return false;
        }
        let (v4, v6) = (&mut self.v4.flows, &mut self.v6.flows);
        // Neither keeps the other waiting.
        self.is_v6_first = !self.is_v6_first;
        if self.is_v6_first {
            let moved = v6.work_lane(&snapshot.v6, now, FLOWS_A_TURN);
            v4.work_lane(&snapshot.v4, now, FLOWS_A_TURN - moved);
        } else {
            let moved = v4.work_lane(&snapshot.v4, now, FLOWS_A_TURN);
            v6.work_lane(&snapshot.v6, now, FLOWS_A_TURN - moved);
        }
        self.has_strays() && self.adopt(snapshot, now)
    }

    /// Whether there may be flows of a former process that have yet to be adopted.
    #[inline]
    pub fn has_strays(&self) -> bool {
        self.v4.flows.lane.has_strays() || self.v6.flows.lane.has_strays()
    }

    #[cold]
    fn adopt(&mut self, snapshot: &Snapshot, now: Millis) -> bool {
        let is_complete = snapshot.v4.vips.has_services() || snapshot.v6.vips.has_services();
        adopt::some(&self.config, &mut self.v4.flows, &snapshot.v4, is_complete, now);
        adopt::some(&self.config, &mut self.v6.flows, &snapshot.v6, is_complete, now);
        self.v4.flows.lane.is_adopting() || self.v6.flows.lane.is_adopting()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.flows_v4 = self.v4.flows.table.len() as u64;
        counters.flows_v6 = self.v6.flows.table.len() as u64;
        counters.flows_evicted = self.v4.flows.evicted + self.v6.flows.evicted;
        counters.lane = self.v4.flows.lane.counters() + self.v6.flows.lane.counters();
        counters
    }

    /// The IPv4 flows.
    pub fn flows_v4(&self) -> &Flows<V4> {
        &self.v4.flows
    }

    /// The IPv6 flows.
    pub fn flows_v6(&self) -> &Flows<V6> {
        &self.v6.flows
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &PathConfig {
        &self.config
    }
}

/// Why a packet is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Drop(DropReason),
    Pass,
    Answer(Answer),
}

/// What its sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nobody serves this.
    Reject,
    /// It has made too many hops.
    TimeExceeded,
    /// It is longer than the way out takes.
    TooBig {
        /// What the way takes, in bytes of IP.
        mtu: u16,
    },
}
