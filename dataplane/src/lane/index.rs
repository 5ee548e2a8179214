//! The index of slots: which slots packets with a tuple may be of. The classifier looks every packet up in it.
//!
//! A hash table in memory that the classifier and all workers share, in buckets of one cache line: an entry is the number of a
//! slot plus one, below eight bits of the hash; 0: it is free. A key is in its own bucket or nowhere, so a look-up that
//! finds nothing costs one line, and one that finds something that line and the slot's. The slot itself tells whether it
//! is the one: an entry is a hint, and one that is stale, or doubled, or another's, costs time and nothing else.
//!
//! In: tuples and slots of flows that are promoted, or no longer are. Out: entries, by one store each and without a
//! system call. Workers put entries in at the same time, each by an exchange; what a worker has put in, it alone takes out.
//! Not all buckets are in use at first, so that few flows are close to each other (`lane/grow.rs`).
//!
//! Limits: where a bucket is full, which is one in 300 when all slots are in use, the flow stays out of the lane.
//! [`MOST_SLOTS`] slots.

use super::{Memory, Notices, SlotId, hash::HashSecret};
use crate::{state::Tuple, wire::Family};
use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// The entries of a bucket, as `lane.h` has it.
pub(crate) const BUCKET_ENTRIES: usize = 16;
const NUMBER_BITS: u32 = 24;

/// The slots that an index can name.
pub const MOST_SLOTS: u32 = (1 << NUMBER_BITS) - 1;

/// `struct lane_bucket` of `lane.h`.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Bucket(pub(super) [AtomicU32; BUCKET_ENTRIES]);

/// See the module.
#[derive(Debug, Clone)]
pub struct Index {
    pub(super) buckets: Arc<Memory<Bucket>>,
    /// Where it is told how many of them are in use.
    pub(super) notices: Arc<Memory<Notices>>,
    pub(super) v6: bool,
    secret: HashSecret,
    /// How many keys workers have put in and not taken out.
    pub(super) used: Arc<AtomicU32>,
    /// Whether one found no room.
    pub(super) is_pressed: Arc<AtomicBool>,
}

/// Where the entries of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: usize,
    /// The one that is looked at first.
    first: usize,
    /// The bits of entries that are the key's own.
    pub(super) tag: u32,
}

/// What became of a slot that was to be in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    New,
    Old,
    Full,
}

impl Index {
    /// The buckets that an index of so many slots has: half full when all are in use.
    pub fn buckets(slots: u32) -> u32 {
        slots.div_ceil(BUCKET_ENTRIES as u32 / 2).next_power_of_two()
    }

    /// The index of a family in this memory, which is a power of two of buckets, as it is found there.
    pub(crate) fn new(
        buckets: Arc<Memory<Bucket>>,
        notices: Arc<Memory<Notices>>,
        v6: bool,
        secret: HashSecret,
    ) -> Self {
        debug_assert!(buckets.len().is_power_of_two());
        let index = Self { buckets, notices, v6, secret, used: Arc::default(), is_pressed: Arc::default() };
        index.used.store(index.len() as u32, Relaxed);
        index.start();
        index
    }

    /// One of our own, which no classifier sees, for so many slots: for tests and models.
    pub fn private(slots: u32) -> Self {
        let buckets = Memory::private(Self::buckets(slots) as usize);
        Self::new(Arc::new(buckets), Arc::new(Memory::private(1)), false, HashSecret::of(u64::from(slots)))
    }

    /// The last bucket in use.
    pub(super) fn last(&self) -> usize {
        self.notices[0].last_bucket(self.v6) as usize
    }

    /// The place of a key, where this is the last bucket in use.
    pub(super) fn place<F: Family>(&self, tuple: &Tuple<F>, last: usize) -> Place {
        let hash = self.secret.hash(tuple);
        Place {
            bucket: hash as usize & last & (self.buckets.len() - 1),
            first: (hash >> (NUMBER_BITS - 4)) as usize,
            tag: hash & !MOST_SLOTS,
        }
    }

    /// Whether there is room for a key with this tuple now. If not, it is noted that the index is to grow.
    pub fn has_room<F: Family>(&self, tuple: &Tuple<F>) -> bool {
        let has_room = self.buckets[self.place(tuple, self.last()).bucket].has(0);
        if !has_room {
            self.is_pressed.store(true, Relaxed);
        }
        has_room
    }

    /// Adds a slot of packets with this tuple; once, however often it is called. `false`: there is no room.
    #[must_use]
    pub fn insert<F: Family>(&self, tuple: &Tuple<F>, slot: SlotId) -> bool {
        match self.put(self.place(tuple, self.last()), slot) {
            Put::New => self.used.fetch_add(1, Relaxed),
            Put::Old => return true,
            Put::Full => return false,
        };
        true
    }

    /// Puts a slot in a free entry of a place, if none there names it.
    pub(super) fn put(&self, place: Place, slot: SlotId) -> Put {
        let (bucket, entry) = (&self.buckets[place.bucket], place.entry(slot));
        if bucket.has(entry) {
            return Put::Old;
        }
        let mut entries = (0..BUCKET_ENTRIES).map(|nth| bucket.entry(place.first, nth));
        match entries.any(|free| free.compare_exchange(0, entry, Release, Relaxed).is_ok()) {
            true => Put::New,
            false => Put::Full,
        }
    }

    /// Takes a slot out of the entries of this tuple, if it is there.
    pub fn remove<F: Family>(&self, tuple: &Tuple<F>, slot: SlotId) {
        let place = self.place(tuple, self.last());
        let is_out = self.buckets[place.bucket].take_out(place.entry(slot));
        self.used.fetch_sub(is_out.into(), Relaxed);
    }

    /// The slots that packets with this tuple may be of, in the order in which the classifier looks at them.
    pub fn named<F: Family>(&self, tuple: &Tuple<F>) -> impl Iterator<Item = SlotId> {
        let Place { bucket, first, tag } = self.place(tuple, self.last());
        (0..BUCKET_ENTRIES).filter_map(move |nth| {
            let number = (self.buckets[bucket].entry(first, nth).load(Acquire) ^ tag).wrapping_sub(1);
            (number < MOST_SLOTS).then_some(SlotId(number))
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        let count = |bucket: &Bucket| bucket.0.iter().filter(|entry| entry.load(Relaxed) != 0).count();
        self.buckets.iter().map(count).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Place {
    pub(super) fn entry(&self, slot: SlotId) -> u32 {
        (slot.0 + 1) | self.tag
    }
}

impl Bucket {
    fn entry(&self, first: usize, nth: usize) -> &AtomicU32 {
        &self.0[(first ^ nth) % BUCKET_ENTRIES]
    }

    pub(super) fn has(&self, entry: u32) -> bool {
        self.0.iter().any(|found| found.load(Relaxed) == entry)
    }

    /// Whether it was there, and is not any longer.
    pub(super) fn take_out(&self, entry: u32) -> bool {
        self.0.iter().any(|found| found.compare_exchange(entry, 0, Relaxed, Relaxed).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::Transport,
        wire::{V4, V6},
    };
    use std::collections::HashSet;

    fn tuple<F: Family>(number: u32, address: impl Fn(u32) -> F::Addr) -> Tuple<F> {
        Tuple {
            source: address(number >> 8),
            destination: address(u32::MAX),
            source_port: number as u16,
            destination_port: 443,
            transport: if number.is_multiple_of(2) { Transport::Tcp } else { Transport::Udp },
        }
    }

    fn v4(number: u32) -> Tuple<V4> {
        tuple(number, std::net::Ipv4Addr::from)
    }

    fn v6(number: u32) -> Tuple<V6> {
        tuple(number, |low| std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low)))
    }

    /// As `lane.h` has it.
    #[test]
    fn a_bucket_is_a_line() {
        assert_eq!((size_of::<Bucket>(), Index::buckets(2), Index::buckets(1 << 17)), (64, 1, 1 << 14));
    }

    fn nearly_all_find_room_and_are_found<F: Family>(tuple: impl Fn(u32) -> Tuple<F>) {
        const SLOTS: u32 = 1 << 16;
        let index = Index::private(SLOTS);
        index.set_in_use(index.buckets.len());
        let mut outside = HashSet::new();
        for number in 0..SLOTS {
            if !index.insert(&tuple(number), SlotId(number)) {
                outside.insert(number);
            }
        }
        assert!(outside.len() < SLOTS as usize / 300, "{} have no room", outside.len());
        let mut others = 0;
        for number in 0..SLOTS {
            let named: Vec<_> = index.named(&tuple(number)).collect();
            assert_ne!(named.contains(&SlotId(number)), outside.contains(&number));
            others += named.len();
            assert!(outside.contains(&number) || index.insert(&tuple(number), SlotId(number)));
        }
        assert_eq!(index.len(), SLOTS as usize - outside.len(), "none is in twice");
        // One in 256 of the seven others in a bucket.
        assert!(others < SLOTS as usize * 105 / 100, "{others}");
        for number in 0..SLOTS {
            index.remove(&tuple(number), SlotId(number ^ 1));
            assert_ne!(index.named(&tuple(number)).any(|slot| slot.0 == number), outside.contains(&number));
            index.remove(&tuple(number), SlotId(number));
            assert!(index.named(&tuple(number)).all(|slot| slot.0 != number));
        }
        assert!(index.is_empty());
    }

    #[test]
    fn nearly_all_find_room_and_are_found_in_both_families() {
        nearly_all_find_room_and_are_found(v4);
        nearly_all_find_room_and_are_found(v6);
    }

    #[test]
    fn workers_put_entries_into_the_same_buckets() {
        const EACH: u32 = 64;
        for round in 0..200 {
            let index = Index::private(8 * EACH);
            std::thread::scope(|scope| {
                for worker in 0..4 {
                    let index = &index;
                    scope.spawn(move || {
                        for number in (worker * EACH..).take(EACH as usize) {
                            assert!(index.insert(&v4(round + number), SlotId(number)));
                        }
                    });
                }
            });
            assert_eq!(index.len() as u32, 4 * EACH);
        }
    }
}
