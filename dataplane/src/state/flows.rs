//! All flows of one worker and family, with the SNAT ports and the places in the fast lane they hold: the only way in
//! which flows come and go.

use super::{Flow, FlowId, FlowTable, LastHops, Millis, SnatPorts, SnatUse, Timeouts, Tuple};
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

/// See the module.
#[derive(Debug)]
pub struct Flows<F: Family> {
    /// The records.
    pub table: FlowTable<F>,
    /// The ways back to their clients.
    pub last_hops: LastHops,
    /// Those that the classifier forwards.
    pub lane: Lane<F>,
    used: SnatUse<F>,
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
            used: SnatUse::with_capacity(capacity),
            evicted: 0,
        }
    }

    /// The reply tuple of a masqueraded flow: the first free (address, port) of ours to this backend that is not
    /// `claimed` for something else; rather one whose replies `come_home`, where that is known.
    pub fn masquerade(
        &self,
        ports: &SnatPorts,
        addresses: &[F::Addr],
        original: &Tuple<F>,
        backend: &Backend<F>,
        claimed: impl Fn(F::Addr, u16) -> bool,
        come_home: Option<impl FnMut(F::Addr, u16) -> bool>,
    ) -> Result<Tuple<F>, OpenError> {
        if addresses.iter().all(|address| self.used.of(backend.id, *address) >= ports.count()) {
            return Err(OpenError::SnatExhausted);
        }
        let hash = client_hash(original);
        let candidates =
            || ports.candidates(addresses.len(), hash).map(|(address, port)| (addresses[address], port));
        let reply = |(address, port)| reply_tuple(backend, original.transport, address, port);
        let is_usable =
            |reply: &Tuple<F>| self.is_free(reply) && !claimed(reply.destination, reply.destination_port);
        come_home
            .and_then(|mut come_home| {
                let near = candidates().take(ports.preferred());
                near.filter(|(address, port)| come_home(*address, *port)).map(reply).find(is_usable)
            })
            .or_else(|| candidates().map(reply).find(is_usable))
            .ok_or(OpenError::SnatExhausted)
    }

    /// The reply tuple of a flow that keeps the client's address. Its port is kept too, but where the client uses
    /// it with the same backend through another VIP.
    pub fn keep_client(&self, original: &Tuple<F>, backend: &Backend<F>) -> Result<Tuple<F>, OpenError> {
        let reply = reply_tuple(backend, original.transport, original.source, original.source_port);
        if self.is_free(&reply) {
            return Ok(reply);
        }
        SnatPorts::new(1024..=u16::MAX, 0, 1)
            .candidates(1, client_hash(original))
            .map(|(_, port)| reply_tuple(backend, original.transport, original.source, port))
            .find(|reply| self.is_free(reply))
            .ok_or(OpenError::SnatExhausted)
    }

    #[inline]
    fn is_free(&self, reply: &Tuple<F>) -> bool {
        self.table.find(self.table.hash(reply), reply).is_none() && !self.lane.has_stray(reply)
    }

    /// Adds a flow that begins now, whose tuples are new and whose client is behind `client`, evicting one that may go if
    /// the table is full.
    pub fn open(
        &mut self,
        mut flow: Flow<F>,
        client: Link,
        timeouts: &Timeouts,
    ) -> Result<FlowId, OpenError> {
        if self.table.len() == self.table.capacity() {
            let (id, evicted) = self.table.evict().ok_or(OpenError::TableFull)?;
            self.evicted += 1;
            self.released(id, &evicted, flow.created);
        }
        flow.last_hop = self.last_hops.acquire(client).ok_or(OpenError::LastHopsFull)?;
        let Some(id) = self.table.insert(flow, timeouts) else {
            self.last_hops.release(flow.last_hop);
            return Err(OpenError::TableFull);
        };
        if flow.is_masqueraded() {
            self.used.add(flow.backend, flow.reply.destination);
        }
        Ok(id)
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
        let Self { table, used, last_hops, lane, .. } = self;
        let lane = RefCell::new(lane);
        let mut count = 0;
        let counted = |id| lane.borrow().counted(id);
        table.sweep(now, timeouts, examine, most, counted, |id, flow| {
            count += 1;
            release((id, &flow), used, last_hops, &mut lane.borrow_mut(), now);
        });
        count
    }

    fn released(&mut self, id: FlowId, flow: &Flow<F>, now: Millis) {
        release((id, flow), &mut self.used, &mut self.last_hops, &mut self.lane, now);
    }
}

/// Gives back what a flow held, its place in the lane first.
fn release<F: Family>(
    (id, flow): (FlowId, &Flow<F>),
    used: &mut SnatUse<F>,
    last_hops: &mut LastHops,
    lane: &mut Lane<F>,
    now: Millis,
) {
    lane.end(id, flow.last_hop, [flow.original, flow.reply], now);
    if flow.is_masqueraded() {
        used.sub(flow.backend, flow.reply.destination);
    }
    last_hops.release(flow.last_hop);
}

/// The hash that decides the first SNAT candidate: of the client's tuple, so that a peer gateway tries the same.
pub fn client_hash<F: Family>(original: &Tuple<F>) -> u64 {
    FlowHash::of_flow::<F>(
        original.source,
        original.source_port,
        original.destination,
        original.destination_port,
    )
}

fn reply_tuple<F: Family>(backend: &Backend<F>, transport: Transport, to: F::Addr, port: u16) -> Tuple<F> {
    Tuple {
        source: backend.addr,
        destination: to,
        source_port: backend.port,
        destination_port: port,
        transport,
    }
}
