//! What is done for the lane between two batches, when the packets of the last one have left: busy flows are promoted,
//! counters looked at.
//!
//! Bounded, because packets wait meanwhile: [`FLOWS_A_TURN`] flows, [`PAIRS_A_TURN`] pairs. What does not fit waits for
//! the next turn; where too many wait, a flow has to show itself busy again.

use super::{
    Entry, Lane, PairId, Seen,
    promoted::{Promoted, WayBack},
};
use crate::{
    state::{Direction, FlowId, FlowTable, LastHops, Millis, Record, Tuple},
    table::Tables,
    wire::Family,
};

/// Flows that are promoted in a turn, of both families: about 25 µs where nothing is in the cache
/// (`path/tests/lane_cost.rs`).
pub const FLOWS_A_TURN: usize = 48;

/// Pairs whose counters are looked at in a turn: two or three misses each.
const PAIRS_A_TURN: usize = 128;

/// Within which time every pair is looked at, where the turns are enough.
const ROUND_MS: usize = 1000;

/// A direction's packets since its flow was promoted after which the flow is promoted anew: well before they come round.
const MOST_PACKETS: u32 = 1 << 31;

/// Where there is no room for a flow.
#[derive(Debug)]
enum Full {
    /// No pair has rested, or its way has not.
    Slots,
    /// A key has found its bucket full.
    Index,
}

/// What packets of a pair arrive with.
pub(super) fn arriving<F: Family>(entries: &[Entry<F>; 2]) -> [Tuple<F>; 2] {
    entries.map(|entry| entry.arrives)
}

impl<F: Family> Lane<F> {
    /// See the module. The flows are those of `table`, and `tables` those that the last batch was decided by. There is room
    /// for so many flows; returns how many were promoted.
    pub fn work(
        &mut self,
        table: &mut FlowTable<F>,
        last_hops: &LastHops,
        tables: &Tables<F>,
        now: Millis,
        room: usize,
    ) -> usize {
        let Some(promoted) = &mut self.0 else { return 0 };
        let passed = now.since(promoted.clock.now()).as_millis() as usize;
        promoted.clock.advance(now);
        if !promoted.has_begun {
            promoted.pairs.rest_from(now);
            promoted.has_begun = true;
            promoted.tell_time();
        }
        promoted.ways.follow(&promoted.lane.hops, &tables.port_mtus);
        let flows = match table.has_busy() {
            true => promoted.promote(table, last_hops, tables, room),
            false => 0,
        };
        if passed > 0 {
            promoted.tell_time();
            promoted.look_round(table, passed);
        }
        flows
    }
}

impl<F: Family> Promoted<F> {
    fn tell_time(&self) {
        self.lane.notices[0].tell_time(self.clock.ticks());
    }

    /// Promotes the busy flows that may be in the lane, as many as there is room for in this turn. How many.
    #[cold]
    fn promote(
        &mut self,
        table: &mut FlowTable<F>,
        last_hops: &LastHops,
        tables: &Tables<F>,
        room: usize,
    ) -> usize {
        let mut promoted = 0;
        for id in table.take_busy() {
            let Some(record) = table.record(id) else { continue };
            let looked = self.look(record, last_hops, tables);
            if self.pairs.of(id).is_some() {
                self.renew(table, id, looked.is_ok(), tables);
                continue;
            }
            let back = match looked {
                Ok(back) => back,
                Err(why) => {
                    self.counters.refused_way += u64::from(why.is_of_the_way());
                    continue;
                }
            };
            if promoted == room {
                table.note_busy(id);
                continue;
            }
            match self.write(id, record, &back, tables) {
                Ok(()) => promoted += 1,
                // Soon there is room.
                Err(Full::Index) if self.lane.index.can_grow() => table.note_busy(id),
                Err(_) => self.counters.refused_full += 1,
            }
        }
        self.counters.promoted += promoted as u64;
        promoted
    }

    /// A flow that is in the lane gets the epoch in force, and is in the index if it was not; or it leaves, if it may be
    /// there no more.
    fn renew(&mut self, table: &mut FlowTable<F>, id: FlowId, may_stay: bool, tables: &Tables<F>) {
        let (Some(pair), Some(record)) = (self.pairs.of(id), table.record(id)) else { return };
        if may_stay {
            let transport = record.tuple(Direction::Forward).transport;
            // Where there is no room, packets go on coming here.
            self.put_in(pair, &record.tuples());
            self.lane.slots.set_epoch(pair, self.epoch(transport, tables));
        } else {
            self.demote(table, id);
        }
    }

    /// Writes the slots of a flow, and puts them into the index. Or says what there is no room in, or none yet.
    fn write(
        &mut self,
        id: FlowId,
        record: &Record<F>,
        back: &WayBack<'_>,
        tables: &Tables<F>,
    ) -> Result<(), Full> {
        let entries = self.entries(record, back, tables).ok_or(Full::Slots)?;
        let tuples = arriving(&entries);
        if !tuples.iter().all(|tuple| self.lane.index.has_room(tuple)) {
            return Err(Full::Index);
        }
        let pair = self.pairs.take(id, self.clock.now()).ok_or(Full::Slots)?;
        // What was counted between the end of the last flow and that of its last run.
        self.book(pair, &self.lane.slots.seen(pair));
        self.lane.slots.write(pair, &entries);
        self.forget(pair);
        if !self.put_in(pair, &tuples) {
            self.lane.slots.end(pair);
            self.pairs.end(id, self.clock.now());
            return Err(Full::Index);
        }
        Ok(())
    }

    /// Has the index name a pair's slots by these tuples, both or none. Whether it does.
    pub(super) fn put_in(&self, pair: PairId, tuples: &[Tuple<F>; 2]) -> bool {
        let mut keys = tuples.iter().zip(self.lane.slots.ids(pair));
        let is_in = keys.all(|(tuple, slot)| self.lane.index.insert(tuple, slot));
        if !is_in {
            self.take_out(pair, tuples);
        }
        is_in
    }

    /// Has the index name a pair's slots no longer.
    pub(super) fn take_out(&self, pair: PairId, tuples: &[Tuple<F>; 2]) {
        for (tuple, slot) in tuples.iter().zip(self.lane.slots.ids(pair)) {
            self.lane.index.remove(tuple, slot);
        }
    }

    /// Takes a flow that goes on out of the lane.
    pub(super) fn demote(&mut self, table: &mut FlowTable<F>, id: FlowId) {
        if let Some(last_hop) = table.record(id).map(|record| record.last_hop()) {
            self.demote_from(table, id, last_hop, self.clock.now());
        }
    }

    /// Looks at the counters of some pairs.
    fn look_round(&mut self, table: &mut FlowTable<F>, passed_ms: usize) {
        let reached = self.pairs.reached();
        let due = (reached as usize * passed_ms).div_ceil(ROUND_MS).min(PAIRS_A_TURN).min(reached as usize);
        for _ in 0..due {
            let pair = PairId(self.hand);
            self.hand = if self.hand + 1 >= reached { 0 } else { self.hand + 1 };
            let seen = self.lane.slots.seen(pair);
            self.book(pair, &seen);
            if seen.iter().any(|seen| seen.packets >= MOST_PACKETS) {
                self.count_anew(table, pair);
            }
        }
    }

    /// Adds to the counters what a pair has counted since it was looked at last.
    pub(super) fn book(&mut self, pair: PairId, seen: &[Seen; 2]) {
        let at = pair.0 as usize;
        let (packets, bytes) = (self.booked_packets[at], self.booked_bytes[at]);
        self.skip(pair, seen);
        self.counters.packets += u64::from(self.booked_packets[at].wrapping_sub(packets));
        self.counters.bytes += self.booked_bytes[at].wrapping_sub(bytes);
    }

    /// What a pair has counted so far is somebody else's.
    pub(super) fn skip(&mut self, pair: PairId, seen: &[Seen; 2]) {
        let at = pair.0 as usize;
        self.booked_packets[at] = seen[0].packets.wrapping_add(seen[1].packets);
        self.booked_bytes[at] = seen[0].bytes.wrapping_add(seen[1].bytes);
    }

    /// A pair counts from zero.
    fn forget(&mut self, pair: PairId) {
        (self.booked_packets[pair.0 as usize], self.booked_bytes[pair.0 as usize]) = (0, 0);
    }

    /// Demotes the flow of a pair that has counted much, so that it is promoted again.
    #[cold]
    fn count_anew(&mut self, table: &mut FlowTable<F>, pair: PairId) {
        let Some([forward, _]) = self.lane.slots.read(pair) else { return };
        if let Some(found) = table.find(table.hash(&forward.arrives), &forward.arrives) {
            self.demote(table, found.id);
            table.arm(found.id);
        }
    }
}
