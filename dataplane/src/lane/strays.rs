//! Pairs that a former process left live in memory that outlived it: their flows go on, and nobody knows them.
//!
//! A hand goes over the pairs, some a turn, and shows each live one that no flow here has to
//! [`path::adopt`](crate::path), which takes it over, ends it, or leaves it for another round, because something it needs
//! is yet to be published. Nothing is promoted before the first round is done, so that no live pair is written over. What
//! is not taken over [`PATIENCE`] after there are Services is ended.

use super::{Counted, Entry, HopId, Key, Lane, PairId, SlotRef, promoted::Promoted};
use crate::{
    io::BATCH,
    state::{FlowId, FlowTable, LastHopId, LastHops, Millis, Record},
    table::{Link, Tables},
    wire::Family,
};
use arrayvec::ArrayVec;
use std::time::Duration;

/// How long pairs are left as they are for want of something.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(100);

/// Pairs that a turn looks at: of most it is one load.
const PAIRS_A_TURN: usize = 512;

/// Live ones among them: each is a few look-ups, and two keys.
pub const STRAYS_A_TURN: usize = BATCH / 4;

/// How far it has come.
#[derive(Debug)]
pub(super) struct Strays {
    /// The next pair.
    hand: u32,
    /// Whether every pair has been looked at once.
    first_round_done: bool,
    /// Pairs of this round that were left for another.
    left: u32,
    /// When the next round may begin.
    pause: Option<Millis>,
    /// When there were Services first.
    since: Option<Millis>,
    adopted: u64,
    ended: u64,
}

/// A pair of a former process.
#[derive(Debug)]
pub struct Stray<F: Family> {
    pair: PairId,
    slots: [SlotRef; 2],
    /// What its slots say, by [`Direction`](crate::state::Direction).
    pub entries: [Entry<F>; 2],
    /// What was counted in it.
    pub counted: Counted,
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

impl Strays {
    pub(super) fn new() -> Self {
        Self { hand: 0, first_round_done: false, left: 0, pause: None, since: None, adopted: 0, ended: 0 }
    }
}

impl<F: Family> Lane<F> {
    /// Whether there may be pairs of a former process.
    #[inline]
    pub fn has_strays(&self) -> bool {
        self.0.as_ref().is_some_and(|promoted| promoted.strays.is_some())
    }

    /// Whether some of them are to be looked at now.
    pub fn is_adopting(&self) -> bool {
        let Some(promoted) = &self.0 else { return false };
        let is_due = |until| promoted.clock.now().reached(until);
        promoted.strays.as_ref().is_some_and(|strays| strays.pause.is_none_or(is_due))
    }

    /// The pairs of a former process that are looked at in this turn.
    #[cold]
    pub fn strays(&mut self, table: &FlowTable<F>) -> ArrayVec<Stray<F>, STRAYS_A_TURN> {
        let mut found = ArrayVec::new();
        let Some(promoted) = &mut self.0 else { return found };
        let now = promoted.clock.now();
        let Some(mut strays) = promoted.strays.take() else { return found };
        let total = match strays.first_round_done {
            true => promoted.pairs.reached(),
            false => promoted.lane.slots.len() as u32,
        };
        let is_paused = strays.pause.is_some_and(|until| !now.reached(until));
        for _ in 0..PAIRS_A_TURN {
            if is_paused || strays.hand == total || found.is_full() {
                break;
            }
            let pair = PairId(strays.hand);
            strays.hand += 1;
            if let Some(stray) = promoted.stray(pair, strays.first_round_done, table) {
                found.push(stray);
            }
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
        flows: (&mut FlowTable<F>, &LastHops),
        tables: &Tables<F>,
    ) {
        let Some(promoted) = &mut self.0 else { return };
        let Some(mut strays) = promoted.strays.take() else { return };
        let now = promoted.clock.now();
        if is_complete {
            strays.since.get_or_insert(now);
        }
        let is_over = strays.since.is_some_and(|since| now.since(since) >= PATIENCE);
        let (table, last_hops) = flows;
        promoted.keys.clear();
        let mut adopted = ArrayVec::<FlowId, STRAYS_A_TURN>::new();
        for (stray, fate) in decided {
            match fate {
                Fate::Adopted(id) if promoted.adopt(stray, *id, table, last_hops, tables) => {
                    adopted.push(*id)
                }
                Fate::Later if !is_over => strays.left += 1,
                Fate::Adopted(_) | Fate::Later | Fate::Ended => {
                    promoted.end_stray(stray);
                    strays.ended += 1;
                }
            }
        }
        strays.adopted += adopted.len() as u64;
        if !adopted.is_empty() {
            promoted.put_adopted_keys_in(table, &adopted);
        }
        promoted.strays = promoted.next_round(strays);
    }
}

impl<F: Family> Promoted<F> {
    /// The pair, if it is live and nobody's.
    fn stray(&mut self, pair: PairId, is_known: bool, table: &FlowTable<F>) -> Option<Stray<F>> {
        if !is_known {
            // What the former process has counted is not ours.
            let seen = self.lane.slots.seen(pair);
            self.skip(pair, &seen);
        }
        let (generation, entries) = self.lane.slots.read(pair)?;
        self.pairs.found(pair, generation, self.clock.now());
        let original = &entries[0].arrives;
        let owner = table.find(table.hash(original), original);
        if owner.is_some_and(|found| self.pairs.of(found.id) == Some(pair)) {
            return None;
        }
        Some(Stray {
            pair,
            slots: self.lane.slots.refs(pair, generation),
            counted: self.counted(self.lane.slots.seen(pair)),
            last_hop: self.lane.hops.get(entries[1].hop).map(|(link, _)| link),
            entries,
        })
    }

    /// Gives a flow the pair. `false`: it may not be in the lane, or its last hop has no place.
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
        if !self.pairs.give(stray.pair, id) {
            return false;
        }
        self.lane.slots.set_hops(stray.pair, [out, back]);
        self.lane.slots.set_epoch(stray.pair, self.epoch(stray.entries[0].arrives.transport, tables));
        let keys = stray.entries.iter().zip(stray.slots);
        self.keys.extend(keys.map(|(entry, slot)| Key { tuple: entry.arrives, slot }));
        true
    }

    fn places(&mut self, record: &Record<F>, last_hops: &LastHops, tables: &Tables<F>) -> Option<[HopId; 2]> {
        let back = self.look(record, last_hops, tables).ok()?;
        Some([self.lane.hops.next(record.next_hop)?, self.ready(record.last_hop, &back)?])
    }

    /// Most are in already; but those are not of whom died between writing slots and keys.
    fn put_adopted_keys_in(&mut self, table: &mut FlowTable<F>, flows: &[FlowId]) {
        let inserted = self.lane.keys.insert(&self.keys) / 2;
        for id in flows.iter().skip(inserted) {
            self.demote(table, *id);
        }
    }

    fn end_stray(&mut self, stray: &Stray<F>) {
        self.lane.slots.end(stray.pair);
        self.pairs.free(stray.pair, self.clock.now());
        self.removals.extend(stray.entries.iter().map(|entry| entry.arrives));
    }

    /// The next turn's part. `None`: all is done.
    fn next_round(&self, mut strays: Strays) -> Option<Strays> {
        let total = match strays.first_round_done {
            true => self.pairs.reached(),
            false => self.lane.slots.len() as u32,
        };
        if strays.hand < total {
            return Some(strays);
        }
        if strays.left == 0 {
            if strays.adopted + strays.ended > 0 {
                let Strays { adopted, ended, .. } = strays;
                tracing::info!(family = F::NAME, adopted, ended, "flows that a former process had promoted");
            }
            return None;
        }
        (strays.hand, strays.left, strays.first_round_done) = (0, 0, true);
        strays.pause = Some(self.clock.now().after(PAUSE));
        Some(strays)
    }

    /// Whether new flows may be promoted.
    pub(super) fn knows_its_pairs(&self) -> bool {
        self.strays.as_ref().is_none_or(|strays| strays.first_round_done)
    }

    /// The place of a last hop that is this way.
    pub(super) fn ready(&mut self, id: LastHopId, back: &super::promoted::WayBack<'_>) -> Option<HopId> {
        self.ways.ready(&self.lane.hops, id, (back.link, back.mtu), self.clock.now())
    }
}
