//! The flows of one worker and family: a slab of records, found by either of their tuples.
//!
//! In: tuples. Out: records. A look-up costs one line of the [`Index`] and the lines of the [`Record`]; for a batch both
//! are prefetched before they are read. Capacity is fixed at the start and all memory is touched then. Expiry is a
//! hand that goes round over four bytes a flow (`sweep.rs`): packets only write `last_seen`, and a flow is
//! looked at again when the time noted for it has come.
//!
//! The hash is seeded, so that nobody outside can aim at one bucket.

use super::{
    Direction, Entry, Flow, FlowState, Millis, Record, Timeouts, Tuple, account::Account, busy::BUSY,
    index::Index,
};
use crate::{
    lane::Counted,
    pages::Table,
    prefetch::{prefetch, prefetch_at},
    table::hash::fold,
    wire::{Family, IpProtocol},
};
use arrayvec::ArrayVec;
use std::num::NonZeroU8;

/// The number of a flow in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub(super) u32);

impl FlowId {
    /// The flow that an entry names.
    #[inline]
    pub fn of(entry: Entry) -> Self {
        Self(entry.flow())
    }

    /// As a number below its table's capacity.
    #[inline]
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// A flow that was found, and the direction by which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The flow.
    pub id: FlowId,
    /// Whether the tuple is its forward or its reply one.
    pub direction: Direction,
}

/// See the module.
#[derive(Debug)]
pub struct FlowTable<F: Family> {
    seed: [u64; 4],
    pub(super) index: Index,
    pub(super) records: Table<Record<F>>,
    pub(super) accounts: Table<Account>,
    /// By flow: when to look at it again. Not later than it expires.
    pub(super) due: Table<Millis>,
    /// Flows that are there.
    len: usize,
    /// The first of the free places that have held a flow, which are a list; [`NO_PLACE`] if there is none.
    free: u32,
    /// Places from here on have never held a flow.
    pub(super) reached: usize,
    pub(super) sweep_hand: usize,
    evict_hand: usize,
    /// How many packets of a direction make a flow busy, if that is asked.
    pub(super) busy_after: Option<NonZeroU8>,
    /// Flows that have been busy since the last look.
    pub(super) busy: ArrayVec<FlowId, BUSY>,
}

impl Found {
    /// What the index says of it.
    #[inline]
    pub fn entry(self) -> Entry {
        Entry::new(self.id.0, self.direction)
    }
}

impl<F: Family> FlowTable<F> {
    /// A table for `capacity` flows.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, Entry::MAX_FLOWS);
        let mut state = seed;
        let seed = std::array::from_fn(|i| {
            state = fold(state ^ 0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03 ^ i as u64);
            state
        });
        Self {
            seed,
            index: Index::new(capacity * 2),
            records: Table::filled(Record::free(), capacity),
            accounts: Table::filled(Account::EMPTY, capacity),
            due: Table::filled(Millis::default(), capacity),
            len: 0,
            free: NO_PLACE,
            reached: 0,
            sweep_hand: 0,
            evict_hand: 0,
            busy_after: None,
            busy: ArrayVec::new(),
        }
    }

    /// How many flows it can hold.
    pub fn capacity(&self) -> usize {
        self.records.len()
    }

    /// How many flows it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of memory a flow takes at full load: record, account, timer and both index entries.
    pub fn bytes_per_flow(&self) -> usize {
        let each = size_of::<Record<F>>() + size_of::<Account>() + size_of::<Millis>();
        each + self.index.bytes().div_ceil(self.capacity())
    }

    /// The hash of a tuple in this table.
    #[inline(always)]
    pub fn hash(&self, tuple: &Tuple<F>) -> u64 {
        self.hash_of(&tuple.ends(), tuple.transport.protocol())
    }

    /// The same, of the ends as a packet has them.
    #[inline(always)]
    pub fn hash_of(&self, ends: &F::Ends, protocol: IpProtocol) -> u64 {
        let (addresses, ports) = F::words(ends, |[a, b, c, d]| {
            fold(a ^ self.seed[0], b ^ self.seed[1])
                ^ fold(c ^ self.seed[2], d ^ self.seed[3]).rotate_left(17)
        });
        let ports = u64::from(ports) | u64::from(protocol.0) << 32;
        let mixed = fold(addresses ^ self.seed[0], ports ^ self.seed[1]);
        fold(mixed ^ self.seed[2], self.seed[3] | 1)
    }

    /// First phase: brings the index bucket of `hash` into the cache. Its number.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) -> u32 {
        self.index.prefetch(hash)
    }

    /// Second phase: brings the record that `hash` most likely names into the cache.
    #[inline]
    pub fn prefetch_flow(&self, hash: u64) -> Entry {
        self.prefetch_flow_of(self.index.home(hash) as u32, hash)
    }

    /// The same, where the bucket of `hash` is known.
    #[inline(always)]
    pub fn prefetch_flow_of(&self, bucket: u32, hash: u64) -> Entry {
        let likely = self.index.likely(bucket, hash);
        prefetch_at(&self.records, likely.flow() as usize);
        likely
    }

    /// All records by the numbers of flows, those of free places too. A flow's state changes by [`set_state`](Self::set_state)
    /// alone.
    #[inline]
    pub(crate) fn records_mut(&mut self) -> &mut [Record<F>] {
        &mut self.records
    }

    /// The flow with this tuple, whose hash is `hash`.
    #[inline]
    pub fn find(&self, hash: u64, tuple: &Tuple<F>) -> Option<Found> {
        self.index.find(hash, |entry| self.holds(entry, tuple)).map(found)
    }

    /// Whether packets with this tuple are what `entry` names.
    #[inline]
    pub fn holds(&self, entry: Entry, tuple: &Tuple<F>) -> bool {
        self.records[entry.flow() as usize].is_of(
            entry.direction(),
            &tuple.ends(),
            tuple.transport.protocol(),
        )
    }

    /// A live flow.
    pub fn get(&self, id: FlowId) -> Option<Flow<F>> {
        let record = self.record(id)?;
        Some(self.accounts[id.0 as usize].flow(record))
    }

    /// What of a live flow a packet needs.
    #[inline]
    pub fn record(&self, id: FlowId) -> Option<&Record<F>> {
        self.records.get(id.0 as usize).filter(|record| !record.is_free())
    }

    /// The same, to change all but its state ([`set_state`](Self::set_state)).
    #[inline]
    pub fn record_mut(&mut self, id: FlowId) -> Option<&mut Record<F>> {
        self.records.get_mut(id.0 as usize).filter(|record| !record.is_free())
    }

    /// When a live flow was opened.
    pub fn created(&self, id: FlowId) -> Millis {
        self.accounts[id.0 as usize].created()
    }

    /// Books what [`Record::count`] says is due.
    #[cold]
    #[inline(never)]
    pub fn settle(&mut self, id: FlowId, direction: Direction) {
        if let Some(record) = self.records.get_mut(id.0 as usize) {
            self.accounts[id.0 as usize].settle(record, direction);
            if self.busy_after.is_some() {
                self.note_busy(id);
            }
        }
    }

    /// Takes over what the fast lane counted of a live flow that leaves it.
    #[cold]
    pub fn take_over(&mut self, id: FlowId, counted: &Counted) {
        let Some(record) = self.records.get_mut(id.0 as usize).filter(|record| !record.is_free()) else {
            return;
        };
        record.catch_up(counted);
        self.accounts[id.0 as usize].take_over(&counted.traffic);
    }

    /// Changes the state of a flow, and looks at it again when the new state's timeout may have passed.
    #[cold]
    pub fn set_state(&mut self, id: FlowId, state: FlowState, now: Millis, timeouts: &Timeouts) {
        let Some(record) = self.record_mut(id) else { return };
        if record.state.get() == state {
            return;
        }
        record.state = state.into();
        let due = now.after(timeouts.of(state));
        let noted = &mut self.due[id.0 as usize];
        if noted.reached(due) {
            *noted = due;
        }
    }

    /// The hashes of a flow's tuples, by [`Direction`].
    #[inline]
    pub fn hashes(&self, original: &Tuple<F>, reply: &Tuple<F>) -> [u64; 2] {
        [self.hash(original), self.hash(reply)]
    }

    /// Adds a flow, whose tuples have these `hashes`. `None`: the table is full. Both tuples must be new to the table.
    pub fn insert(
        &mut self,
        flow: Flow<F>,
        [forward, reply]: [u64; 2],
        timeouts: &Timeouts,
    ) -> Option<FlowId> {
        debug_assert_eq!([forward, reply], self.hashes(&flow.original, &flow.reply));
        let place = match self.free {
            NO_PLACE if self.reached == self.capacity() => return None,
            NO_PLACE => self.reached as u32,
            free => free,
        };
        if !self.index.insert(forward, Entry::new(place, Direction::Forward)) {
            return None;
        }
        if !self.index.insert(reply, Entry::new(place, Direction::Reply)) {
            self.index.remove(forward, Entry::new(place, Direction::Forward));
            return None;
        }
        let at = place as usize;
        match self.free {
            NO_PLACE => self.reached += 1,
            _ => self.free = self.records[at].next_free(),
        }
        self.prefetch_next();
        self.len += 1;
        self.due[at] = flow.last_seen.after(timeouts.of(flow.state.get()));
        self.records[at] = Record::new(&flow);
        self.accounts[at] = Account::new(&flow);
        if let Some(after) = self.busy_after {
            self.accounts[at].arm(&mut self.records[at], after);
        }
        Some(FlowId(place))
    }

    /// Asks for the place that the next new flow takes.
    #[inline]
    fn prefetch_next(&self) {
        let next = if self.free == NO_PLACE { self.reached } else { self.free as usize };
        self.prefetch_place(next);
        if let Some(due) = self.due.get(next) {
            prefetch(due);
        }
    }

    /// Asks for what is kept of the flow in a place.
    #[inline]
    pub(super) fn prefetch_place(&self, at: usize) {
        if let (Some(record), Some(account)) = (self.records.get(at), self.accounts.get(at)) {
            prefetch(record);
            prefetch(account);
        }
    }

    /// Takes a flow out.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow<F>> {
        let flow = self.get(id)?;
        let hashes = self.hashes(&flow.original, &flow.reply);
        self.unlink(id, hashes);
        Some(flow)
    }

    /// Forgets a live flow, whose tuples have these `hashes`.
    pub(super) fn unlink(&mut self, id: FlowId, [forward, reply]: [u64; 2]) {
        self.index.remove(forward, Entry::new(id.0, Direction::Forward));
        self.index.remove(reply, Entry::new(id.0, Direction::Reply));
        self.records[id.0 as usize].release(self.free);
        self.free = id.0;
        self.len -= 1;
    }

    /// Makes room in a full table: of the next 64 flows the one that may go first, half-open before
    /// closing ones. `None` if all of them are in use.
    pub fn evict(&mut self) -> Option<(FlowId, Flow<F>)> {
        let mut best = None;
        for _ in 0..EVICTION_SAMPLE.min(self.capacity()) {
            let at = self.evict_hand;
            self.evict_hand = if at + 1 == self.capacity() { 0 } else { at + 1 };
            let record = &self.records[at];
            let rank = record.state.get().eviction_rank().filter(|_| !record.is_free());
            if let Some(rank) = rank
                && best.is_none_or(|(best, _)| rank < best)
            {
                best = Some((rank, at));
                if rank == 0 {
                    break;
                }
            }
        }
        let id = FlowId(best?.1 as u32);
        Some((id, self.remove(id)?))
    }

    /// The places that ever held a flow end here: listings need not go on.
    pub fn reached(&self) -> usize {
        self.reached
    }

    /// Live flows from place `from` on, for listings; a place is never negative work: `examine` at most are looked at.
    pub fn list(&self, from: usize, examine: usize) -> impl Iterator<Item = Flow<F>> {
        self.ids(from, examine).filter_map(|id| self.get(id))
    }

    /// The same flows by number.
    pub fn ids(&self, from: usize, examine: usize) -> impl Iterator<Item = FlowId> {
        let places = self.records.iter().enumerate().skip(from).take(examine);
        places.filter(|(_, record)| !record.is_free()).map(|(place, _)| FlowId(place as u32))
    }
}

/// No place in a table.
const NO_PLACE: u32 = u32::MAX;

/// Flows an eviction looks at.
const EVICTION_SAMPLE: usize = 64;

#[inline]
fn found(entry: Entry) -> Found {
    Found { id: FlowId(entry.flow()), direction: entry.direction() }
}
