//! A worker's share of the slots: pairs, one slot for each direction of a flow. All forward slots lie before all reply
//! ones: where most packets go one way, their slots are close to each other.

use super::{Entry, Epoch, HopId, Memory, Seen, Slot};
use crate::{state::Direction, wire::Family};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed},
    },
};

/// The number of a pair among a worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PairId(pub u32);

/// The number of a slot among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(pub u32);

/// Ends all pairs of which a slot points to one of these hops. How many.
pub(crate) fn end_slots<F: Family>(slots: &Memory<Slot<F>>, hops: &Range<u32>) -> usize {
    let points_there = |slot: &Slot<F>| {
        let used = [slot.hop.load(Relaxed), slot.came_by.load(Relaxed)];
        slot.epoch.load(Acquire) != Epoch::NONE.0 && used.iter().any(|hop| hops.contains(hop) && *hop != 0)
    };
    let (forward, reply) = slots.split_at(slots.len() / 2);
    let mut ended = 0;
    for pair in forward.iter().zip(reply).map(<[_; 2]>::from) {
        if pair.iter().any(|slot| points_there(slot)) {
            pair.iter().for_each(|slot| slot.end());
            ended += 1;
        }
    }
    ended
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

    /// The slots of a pair, by [`Direction`].
    pub fn ids(&self, pair: PairId) -> [SlotId; 2] {
        let forward = self.pairs.start + pair.0;
        [SlotId(forward), SlotId(forward + (self.memory.len() / 2) as u32)]
    }

    fn slot(&self, pair: PairId, direction: Direction) -> &Slot<F> {
        &self.memory[self.ids(pair)[direction as usize].0 as usize]
    }

    /// Writes both slots of a pair that has rested, by [`Direction`], and makes them live. Which they are.
    pub fn write(&self, pair: PairId, entries: &[Entry<F>; 2]) -> [SlotId; 2] {
        for direction in [Direction::Forward, Direction::Reply] {
            self.slot(pair, direction).write(&entries[direction as usize]);
        }
        self.ids(pair)
    }

    /// Ends a pair: from now on the classifier uses neither of its slots.
    pub fn end(&self, pair: PairId) {
        for direction in [Direction::Forward, Direction::Reply] {
            self.slot(pair, direction).end();
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

    /// What a live pair was written with, by [`Direction`].
    pub fn read(&self, pair: PairId) -> Option<[Entry<F>; 2]> {
        Some([self.slot(pair, Direction::Forward).read()?, self.slot(pair, Direction::Reply).read()?])
    }
}
