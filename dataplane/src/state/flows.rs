//! All flows of one worker and family, with the SNAT ports and the places in the fast lane they hold: the only way in
//! which flows come and go.

use super::{Flow, FlowId, FlowTable, LastHops, Millis, SnatPorts, Timeouts, Tuple, UsedUp};
use crate::{
    lane::{FlowLane, Lane, LaneSettings, WhyNot, WorkerLane},
    table::{Backend, FlowHash, Link, Tables, Transport},
    wire::Family,
};
use std::{cell::RefCell, time::Duration};

/// Why a flow could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// The table is full of flows in use.
    TableFull,
    /// Every SNAT port to this backend is taken.
    SnatExhausted,
    /// The clients come from too many link-layer addresses.
    LastHopsFull,
}

/// What the answers of a new flow look like, and their hash in the flow table.
#[derive(Debug, Clone, Copy)]
pub struct Reply<F: Family> {
    /// Backend to us, or to the client.
    pub tuple: Tuple<F>,
    /// See [`FlowTable::hash`].
    pub hash: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Flows<F: Family> {
    /// The records.
    pub table: FlowTable<F>,
    /// The ways back to their clients.
    pub last_hops: LastHops,
    /// Those that the classifier forwards.
    pub lane: Lane<F>,
    used_up: UsedUp<F>,
    /// Flows that a full table pushed out.
    pub evicted: u64,
}

impl<F: Family> Flows<F> {
    /// Room for `capacity` flows.
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self {
            table: FlowTable::new(capacity, seed),
            last_hops: LastHops::new(capacity),
            lane: Lane::off(),
            used_up: UsedUp::with_capacity(capacity),
            evicted: 0,
        }
    }

    /// The answers of a masqueraded flow: to the first free (address, port) of ours to this backend that is not `claimed`
    /// for something else; rather to one whose replies `come_home`, where that is known. `hash` is [`client_hash`]'s, and
    /// `first` what the first candidate makes, if that is known.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "all that a choice of a port depends on")]
    pub fn masquerade(
        &mut self,
        ports: &SnatPorts,
        addresses: &[F::Addr],
        (transport, hash): (Transport, u64),
        backend: &Backend<F>,
        claimed: impl Fn(F::Addr, u16) -> bool,
        come_home: Option<impl FnMut(F::Addr, u16) -> bool>,
        first: Option<Reply<F>>,
    ) -> Result<Reply<F>, OpenError> {
        if let Some(first) = first
            && come_home.is_none()
            && self.is_free(&first)
            && !claimed(first.tuple.destination, first.tuple.destination_port)
        {
            return Ok(first);
        }
        let candidates =
            || ports.candidates(addresses.len(), hash).map(|(address, port)| (addresses[address], port));
        let usable = |(address, port)| {
            let reply = self.free(reply_tuple(backend, transport, address, port))?;
            (!claimed(address, port)).then_some(reply)
        };
        let near = come_home.and_then(|mut come_home| {
            let near = candidates().take(ports.preferred());
            near.filter(|(address, port)| come_home(*address, *port)).find_map(usable)
        });
        let pairs = || addresses.iter().map(|addr| reply_tuple(backend, transport, *addr, 0));
        // Nearly always the first will do. Before all the others are tried it is asked whether there is one.
        let found = near.or_else(|| candidates().next().and_then(usable)).or_else(|| {
            if pairs().all(|reply| self.used_up.have(&reply)) {
                return None;
            }
            candidates().skip(1).find_map(usable)
        });
        found.ok_or_else(|| {
            pairs().for_each(|reply| self.note_if_used_up(&reply, ports));
            OpenError::SnatExhausted
        })
    }

    /// Takes note of it if every port for answers from this backend to this address is a flow's. If some are not, though none
    /// was usable, there may be one later without the end of a flow.
    #[cold]
    fn note_if_used_up(&mut self, reply: &Tuple<F>, ports: &SnatPorts) {
        let is_flows = |port| {
            let reply = Tuple { destination_port: port, ..*reply };
            self.table.find(self.table.hash(&reply), &reply).is_some()
        };
        if !self.used_up.have(reply) && ports.candidates(1, 0).all(|(_, port)| is_flows(port)) {
            self.used_up.note(reply);
        }
    }

    /// The answers of a flow that keeps the client's address. Its port is kept too, but where the client uses
    /// it with the same backend through another VIP. `hash` and `first` are as for [`masquerade`](Self::masquerade).
    #[inline]
    pub fn keep_client(
        &self,
        original: &Tuple<F>,
        backend: &Backend<F>,
        hash: u64,
        first: Option<Reply<F>>,
    ) -> Result<Reply<F>, OpenError> {
        if let Some(first) = first
            && self.is_free(&first)
        {
            return Ok(first);
        }
        let reply = |port| self.free(reply_tuple(backend, original.transport, original.source, port));
        reply(original.source_port)
            .or_else(|| {
                let ports = SnatPorts::new(1024..=u16::MAX, 0, 1);
                ports.candidates(1, hash).find_map(|(_, port)| reply(port))
            })
            .ok_or(OpenError::SnatExhausted)
    }

    /// This reply tuple, if no flow has it.
    fn free(&self, tuple: Tuple<F>) -> Option<Reply<F>> {
        let reply = Reply { tuple, hash: self.table.hash(&tuple) };
        self.is_free(&reply).then_some(reply)
    }

    #[inline]
    fn is_free(&self, Reply { tuple, hash }: &Reply<F>) -> bool {
        self.table.find(*hash, tuple).is_none() && !self.lane.has_stray(tuple)
    }

    /// Adds a flow that begins now, whose tuples are new and have these `hashes`, and whose client is behind `client`,
    /// evicting one that may go if the table is full.
    pub fn open(
        &mut self,
        mut flow: Flow<F>,
        hashes: [u64; 2],
        client: Link,
        timeouts: &Timeouts,
    ) -> Result<FlowId, OpenError> {
        if self.table.len() == self.table.capacity() {
            let (id, evicted) = self.table.evict().ok_or(OpenError::TableFull)?;
            self.evicted += 1;
            self.released(id, &evicted, flow.created);
        }
        flow.last_hop = self.last_hops.acquire(client).ok_or(OpenError::LastHopsFull)?;
        self.table.insert(flow, hashes, timeouts).ok_or_else(|| {
            self.last_hops.release(flow.last_hop);
            OpenError::TableFull
        })
    }

    /// Ends a flow.
    pub fn close(&mut self, id: FlowId, now: Millis) {
        if let Some(flow) = self.table.remove(id) {
            self.released(id, &flow, now);
        }
    }

    /// Switches the lane on. `start` is the monotonic clock's time where the worker's is zero.
    pub fn set_lane(&mut self, lane: WorkerLane<F>, settings: &LaneSettings, worker: u16, start: Duration) {
        self.table.find_busy_after(settings.promote_after);
        self.lane = Lane::on(lane, worker, self.table.capacity(), start);
    }

    /// Does for the lane what is due between batches, and promotes at most so many flows. How many it promoted.
    #[inline]
    pub fn work_lane(&mut self, tables: &Tables<F>, now: Millis, flows: usize) -> usize {
        match self.lane.is_on() {
            true => self.lane.work(&mut self.table, &self.last_hops, tables, now, flows),
            false => 0,
        }
    }

    /// A live flow, with what it does in the lane, or why it is not there.
    pub fn get(&self, id: FlowId, tables: &Tables<F>) -> Option<Flow<F>> {
        let mut flow = self.table.get(id)?;
        flow.lane = self.lane.of(id, self.table.record(id)?, &self.last_hops, tables);
        if flow.lane == FlowLane::User(WhyNot::Due) && !self.table.was_busy(id) {
            flow.lane = FlowLane::User(WhyNot::Quiet);
        }
        if let Some(counted) = self.lane.counted(id) {
            flow.add(&counted);
        }
        Some(flow)
    }

    /// Such flows; see [`FlowTable::list`].
    pub fn list(&self, from: usize, examine: usize, tables: &Tables<F>) -> impl Iterator<Item = Flow<F>> {
        self.table.ids(from, examine).filter_map(|id| self.get(id, tables))
    }

    /// Ends flows whose time is over; see [`FlowTable::sweep`]. Returns how many.
    pub fn sweep(&mut self, now: Millis, timeouts: &Timeouts, examine: usize, most: usize) -> usize {
        let Self { table, used_up, last_hops, lane, .. } = self;
        let lane = RefCell::new(lane);
        let mut count = 0;
        let counted = |id| lane.borrow().counted(id);
        table.sweep(now, timeouts, examine, most, counted, |id, flow| {
            count += 1;
            release((id, &flow), used_up, last_hops, &mut lane.borrow_mut(), now);
        });
        count
    }

    fn released(&mut self, id: FlowId, flow: &Flow<F>, now: Millis) {
        release((id, flow), &mut self.used_up, &mut self.last_hops, &mut self.lane, now);
    }
}

/// Gives back what a flow held, its place in the lane first.
fn release<F: Family>(
    (id, flow): (FlowId, &Flow<F>),
    used_up: &mut UsedUp<F>,
    last_hops: &mut LastHops,
    lane: &mut Lane<F>,
    now: Millis,
) {
    lane.end(id, flow.last_hop, [flow.original, flow.reply], now);
    used_up.flow_ended(&flow.reply);
    last_hops.release(flow.last_hop);
}

/// The hash that decides the first SNAT candidate: of the client's tuple, so that a peer gateway tries the same.
#[inline]
pub fn client_hash<F: Family>(original: &Tuple<F>) -> u64 {
    FlowHash::of_flow::<F>(
        original.source,
        original.source_port,
        original.destination,
        original.destination_port,
    )
}

/// The tuple of a backend's answers to this address and port.
#[inline]
pub fn reply_tuple<F: Family>(
    backend: &Backend<F>,
    transport: Transport,
    to: F::Addr,
    port: u16,
) -> Tuple<F> {
    Tuple {
        source: backend.addr,
        destination: to,
        source_port: backend.port,
        destination_port: port,
        transport,
    }
}
