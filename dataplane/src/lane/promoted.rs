//! A worker's lane of one family: which of its flows are in it, and what they have done there.
//!
//! In: flows that are busy ([`FlowTable::settle`](crate::state::FlowTable::settle)), told apart by `Promoted::look`; flows that end or change. Out:
//! slots and keys for the classifier, and what it counted, for accounts and timeouts.
//!
//! A flow enters in [`Lane::work`], between two batches, and leaves by [`Lane::end`], which is two stores, and two more for
//! the index: from there on the classifier sends its packets to the worker.

use super::{
    Entry, Epoch, FlowLane, HopId, Seen, WhyNot, WorkerLane, clock::Clock, last_ways::LastWays, pairs::Pairs,
    strays::Strays,
};
use crate::{
    state::{
        Direction, FlowId, FlowState, FlowTable, LastHopId, LastHops, Millis, Record, TcpState, Traffic,
        Tuple,
    },
    table::{Link, NextHop, Tables, Transport},
    wire::Family,
};
use serde::Serialize;
use std::{ops::Add, time::Duration};

/// The lane, or that there is none: then everything here is one look at that.
#[derive(Debug)]
pub struct Lane<F: Family>(pub(super) Option<Box<Promoted<F>>>);

/// What went by the lane since it was switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaneCounters {
    /// Flows in it now.
    pub flows: u64,
    /// Flows that were promoted.
    pub promoted: u64,
    /// Flows that were demoted, or ended in it.
    pub demoted: u64,
    /// Promotions put off for want of slots, or of room in the index.
    pub refused_full: u64,
    /// Promotions put off because of a flow's way: unknown, a port that takes no redirects, tags that differ.
    pub refused_way: u64,
    /// Packets that took it, as far as they have been looked at: about a second ago.
    pub packets: u64,
    /// Bytes of these, from the IP header on.
    pub bytes: u64,
}

impl Add for LaneCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            flows: self.flows + other.flows,
            promoted: self.promoted + other.promoted,
            demoted: self.demoted + other.demoted,
            refused_full: self.refused_full + other.refused_full,
            refused_way: self.refused_way + other.refused_way,
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// What the classifier has counted of a flow since it was promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// By [`Direction`].
    pub traffic: [Traffic; 2],
    /// When its last packet came, if there was one.
    pub last_seen: Option<Millis>,
    /// TCP, by [`Direction`]: what its sender acknowledged last.
    pub acked: [u32; 2],
}

/// The way back to a client, and the largest packet that fits, as `conntrack::track` has it.
pub(super) struct WayBack<'t> {
    pub(super) link: &'t Link,
    pub(super) mtu: u16,
}

/// The flows in a lane.
#[derive(Debug)]
pub(super) struct Promoted<F: Family> {
    pub(super) lane: WorkerLane<F>,
    pub(super) clock: Clock,
    pub(super) pairs: Pairs,
    pub(super) ways: LastWays,
    /// By pair: what of it is in `counters`.
    pub(super) booked_packets: Box<[u32]>,
    /// The same.
    pub(super) booked_bytes: Box<[u64]>,
    /// The next pair to be looked at.
    pub(super) hand: u32,
    pub(super) counters: LaneCounters,
    /// Pairs of a former process, if there are any.
    pub(super) strays: Option<Strays<F>>,
    /// Whether there has been a turn.
    pub(super) has_begun: bool,
}

impl<F: Family> Lane<F> {
    /// No lane.
    pub const fn off() -> Self {
        Self(None)
    }

    /// The lane of a worker with room for so many flows. `start` is the monotonic clock's time where the worker's is zero.
    pub fn on(lane: WorkerLane<F>, worker: u16, flows: usize, start: Duration) -> Self {
        let pairs = lane.slots.len();
        let mut promoted = Box::new(Promoted {
            clock: Clock::new(start),
            pairs: Pairs::new(pairs, flows),
            ways: LastWays::new(worker, flows),
            booked_packets: vec![0; pairs].into_boxed_slice(),
            booked_bytes: vec![0; pairs].into_boxed_slice(),
            hand: 0,
            counters: LaneCounters::default(),
            strays: None,
            has_begun: false,
            lane,
        });
        promoted.find_strays();
        Self(Some(promoted))
    }

    /// Whether there is one.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a flow is in it.
    #[inline]
    pub fn holds(&self, id: FlowId) -> bool {
        self.0.as_ref().is_some_and(|promoted| promoted.pairs.of(id).is_some())
    }

    /// What the classifier has counted of a flow that is in it.
    #[inline]
    pub fn counted(&self, id: FlowId) -> Option<Counted> {
        let promoted = self.0.as_ref()?;
        let pair = promoted.pairs.of(id)?;
        Some(promoted.counted(promoted.lane.slots.seen(pair)))
    }

    /// The lane that a flow goes by.
    pub fn of(&self, id: FlowId, record: &Record<F>, last_hops: &LastHops, tables: &Tables<F>) -> FlowLane {
        let Some(promoted) = &self.0 else { return FlowLane::User(WhyNot::Off) };
        match self.counted(id) {
            Some(counted) => FlowLane::Fast(counted.traffic),
            None => FlowLane::User(promoted.look(record, last_hops, tables).err().unwrap_or(WhyNot::Due)),
        }
    }

    /// A flow that goes on leaves the lane, if it is there, and may soon be there again. `last_hop` is what it was promoted
    /// with.
    #[cold]
    pub fn demote(&mut self, table: &mut FlowTable<F>, id: FlowId, last_hop: LastHopId, now: Millis) {
        if let Some(promoted) = &mut self.0
            && promoted.demote_from(table, id, last_hop, now)
        {
            table.arm(id);
        }
    }

    /// A flow's state has changed: if it was busy before it might be in the lane, it is busy now.
    #[inline]
    pub fn consider(&self, table: &mut FlowTable<F>, id: FlowId) {
        if self.is_on() && table.was_busy(id) {
            table.note_busy(id);
        }
    }

    /// A flow leaves the lane, at once: what the classifier had counted. `None`: it was not in it. `last_hop` and `tuples`
    /// are what it was promoted with.
    pub fn end(
        &mut self,
        id: FlowId,
        last_hop: LastHopId,
        tuples: [Tuple<F>; 2],
        now: Millis,
    ) -> Option<Counted> {
        self.0.as_mut()?.end(id, last_hop, tuples, now)
    }

    /// So far.
    pub fn counters(&self) -> LaneCounters {
        let Some(promoted) = &self.0 else { return LaneCounters::default() };
        LaneCounters { flows: u64::from(promoted.pairs.live()), ..promoted.counters }
    }
}

impl<F: Family> Promoted<F> {
    pub(super) fn counted(&self, seen: [Seen; 2]) -> Counted {
        let counted = |seen: &Seen| (seen.packets > 0).then(|| self.clock.millis(seen.last));
        let [forward, reply] = &seen;
        let last_seen = match (counted(forward), counted(reply)) {
            (Some(one), Some(other)) => Some(if one.reached(other) { one } else { other }),
            (one, other) => one.or(other),
        };
        let traffic = |seen: &Seen| Traffic { packets: u64::from(seen.packets), bytes: seen.bytes };
        Counted {
            traffic: [traffic(forward), traffic(reply)],
            last_seen,
            acked: [forward.acked, reply.acked],
        }
    }

    /// Takes a flow that goes on out of the lane. Whether it was there.
    pub(super) fn demote_from(
        &mut self,
        table: &mut FlowTable<F>,
        id: FlowId,
        last_hop: LastHopId,
        now: Millis,
    ) -> bool {
        let Some(record) = table.record(id) else { return false };
        let tuples = record.tuples();
        let Some(counted) = self.end(id, last_hop, tuples, now) else { return false };
        table.take_over(id, &counted);
        true
    }

    fn end(
        &mut self,
        id: FlowId,
        last_hop: LastHopId,
        tuples: [Tuple<F>; 2],
        now: Millis,
    ) -> Option<Counted> {
        let pair = self.pairs.end(id, now)?;
        self.lane.slots.end(pair);
        self.ways.ended(last_hop, now);
        self.take_out(pair, &tuples);
        self.counters.demoted += 1;
        let seen = self.lane.slots.seen(pair);
        self.book(pair, &seen);
        Some(self.counted(seen))
    }

    /// The way back to a flow's client, if the flow may be in the lane.
    pub(super) fn look<'t>(
        &self,
        record: &Record<F>,
        last_hops: &'t LastHops,
        tables: &'t Tables<F>,
    ) -> Result<WayBack<'t>, WhyNot> {
        match record.state().get() {
            // A connection that was taken up in its middle is established by its client's word alone.
            FlowState::Tcp(TcpState::Established) if record.acked.iter().all(|acked| *acked != 0) => {}
            FlowState::UdpStream if record.udp_epoch == tables.udp_epoch => {}
            FlowState::UdpStream => return Err(WhyNot::Unsettled),
            FlowState::Sctp(_) => return Err(WhyNot::Protocol),
            FlowState::Tcp(_) | FlowState::UdpUnreplied | FlowState::UdpReplied => {
                return Err(WhyNot::NotEstablished);
            }
        }
        let NextHop { link: Some(out), .. } = tables.next_hop(record.next_hop()) else {
            return Err(WhyNot::WayUnknown);
        };
        let back = &last_hops.get(record.last_hop()).ok_or(WhyNot::WayUnknown)?.link;
        if self.lane.hops.next(record.next_hop()).is_none() {
            return Err(WhyNot::NoPlace);
        }
        if ![out.port, back.port].into_iter().all(|port| self.lane.usable.contains(port)) {
            return Err(WhyNot::PortUnusable);
        }
        if out.vlan.len() != back.vlan.len() {
            return Err(WhyNot::TagsDiffer);
        }
        Ok(WayBack { link: back, mtu: tables.port_mtu(back.port) })
    }

    /// The place of a last hop that is this way. `None`: it has yet to rest.
    pub(super) fn ready(&mut self, id: LastHopId, back: &WayBack<'_>) -> Option<HopId> {
        self.ways.ready(&self.lane.hops, id, (back.link, back.mtu), self.clock.now())
    }

    /// The epoch of a flow that was just looked at.
    pub(super) fn epoch(&self, transport: Transport, tables: &Tables<F>) -> Epoch {
        Epoch::new(self.lane.flushes.get(), transport, tables.udp_epoch)
    }

    /// What both slots of a flow are to say. `None`: its last hop's place has yet to rest.
    pub(super) fn entries(
        &mut self,
        record: &Record<F>,
        back: &WayBack<'_>,
        tables: &Tables<F>,
    ) -> Option<[Entry<F>; 2]> {
        let out = self.lane.hops.next(record.next_hop())?;
        let back = self.ready(record.last_hop(), back)?;
        let epoch = self.epoch(record.tuple(Direction::Forward).transport, tables);
        let entry = |direction: Direction, hop, came_by| Entry {
            arrives: record.tuple(direction),
            leaves: record.translated(direction),
            deltas: record.deltas(direction),
            hop,
            came_by,
            epoch,
            acked: record.acked[direction as usize],
        };
        Some([entry(Direction::Forward, out, Some(back)), entry(Direction::Reply, back, None)])
    }
}
