//! A worker's share of the slots: pairs, one slot for each direction of a flow.

use super::{Entry, Epoch, HopId, Memory, Seen, Slot, SlotRef};
use crate::{
    state::{Direction, Tuple},
    wire::Family,
};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
};

/// The number of a pair among a worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PairId(pub u32);

/// Ends all pairs of which a slot points to one of these hops. How many.
pub(crate) fn end_slots<F: Family>(slots: &Memory<Slot<F>>, hops: &Range<u32>) -> usize {
    let points_there = |slot: &Slot<F>| {
        let used = [slot.hop.load(Relaxed), slot.came_by.load(Relaxed)];
        slot.live.load(Acquire) != 0 && used.iter().any(|hop| hops.contains(hop) && *hop != 0)
    };
    let pairs = slots.chunks_exact(2).filter(|pair| pair.iter().any(points_there));
    pairs.map(|pair| pair.iter().for_each(|slot| slot.live.store(0, Release))).count()
}

/// What packets of a slot arrive with, if it is live in the generation that was named.
pub(crate) fn live_tuple<F: Family>(slots: &Memory<Slot<F>>, named: SlotRef) -> Option<Tuple<F>> {
    let (generation, entry) = slots.get(named.0 as u32 as usize)?.read()?;
    (u64::from(generation) == named.0 >> 32).then_some(entry.arrives)
}

/// See the module.
#[derive(Debug)]
pub struct Slots<F: Family> {
    memory: Arc<Memory<Slot<F>>>,
    pairs: Range<u32>,
}

impl<F: Family> Slots<F> {
    /// The share of worker `worker` of `workers`, who all have as many.
    pub fn share(memory: Arc<Memory<Slot<F>>>, worker: usize, workers: usize) -> Self {
        let each = memory.len() / 2 / workers.max(1);
        let first = (each * worker) as u32;
        Self { memory, pairs: first..first + each as u32 }
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn number(&self, pair: PairId, direction: Direction) -> usize {
        2 * (self.pairs.start + pair.0) as usize + direction as usize
    }

    fn slot(&self, pair: PairId, direction: Direction) -> &Slot<F> {
        &self.memory[self.number(pair, direction)]
    }

    /// Writes both slots of a pair that has rested, by [`Direction`], and makes them live. What the index is to have for
    /// them. `generation` is not 0, and not one that the pair had lately.
    pub fn write(&self, pair: PairId, generation: u32, entries: &[Entry<F>; 2]) -> [SlotRef; 2] {
        for direction in [Direction::Forward, Direction::Reply] {
            self.slot(pair, direction).write(generation, &entries[direction as usize]);
        }
        self.refs(pair, generation)
    }

    /// What the index is to have for a pair in this generation, by [`Direction`].
    pub fn refs(&self, pair: PairId, generation: u32) -> [SlotRef; 2] {
        [Direction::Forward, Direction::Reply]
            .map(|direction| SlotRef(self.number(pair, direction) as u64 | u64::from(generation) << 32))
    }

    /// Ends a pair: from now on the classifier uses neither of its slots.
    pub fn end(&self, pair: PairId) {
        for direction in [Direction::Forward, Direction::Reply] {
            self.slot(pair, direction).live.store(0, Release);
        }
    }

    /// What was counted in a pair since it was written, by [`Direction`]; of an ended pair too.
    pub fn seen(&self, pair: PairId) -> [Seen; 2] {
        [Direction::Forward, Direction::Reply].map(|direction| self.slot(pair, direction).seen())
    }

    /// Gives a live pair another epoch.
    pub fn set_epoch(&self, pair: PairId, epoch: Epoch) {
        for direction in [Direction::Forward, Direction::Reply] {
            self.slot(pair, direction).epoch.store(epoch.0, Relaxed);
        }
    }

    /// Gives a live pair the hops of this process, by [`Direction`].
    pub fn set_hops(&self, pair: PairId, hops: [HopId; 2]) {
        let [out, back] = hops;
        let forward = self.slot(pair, Direction::Forward);
        forward.came_by.store(back.0, Relaxed);
        forward.hop.store(out.0, Relaxed);
        self.slot(pair, Direction::Reply).hop.store(back.0, Relaxed);
    }

    /// Whether a pair has never been written.
    pub fn is_fresh(&self, pair: PairId) -> bool {
        let words = self.slot(pair, Direction::Forward).arrives.as_ref();
        words.iter().all(|word| word.load(Relaxed) == 0)
    }

    /// The generation of a live pair, and what it was written with, by [`Direction`].
    pub fn read(&self, pair: PairId) -> Option<(u32, [Entry<F>; 2])> {
        let (generation, forward) = self.slot(pair, Direction::Forward).read()?;
        let (other, reply) = self.slot(pair, Direction::Reply).read()?;
        (generation == other).then_some((generation, [forward, reply]))
    }
}
