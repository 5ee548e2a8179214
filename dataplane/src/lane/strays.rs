//! Pairs that a former process left live in memory that outlived it: their flows go on, and nobody knows them.
//!
//! They are found where the lane is switched on, before the first packet. Then a hand goes round, some a turn, and shows them to
//! `path/adopt.rs`, which takes each over, ends it, or leaves it for another round, because something it needs is yet to be
//! published. What is not taken over [`PATIENCE`] after there are Services is ended. Until then its tuples are nobody
//! else's: a flow that is opened with one ends it ([`Lane::claim`]), and a SNAT port that one has is not given away.
//!
//! Control has taken out of the index what names no live slot, and ended what would use hops that are this process's
//! (`xdp/lane/maps.rs`).

use super::{Entry, HopId, Lane, PairId, promoted::Promoted, work::arriving};
use crate::{
    io::BATCH,
    state::{FlowId, FlowTable, LastHops, Millis, Record, Tuple},
    table::{Link, Tables},
    wire::Family,
};
use arrayvec::ArrayVec;
use hashbrown::HashMap;
use std::time::Duration;

/// How long pairs are left as they are for want of something.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(100);

/// Pairs that are shown in a turn: each is a few look-ups.
pub const STRAYS_A_TURN: usize = BATCH / 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Strays<F: Family> {
    /// Those that there were at first.
    all: Box<[PairId]>,
    /// Those that there are, by both tuples.
    of_tuple: HashMap<Tuple<F>, PairId>,
    /// The next one.
    hand: usize,
    /// When the next round may begin.
    pause: Option<Millis>,
    /// When there were Services first.
    since: Option<Millis>,
    adopted: u64,
}

impl<F: Family> Strays<F> {
    /// Whether there is no pause between two rounds.
    fn are_due(&self, now: Millis) -> bool {
        self.pause.is_none_or(|until| now.reached(until))
    }
}

/// A pair of a former process.
#[derive(Debug)]
pub struct Stray<F: Family> {
    pair: PairId,
    /// What its slots say, by [`Direction`](crate::state::Direction).
    pub entries: [Entry<F>; 2],
    /// The way back to its client.
    pub last_hop: Option<Link>,
}

/// What is to be done with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// This flow has it now.
    Adopted(FlowId),
    /// Nothing, yet.
    Later,
    /// It ends.
    Ended,
}

impl<F: Family> Lane<F> {
    /// Whether there are pairs of a former process.
    #[inline]
    pub fn has_strays(&self) -> bool {
        self.0.as_ref().is_some_and(|promoted| promoted.strays.is_some())
    }

    /// Whether some of them are to be looked at now.
    pub fn is_adopting(&self) -> bool {
        let Some(promoted) = &self.0 else { return false };
        promoted.strays.as_ref().is_some_and(|strays| strays.are_due(promoted.clock.now()))
    }

    /// Whether packets with this tuple are of a pair of a former process: a new flow with it would get that one's answers.
    /// Control waits for strays to be adopted before new flows come, but not as long as some of them may have to wait.
    #[inline]
    pub fn has_stray(&self, tuple: &Tuple<F>) -> bool {
        let strays = self.0.as_ref().and_then(|promoted| promoted.strays.as_ref());
        strays.is_some_and(|strays| strays.of_tuple.contains_key(tuple))
    }

    /// A flow is about to be opened for packets with this tuple: a stray that has it ends.
    #[cold]
    pub fn claim(&mut self, tuple: &Tuple<F>, now: Millis) {
        let Some(promoted) = &mut self.0 else { return };
        let stray = promoted.strays.as_ref().and_then(|strays| strays.of_tuple.get(tuple));
        if let Some(pair) = stray.copied() {
            promoted.end_stray(pair, now);
        }
    }

    /// The strays that are looked at in this turn.
    #[cold]
    pub fn strays(&mut self) -> ArrayVec<Stray<F>, STRAYS_A_TURN> {
        let mut found = ArrayVec::new();
        let Some(promoted) = &mut self.0 else { return found };
        let Some(mut strays) = promoted.strays.take() else { return found };
        let are_due = strays.are_due(promoted.clock.now());
        while are_due && strays.hand < strays.all.len() && !found.is_full() {
            let pair = strays.all[strays.hand];
            strays.hand += 1;
            found.extend(promoted.stray(pair, &strays));
        }
        promoted.strays = Some(strays);
        found
    }

    /// Says what is to be done with them. `is_complete`: there are Services.
    #[cold]
    pub fn settle_strays(
        &mut self,
        decided: &[(Stray<F>, Fate)],
        is_complete: bool,
        (table, last_hops): (&mut FlowTable<F>, &LastHops),
        tables: &Tables<F>,
    ) {
        let Some(promoted) = &mut self.0 else { return };
        let now = promoted.clock.now();
        let Some(strays) = &mut promoted.strays else { return };
        if is_complete {
            strays.since.get_or_insert(now);
        }
        let is_over = strays.since.is_some_and(|since| now.since(since) >= PATIENCE);
        let mut adopted = 0;
        for (stray, fate) in decided {
            match fate {
                Fate::Adopted(id) if promoted.adopt(stray, *id, table, last_hops, tables) => adopted += 1,
                Fate::Later if !is_over => {}
                Fate::Adopted(_) | Fate::Later | Fate::Ended => promoted.end_stray(stray.pair, now),
            }
        }
        promoted.end_round(adopted);
    }
}

impl<F: Family> Promoted<F> {
    /// Looks at all pairs, once.
    pub(super) fn find_strays(&mut self) {
        let mut all = Vec::new();
        let mut of_tuple = HashMap::new();
        for pair in (0..self.lane.slots.len() as u32).map(PairId) {
            // What a former process has counted is not ours.
            let seen = self.lane.slots.seen(pair);
            self.skip(pair, &seen);
            let Some(entries) = self.lane.slots.read(pair) else {
                if !self.lane.slots.is_fresh(pair) {
                    // Nobody knows when it ended. One of its slots may be live, if nobody had the time to end both.
                    self.lane.slots.end(pair);
                    self.pairs.found(pair);
                    self.pairs.free(pair, self.clock.now());
                }
                continue;
            };
            self.pairs.found(pair);
            all.push(pair);
            of_tuple.extend(entries.iter().map(|entry| (entry.arrives, pair)));
        }
        if !all.is_empty() {
            let all = all.into_boxed_slice();
            self.strays = Some(Strays { all, of_tuple, hand: 0, pause: None, since: None, adopted: 0 });
        }
    }

    /// The pair, if it is one still.
    fn stray(&self, pair: PairId, strays: &Strays<F>) -> Option<Stray<F>> {
        let entries = self.lane.slots.read(pair)?;
        entries.iter().any(|entry| strays.of_tuple.get(&entry.arrives) == Some(&pair)).then(|| Stray {
            pair,
            last_hop: self.lane.hops.get(entries[1].hop).map(|(link, _)| link),
            entries,
        })
    }

    /// Gives a flow the pair. `false`: it may not be in the lane, or its last hop has no place. Most pairs are in the index
    /// already; but not those of a process that died while it wrote them.
    fn adopt(
        &mut self,
        stray: &Stray<F>,
        id: FlowId,
        table: &FlowTable<F>,
        last_hops: &LastHops,
        tables: &Tables<F>,
    ) -> bool {
        let Some(record) = table.record(id) else { return false };
        let Some([out, back]) = self.places(record, last_hops, tables) else { return false };
        if !self.put_in(stray.pair, &arriving(&stray.entries)) || !self.pairs.give(stray.pair, id) {
            return false;
        }
        self.lane.slots.set_hops(stray.pair, [out, back]);
        self.lane.slots.set_epoch(stray.pair, self.epoch(stray.entries[0].arrives.transport, tables));
        self.forget_stray(&stray.entries);
        true
    }

    fn places(&mut self, record: &Record<F>, last_hops: &LastHops, tables: &Tables<F>) -> Option<[HopId; 2]> {
        let back = self.look(record, last_hops, tables).ok()?;
        Some([self.lane.hops.next(record.next_hop())?, self.ready(record.last_hop(), &back)?])
    }

    fn end_stray(&mut self, pair: PairId, now: Millis) {
        let Some(entries) = self.lane.slots.read(pair) else { return };
        self.lane.slots.end(pair);
        self.pairs.free(pair, now);
        self.take_out(pair, &arriving(&entries));
        self.forget_stray(&entries);
    }

    fn forget_stray(&mut self, entries: &[Entry<F>; 2]) {
        if let Some(strays) = &mut self.strays {
            for entry in entries {
                strays.of_tuple.remove(&entry.arrives);
            }
        }
    }

    /// Ends the turn, and the round if it is over; and all, if there are none any more.
    fn end_round(&mut self, adopted: usize) {
        let now = self.clock.now();
        let Some(strays) = &mut self.strays else { return };
        strays.adopted += adopted as u64;
        if strays.of_tuple.is_empty() {
            let (all, adopted) = (strays.all.len(), strays.adopted);
            tracing::info!(family = F::NAME, all, adopted, "flows of a former process were in the fast lane");
            self.strays = None;
        } else if strays.hand == strays.all.len() {
            (strays.hand, strays.pause) = (0, Some(now.after(PAUSE)));
        }
    }
}
