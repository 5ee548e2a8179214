//! How many buckets of an index are in use: as few as hold the keys that there are, so that few flows take few lines of
//! memory, and few pages, which a processor remembers the places of.
//!
//! Control alone does this, some times a second ([`IndexKeeper`]), while workers go on putting entries in and taking them
//! out, and the classifier goes on reading. The buckets are doubled: a key of bucket `n` is then in `n`, or in the new one
//! that many further on. So entries are copied there first, then the number in use is told, and then what is in
//! the wrong bucket by that is moved. A worker that had read the old number puts an entry in the old place even after
//! that, or takes out one of two: so all entries are looked at once more the next time. Until then its flow is its worker's.
//!
//! Limits: they do not become fewer again.

use super::{
    Index, Memory, Slot, SlotId,
    index::{BUCKET_ENTRIES, MOST_SLOTS},
};
use crate::{state::Tuple, wire::Family};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// Buckets that are in use at first, if there are as many: 16 pages, and room for three thousand flows.
const FIRST_BUCKETS: usize = 1024;

/// Keys for each bucket in use, on average, before they are doubled: then one bucket in five thousand is full. They are
/// doubled as well when a key has found its bucket full.
const KEYS_A_BUCKET: usize = BUCKET_ENTRIES * 3 / 8;

impl Index {
    /// Of one that nobody has used, some buckets are in use; of another, as many as were.
    pub(super) fn start(&self) {
        if self.last() == 0 {
            self.set_in_use(self.buckets.len().min(FIRST_BUCKETS));
        }
    }

    pub(super) fn set_in_use(&self, buckets: usize) {
        self.notices[0].set_last_bucket(self.v6, buckets as u32 - 1);
    }

    /// Whether more buckets can be in use.
    pub(super) fn can_grow(&self) -> bool {
        self.last() + 1 < self.buckets.len()
    }

    /// Sees to it that there is room. The slots are those that it names. Whether it has grown, and is to be
    /// [settled](Self::settle) once more when no worker goes by the old number any longer.
    pub(crate) fn grow<F: Family>(&self, slots: &Memory<Slot<F>>) -> bool {
        let before = self.last();
        let is_filled = || self.used.load(Relaxed) as usize > KEYS_A_BUCKET * (self.last() + 1);
        while self.can_grow() && (self.is_pressed.swap(false, Relaxed) || is_filled()) {
            self.double(slots);
        }
        self.last() != before
    }

    fn double<F: Family>(&self, slots: &Memory<Slot<F>>) {
        let in_use = self.last() + 1;
        let last = 2 * in_use - 1;
        for bucket in self.buckets.iter().take(in_use) {
            for entry in bucket.0.iter().map(|entry| entry.load(Relaxed)) {
                let Some((slot, tuple)) = live(slots, entry) else { continue };
                let place = self.place(&tuple, last);
                if place.bucket >= in_use {
                    // If there is no room, its flow is its worker's until there is.
                    self.put(place, slot);
                }
            }
        }
        self.set_in_use(last + 1);
        self.settle(slots);
    }

    /// Readies one that an earlier process has left. How many entries were nobody's.
    pub(crate) fn take_over<F: Family>(&self, slots: &Memory<Slot<F>>) -> usize {
        let removed = self.settle(slots);
        self.used.store(self.len() as u32, Relaxed);
        removed
    }

    /// Takes out every entry whose slot is nobody's, and moves those that are in another's bucket. How many.
    pub(crate) fn settle<F: Family>(&self, slots: &Memory<Slot<F>>) -> usize {
        let last = self.last();
        let mut moved = 0;
        for (number, bucket) in self.buckets.iter().enumerate().take(last + 1) {
            for entry in bucket.0.iter().map(|entry| entry.load(Relaxed)).filter(|entry| *entry != 0) {
                let place = live(slots, entry).map(|(slot, tuple)| (slot, self.place(&tuple, last)));
                if place.is_some_and(|(slot, place)| place.bucket == number && place.entry(slot) == entry) {
                    continue;
                }
                if let Some((slot, place)) = place.filter(|(_, place)| place.tag == entry & !MOST_SLOTS) {
                    self.put(place, slot);
                }
                moved += usize::from(bucket.take_out(entry));
            }
        }
        moved
    }
}

/// Control's part of an index.
#[derive(Debug)]
pub(crate) struct IndexKeeper<F: Family> {
    index: Index,
    slots: Arc<Memory<Slot<F>>>,
    has_grown: bool,
}

impl<F: Family> IndexKeeper<F> {
    /// Of this index of these slots.
    pub(crate) fn new(index: Index, slots: Arc<Memory<Slot<F>>>) -> Self {
        Self { index, slots, has_grown: false }
    }

    /// To be called some times a second.
    pub(crate) fn tend(&mut self) {
        if self.has_grown {
            self.index.settle(&self.slots);
        }
        self.has_grown = self.index.grow(&self.slots);
    }
}

/// The slot that an entry names, and what packets of it arrive with, if it is anybody's.
fn live<F: Family>(slots: &Memory<Slot<F>>, entry: u32) -> Option<(SlotId, Tuple<F>)> {
    let number = (entry & MOST_SLOTS).checked_sub(1)?;
    let entry = slots.get(number as usize)?.read()?;
    Some((SlotId(number), entry.arrives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lane::{Entry, Epoch, HopId, PairId, Slots},
        state::Deltas,
        table::Transport,
        wire::V4,
    };

    const PAIRS: u32 = 1 << 16;

    fn tuple(number: u32, reply: bool) -> Tuple<V4> {
        Tuple {
            source: std::net::Ipv4Addr::from(number),
            destination: std::net::Ipv4Addr::from(u32::from(reply)),
            source_port: 5,
            destination_port: 443,
            transport: Transport::Tcp,
        }
    }

    fn entry(tuple: Tuple<V4>) -> Entry<V4> {
        Entry {
            arrives: tuple,
            leaves: tuple,
            deltas: Deltas::default(),
            hop: HopId(1),
            came_by: None,
            epoch: Epoch::new(1, Transport::Tcp, 0),
            acked: 0,
        }
    }

    struct Lane {
        memory: Arc<Memory<Slot<V4>>>,
        slots: Slots<V4>,
        index: Index,
    }

    impl Lane {
        fn new() -> Self {
            let memory = Arc::new(Memory::private(2 * PAIRS as usize));
            let slots = Slots::share(Arc::clone(&memory), 0, 1);
            Self { memory, slots, index: Index::private(2 * PAIRS) }
        }

        fn put(&self, pair: u32) -> bool {
            let entries = [false, true].map(|reply| entry(tuple(pair, reply)));
            let slots = self.slots.write(PairId(pair), &entries);
            entries.iter().zip(slots).all(|(entry, slot)| self.index.insert(&entry.arrives, slot))
        }

        fn has_room(&self, pair: u32) -> bool {
            [false, true].iter().all(|reply| self.index.has_room(&tuple(pair, *reply)))
        }

        fn end(&self, pair: u32) {
            self.slots.end(PairId(pair));
            for (reply, slot) in [false, true].into_iter().zip(self.slots.ids(PairId(pair))) {
                self.index.remove(&tuple(pair, reply), slot);
            }
        }

        fn has(&self, pair: u32) -> bool {
            let [forward, reply] = self.slots.ids(PairId(pair));
            let is_named = |slot, reply| self.index.named(&tuple(pair, reply)).any(|named| named == slot);
            is_named(forward, false) && is_named(reply, true)
        }
    }

    #[test]
    fn few_flows_take_few_buckets_and_many_find_room() {
        let lane = Lane::new();
        let mut keeper = IndexKeeper::new(lane.index.clone(), Arc::clone(&lane.memory));
        assert_eq!(lane.index.last() + 1, FIRST_BUCKETS);
        for pair in 0..PAIRS {
            if !lane.has_room(pair) || pair.is_multiple_of(256) {
                keeper.tend();
                // At times a bucket is full earlier.
                let most = 2 * (2 * (pair as usize + 1)).div_ceil(KEYS_A_BUCKET).next_power_of_two();
                assert!(lane.index.last() < most.max(FIRST_BUCKETS), "{pair}");
            }
            assert!(lane.put(pair) || !lane.index.can_grow(), "{pair}");
        }
        keeper.tend();
        assert!(!lane.index.can_grow());
        let outside = (0..PAIRS).filter(|pair| !lane.has(*pair)).count();
        assert!(outside < PAIRS as usize / 100, "{outside}");
        (0..PAIRS).for_each(|pair| lane.end(pair));
        assert!(lane.index.is_empty(), "nothing was put in twice");
        assert_eq!(lane.index.used.load(Relaxed), 0);
    }

    #[test]
    fn workers_go_on_while_it_grows() {
        let lane = Lane::new();
        let mut keeper = IndexKeeper::new(lane.index.clone(), Arc::clone(&lane.memory));
        let done = std::sync::atomic::AtomicU32::new(0);
        let stays = |pair: &u32| !pair.is_multiple_of(3);
        std::thread::scope(|scope| {
            for worker in 0..2u32 {
                let (lane, done) = (&lane, &done);
                scope.spawn(move || {
                    for pair in (0..PAIRS / 2).map(|number| 2 * number + worker) {
                        while !lane.has_room(pair) && lane.index.can_grow() {
                            std::thread::yield_now();
                        }
                        lane.put(pair);
                        // Every third one goes again.
                        if !stays(&pair) {
                            lane.end(pair);
                        }
                    }
                    done.fetch_add(1, Relaxed);
                });
            }
            while done.load(Relaxed) < 2 {
                keeper.tend();
            }
        });
        keeper.tend();
        keeper.tend();
        let last = lane.index.last();
        assert!(last + 1 > 8 * FIRST_BUCKETS, "{last}");
        let outside = (0..PAIRS).filter(stays).filter(|pair| !lane.has(*pair)).count();
        assert!(outside < PAIRS as usize / 100, "{outside} of them have no room");
        let keys = 2 * (0..PAIRS).filter(stays).count();
        assert!(
            lane.index.len() <= keys,
            "{} entries of {keys} keys: what has ended is out",
            lane.index.len()
        );
    }
}
