//! Expiry: a hand that goes round over a flow table and takes out flows whose time is over.
//!
//! In: the time, and how much may be done. Out: the flows that are gone. Bounded work, done between batches: `examine` places
//! are looked at, which is four bytes each, and at most `most` flows end. Packets only write `last_seen`; a flow is looked at
//! when the time noted for it has come, which is not later than it expires.
//!
//! Nothing of a flow that has idled away is in a cache. So some at a time go through three steps together, and each step asks
//! for what the next one reads: times noted, records, index buckets. A flow costs 80 ns then, instead of 270.

use super::{Flow, FlowId, FlowTable, Millis, Timeouts};
use crate::{lane::Counted, wire::Family};
use arrayvec::ArrayVec;
use std::time::Duration;

/// Flows that go through a sweep together: twice as many lines of the index are under way at a time.
const SWEPT_AT_ONCE: usize = 32;

/// When to look at a free place again: as late as a comparison of times allows, for there is nothing to see.
const LONG: Duration = Duration::from_secs(20 * 86_400);

impl<F: Family> FlowTable<F> {
    /// Moves the expiry hand over up to `examine` places and takes out at most `most` flows whose time is over. `elsewhere`
    /// tells what was counted of a flow where the table does not see it.
    pub fn sweep(
        &mut self,
        now: Millis,
        timeouts: &Timeouts,
        examine: usize,
        most: usize,
        elsewhere: impl Fn(FlowId) -> Option<Counted>,
        mut expired: impl FnMut(FlowId, Flow<F>),
    ) {
        let (mut examine, mut most) = (examine.min(self.reached), most);
        while examine > 0 && most > 0 {
            let due = self.due(now, &mut examine, most);
            let ended: ArrayVec<_, SWEPT_AT_ONCE> =
                due.into_iter().filter_map(|id| self.ended(id, now, timeouts, &elsewhere)).collect();
            for (id, hashes) in ended {
                if let Some(flow) = self.get(id) {
                    self.unlink(id, hashes);
                    self.due[id.0 as usize] = now.after(LONG);
                    expired(id, flow);
                    most -= 1;
                }
            }
        }
    }

    /// First step of a sweep: the next flows, at most so many, that it is time to look at.
    fn due(&mut self, now: Millis, examine: &mut usize, most: usize) -> ArrayVec<FlowId, SWEPT_AT_ONCE> {
        let mut due = ArrayVec::new();
        let most = most.min(SWEPT_AT_ONCE);
        while *examine > 0 && due.len() < most {
            let at = if self.sweep_hand < self.reached { self.sweep_hand } else { 0 };
            self.sweep_hand = at + 1;
            *examine -= 1;
            if now.reached(self.due[at]) {
                self.prefetch_place(at);
                due.push(FlowId(at as u32));
            }
        }
        due
    }

    /// Second step: the hashes of a flow whose time is over. Of others it is noted when it will be.
    fn ended(
        &mut self,
        id: FlowId,
        now: Millis,
        timeouts: &Timeouts,
        elsewhere: impl Fn(FlowId) -> Option<Counted>,
    ) -> Option<(FlowId, [u64; 2])> {
        let (record, due) = (&mut self.records[id.0 as usize], &mut self.due[id.0 as usize]);
        if record.is_free() {
            *due = now.after(LONG);
            return None;
        }
        if let Some(counted) = elsewhere(id) {
            record.catch_up(&counted);
        }
        let end = record.last_seen.after(timeouts.of(record.state.get()));
        if !now.reached(end) {
            *due = end;
            return None;
        }
        let [original, reply] = record.tuples();
        let hashes = self.hashes(&original, &reply);
        for hash in hashes {
            self.index.prefetch(hash);
        }
        Some((id, hashes))
    }
}
