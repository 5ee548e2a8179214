//! The way of a packet, once it is in memory and before it leaves it.
//!
//! [`Path::process`] takes a batch of frames, the published tables and the time, and gives one [`Verdict`] for each
//! frame, in the same order. It rewrites frames in place and changes the worker's own flows; it does no I/O, no
//! allocation, no locking (but for fragments), and reads no clock, so all of it is tested without a network.
//!
//! Stages, in order: classify (per packet), look up and steer (over the batch), then per packet track, rewrite and emit;
//! packets without a flow are selected backends together (`newcomers.rs`), and open one. Replies, ICMP, fragments and relays
//! are beside the road.

mod verdict;
mod counters;
mod packet;
mod classify;
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
    state::{
        AffinityTable, Datagrams, Direction, Entry, FlowId, Flows, Fragments, FreePlaces, HELD, Millis,
        Place, SnatPorts, Timeouts, TokenBucket, Waiting, Way, Ways,
    },
    table::{Snapshot, Tables},
    wire::{Family, V4, V6},
};
use arrayvec::ArrayVec;
use conntrack::{Looks, Steady};
use newcomers::Newcomers;
use packet::{Arrival, Arrivals, IcmpAbout};
use plain::Road;
use rewrite::Translation;
use std::{sync::Arc, time::Duration};

/// What a worker is told about its work, once.
#[derive(Debug, Clone)]
pub struct PathConfig {
    /// Which worker this is, of how many, and which SNAT ports are its own.
    pub steering: Steering,
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// Room for IPv4 flows.
    pub v4_flows: usize,
    /// Room for IPv6 flows.
    pub v6_flows: usize,
    /// Seed of the flow tables' hashes: random, but for replays.
    pub seed: u64,
    /// How TCP is rejected.
    pub tcp_reject: TcpReject,
    /// What is done with echo requests to VIPs.
    pub echo: EchoPolicy,
    /// The fragmented datagrams that are under way, for all workers.
    pub fragments: Arc<Fragments>,
    /// Answers (resets, ICMP errors) a worker sends per second, and at once. As many echo replies besides.
    pub reply_rate: (u32, u32),
    /// ClientIP affinity: the table that all workers share.
    pub affinity: Arc<AffinityTable>,
}

/// How a TCP segment that nobody serves is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpReject {
    /// By a reset, as a closed port does (RFC 9293 §3.10.7.1).
    #[default]
    Reset,
    /// By ICMP port unreachable, as kube-proxy does.
    Icmp,
}

impl PathConfig {
    /// The configuration of a single worker with these SNAT ports, and defaults for the rest.
    pub fn single(ports: std::ops::RangeInclusive<u16>) -> Self {
        Self {
            steering: Steering::new(SnatPorts::new(ports, 0, 1), 0, 1),
            timeouts: Timeouts::default(),
            v4_flows: 1 << 16,
            v6_flows: 1 << 16,
            seed: 0,
            tcp_reject: TcpReject::Reset,
            echo: EchoPolicy::default(),
            fragments: Arc::new(Fragments::new(0)),
            reply_rate: (1000, 50),
            affinity: Arc::new(AffinityTable::new(1 << 10, 0)),
        }
    }
}

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

/// The stages for the packets of one family. How many of them went the short way.
#[expect(clippy::too_many_arguments, reason = "the borrows of a Path, taken apart")]
fn run<F: Family>(
    config: &PathConfig,
    half: &mut Half<F>,
    tables: &Tables<F>,
    [replies, echoes]: [&mut TokenBucket; 2],
    counters: &mut Counters,
    now: Millis,
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> usize {
    let arrivals = &mut half.arrivals;
    if arrivals.queue.is_empty() && arrivals.icmp.is_empty() {
        return 0;
    }
    if !arrivals.unusual.is_empty() {
        lookup::unusual(&half.flows.table, arrivals);
    }
    steer::batch(&config.steering, tables, &half.flows.table, frames, arrivals, verdicts);
    let Arrivals { queue, unusual, icmp, .. } = arrivals;
    half.ways.follow(&tables.next_hops);
    half.flows.last_hops.fit(&tables.port_mtus);
    let (flows, ways) = (&mut half.flows, half.ways.all());
    let newcomers = Newcomers::none();
    let mut stage = Stage { config, tables, flows, ways, replies, echoes, counters, newcomers, now };
    let forwarded = forward_batch(&mut stage, queue, unusual, frames, verdicts);
    for packet in icmp.iter() {
        let at = usize::from(packet.index);
        let frame = &mut frames[at];
        verdicts[at] = match &packet.about {
            IcmpAbout::Error(quoted) => icmp_error::translate(&mut stage, packet, quoted, frame),
            IcmpAbout::Echo => echo::answer(&mut stage, packet, frame),
            IcmpAbout::Other => icmp_error::nobodys(&stage, packet, DropReason::IcmpQuery),
        };
    }
    queue.clear();
    unusual.clear();
    icmp.clear();
    forwarded
}

/// The packets of a batch in their order. The look-up is a block of packets ahead. How many went the short way.
fn forward_batch<F: Family>(
    stage: &mut Stage<'_, F>,
    mut queue: &[Arrival],
    unusual: &[Packet<F>],
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> usize {
    let mut forwarded = 0;
    let mut likely = [Entry::default(); lookup::AHEAD];
    lookup::likely(&stage.flows.table, queue, &mut likely);
    while !queue.is_empty() {
        let (block, later) = queue.split_at(queue.len().min(lookup::AHEAD));
        let block_likely = likely;
        lookup::likely(&stage.flows.table, later, &mut likely);
        forwarded +=
            forward_block(stage, [block, later], [&block_likely, &likely], unusual, frames, verdicts);
        queue = later;
    }
    forwarded
}

/// A block of packets, in their order. Of what is `later` the flows are looked at, for the first ones.
fn forward_block<F: Family>(
    stage: &mut Stage<'_, F>,
    [mut block, later]: [&[Arrival]; 2],
    [mut likely, later_likely]: [&[Entry]; 2],
    unusual: &[Packet<F>],
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> usize {
    let mut in_short = 0;
    while let [arrival, ..] = block {
        if stage.newcomers.forecast(arrival.index).is_none() {
            let plain::Ended { forwarded, full } =
                plain::run(Road::of(stage), block, likely, frames, verdicts);
            in_short += forwarded;
            (block, likely) = (&block[forwarded..], &likely[forwarded..]);
            if let Some((flow, direction)) = full {
                stage.flows.table.settle(flow, direction);
                continue;
            }
        }
        let ([arrival, ..], [flow, ..]) = (block, likely) else { break };
        if *flow == Entry::NONE && !stage.newcomers.include(block.len() + later.len()) {
            newcomers::decide(stage, [block, later], [likely, later_likely], unusual, frames);
        }
        let at = usize::from(arrival.index);
        verdicts[at] = forward(stage, arrival, *flow, unusual, &mut frames[at]);
        stage.newcomers.pass(arrival.index);
        (block, likely) = (&block[1..], &likely[1..]);
    }
    in_short
}

/// One packet of a flow, known or new. What has a forecast is likely of none.
#[inline(never)]
fn forward<'t, F: Family>(
    stage: &mut Stage<'t, F>,
    arrival: &Arrival,
    likely: Entry,
    unusual: &[Packet<F>],
    frame: &mut Frame,
) -> Verdict {
    let Some(packet) = &arrival.packet(unusual, frame) else { return Verdict::Drop(DropReason::Malformed) };
    if stage.newcomers.forecast(packet.index).is_none()
        && let Some(verdict) = forward_steady(stage, packet, likely, frame)
    {
        return verdict;
    }
    forward_with_care(stage, packet, frame).unwrap_or_else(|refused| refuse(stage, packet, frame, refused))
}

/// As [`plain::run`], for a packet that is not plain or leaves by another VLAN.
fn forward_steady<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    likely: Entry,
    frame: &mut Frame,
) -> Option<Verdict> {
    if packet.part == Part::Later {
        return None;
    }
    let (tables, now) = (stage.tables, stage.now);
    let (mut known, last_hops) = Road::with_hops(stage);
    let (ends, ip_bytes) = (packet.tuple.ends(), packet.layout.ip_bytes());
    let looks = Looks {
        likely,
        ends: &ends,
        protocol: packet.tuple.transport.protocol(),
        flags: packet.flags,
        hop_limit: packet.hop_limit,
        port: frame.port(),
        vlan: packet.layout.vlan,
    };
    let Steady { flow, direction } = conntrack::steady(&mut known, &looks, frame)?;
    let (link, mtu) = match direction {
        Direction::Forward => conntrack::way_out(packet, tables.next_hop(flow.next_hop())).ok()?,
        Direction::Reply => {
            let link = &last_hops.get(flow.last_hop())?.link;
            (link, tables.port_mtu(link.port))
        }
    };
    if ip_bytes > mtu {
        return None;
    }
    let translation = Translation::of(flow, direction, link, mtu);
    let is_full = flow.note(direction, packet.acknowledgement, now, ip_bytes);
    rewrite::translate_whole(packet, frame, &translation);
    let verdict = emit::send(frame, &packet.layout, link);
    if is_full {
        stage.flows.table.settle(FlowId::of(likely), direction);
    }
    Some(verdict)
}

/// The same, where more may change than counters.
#[inline(never)]
fn forward_with_care<'t, F: Family>(
    stage: &mut Stage<'t, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
) -> Result<Verdict, Refused> {
    if let Some(found) = stage.flows.table.find(packet.hash, &packet.tuple)
        && let Some(translation) = conntrack::track(stage, packet, frame, found)?
    {
        return Ok(send(packet, frame, &translation));
    }
    // Of a plain one nobody has asked yet, and no flow has another.
    if !F::is_unicast_source(packet.tuple.source) {
        return Err(Refused::Drop(DropReason::Martian));
    }
    if let Some(relayed) = relay::packet(stage, packet, frame) {
        return Ok(relayed);
    }
    open::open(stage, packet, frame)
}

/// Translated, and on its way.
fn send<F: Family>(packet: &Packet<F>, frame: &mut Frame, translation: &Translation<'_, F>) -> Verdict {
    rewrite::translate(packet, frame, translation);
    match emit::send(frame, &packet.layout, translation.link) {
        Verdict::Forward(port) if packet.layout.ip_bytes() > translation.mtu => {
            Verdict::Split(port, translation.mtu)
        }
        verdict => verdict,
    }
}

#[cold]
fn refuse<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
    refused: Refused,
) -> Verdict {
    match refused {
        Refused::Drop(reason) => Verdict::Drop(reason),
        Refused::Pass => Verdict::Pass,
        Refused::Answer(answer) => reply::answer(stage, packet, frame, answer),
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
