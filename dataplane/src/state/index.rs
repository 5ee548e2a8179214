//! The hash index of a flow table: from a tuple's hash to the flows it may name.
//!
//! Buckets are one cache line: ten 16-bit tags, compared together, and ten 32-bit entries. A full bucket spills
//! into the next ones and counts how many keys did so, which ends a search early and needs no tombstones (the scheme
//! of F14). Two-phase use: [`Index::prefetch`] the bucket of a whole batch, then [`Index::likely`].
//!
//! Memory: 64 bytes for 6.5 entries at full load, when one key in 60 is not in its own bucket; every flow has two
//! entries. Sized once, never grows.

use super::Direction;
use crate::{pages::Table, prefetch::prefetch_at};

const SLOTS: usize = 10;
/// Slots made per hundred entries that may come: a load of at most 65 %.
const SLOTS_PER_HUNDRED: usize = 154;
const FREE: u16 = 0;

/// A flow's number and one of its directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry(u32);

impl Entry {
    /// The entry of the first flow, for places that have none yet.
    pub const NONE: Self = Self(0);
    /// Flows that an index can name.
    pub const MAX_FLOWS: usize = 1 << 31;

    /// The entry of this direction of this flow.
    #[inline]
    pub fn new(flow: u32, direction: Direction) -> Self {
        Self(flow << 1 | direction as u32)
    }

    /// The flow.
    #[inline]
    pub fn flow(self) -> u32 {
        self.0 >> 1
    }

    /// The direction.
    #[inline]
    pub fn direction(self) -> Direction {
        if self.0 & 1 == 0 { Direction::Forward } else { Direction::Reply }
    }
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; SLOTS],
    entries: [u32; SLOTS],
    /// Keys that belong here or before and were put further on. Sticks at the maximum.
    spilled: u16,
}

impl Bucket {
    const EMPTY: Self = Self { tags: [FREE; SLOTS], entries: [0; SLOTS], spilled: 0 };

    /// A bit for each slot with this tag.
    #[inline]
    fn matching(&self, tag: u16) -> u16 {
        #[cfg(target_arch = "x86_64")]
        return simd::matching(self, tag);
        #[cfg(not(target_arch = "x86_64"))]
        plain::matching(&self.tags, tag)
    }
}

/// The search without SIMD: what the other must agree with, and what runs where there is none.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::SLOTS;

    pub(super) fn matching(tags: &[u16; SLOTS], tag: u16) -> u16 {
        (0..SLOTS).filter(|slot| tags[*slot] == tag).fold(0, |mask, slot| mask | 1 << slot)
    }
}

/// All tags in two compares, of which the second reaches into the entries and is masked. SSE2 is part of x86_64, so
/// nothing has to be asked. Left to itself the compiler makes twenty instructions more of the plain form.
#[cfg(target_arch = "x86_64")]
mod simd {
    use super::{Bucket, SLOTS};
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi16, _mm_load_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
    };

    #[inline(always)]
    #[expect(unsafe_code, reason = "SIMD reads memory by pointer")]
    pub(super) fn matching(bucket: &Bucket, tag: u16) -> u16 {
        const { assert!(size_of::<Bucket>() >= 2 * size_of::<__m128i>()) }
        let start = std::ptr::from_ref(bucket).cast::<__m128i>();
        // SAFETY: a bucket is aligned and longer than the 32 bytes read, which hold the tags and, all of them
        // initialised, some of the entries behind them (`repr(C)`). SSE2 is always there.
        let mask = unsafe {
            let tag = _mm_set1_epi16(tag.cast_signed());
            let first = _mm_cmpeq_epi16(_mm_load_si128(start), tag);
            let second = _mm_cmpeq_epi16(_mm_load_si128(start.add(1)), tag);
            _mm_movemask_epi8(_mm_packs_epi16(first, second))
        };
        mask as u16 & ((1 << SLOTS) - 1)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Table<Bucket>,
}

impl Index {
    /// An index for `entries` entries.
    pub(super) fn new(entries: usize) -> Self {
        let buckets = (entries * SLOTS_PER_HUNDRED / 100).div_ceil(SLOTS).max(2);
        Self { buckets: Table::filled(Bucket::EMPTY, buckets) }
    }

    /// The bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// The high half of the hash, scaled.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    /// The low bits of the hash; never [`FREE`].
    #[inline]
    fn tag(hash: u64) -> u16 {
        hash as u16 | 1
    }

    #[inline]
    fn next(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }

    /// Brings the home bucket of `hash` into the cache. Its number.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) -> u32 {
        let home = self.home(hash);
        prefetch_at(&self.buckets, home);
        home as u32
    }

    /// The first entry with the right tag: nearly always the one, good enough to prefetch. Where there is none it is that of
    /// the first place, which is as good as any.
    #[inline]
    pub(super) fn likely(&self, home: u32, hash: u64) -> Entry {
        let bucket = &self.buckets[home as usize];
        match bucket.matching(Self::tag(hash)) {
            0 if bucket.spilled == 0 => Entry::NONE,
            0 => self.likely_spilled(hash),
            mask => Entry(bucket.entries[mask.trailing_zeros() as usize]),
        }
    }

    /// The same for a key that is not in its own bucket, if it is in any. What waits for it here would wait longer for the
    /// flow, if that were found only when the packet's turn has come.
    #[cold]
    #[inline(never)]
    fn likely_spilled(&self, hash: u64) -> Entry {
        self.find(hash, |_| true).unwrap_or_default()
    }

    /// The first entry with the tag of `hash` for which `is_it` says so.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(Entry) -> bool) -> Option<Entry> {
        let tag = Self::tag(hash);
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut mask = bucket.matching(tag);
            while mask != 0 {
                let entry = Entry(bucket.entries[mask.trailing_zeros() as usize]);
                if is_it(entry) {
                    return Some(entry);
                }
                mask &= mask - 1;
            }
            if bucket.spilled == 0 {
                return None;
            }
            at = self.next(at);
        }
        None
    }

    /// Adds an entry, which the caller knows is not there yet. `false`: no room.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry) -> bool {
        let home = self.home(hash);
        let mut at = home;
        for distance in 0..self.buckets.len() {
            let free = self.buckets[at].matching(FREE);
            if free != 0 {
                let slot = free.trailing_zeros() as usize;
                self.buckets[at].tags[slot] = Self::tag(hash);
                self.buckets[at].entries[slot] = entry.0;
                self.count_spill(home, distance, |spilled| spilled.saturating_add(1));
                return true;
            }
            at = self.next(at);
        }
        false
    }

    /// Removes an entry. `false`: it was not there.
    pub(super) fn remove(&mut self, hash: u64, entry: Entry) -> bool {
        let tag = Self::tag(hash);
        let home = self.home(hash);
        let mut at = home;
        for distance in 0..self.buckets.len() {
            let bucket = &mut self.buckets[at];
            let slot = (0..SLOTS).find(|slot| bucket.tags[*slot] == tag && bucket.entries[*slot] == entry.0);
            if let Some(slot) = slot {
                bucket.tags[slot] = FREE;
                // A count that once reached the maximum is no longer exact, and stays.
                let less = |spilled: u16| if spilled == u16::MAX { spilled } else { spilled - 1 };
                self.count_spill(home, distance, less);
                return true;
            }
            if bucket.spilled == 0 {
                return false;
            }
            at = self.next(at);
        }
        false
    }

    fn count_spill(&mut self, home: usize, distance: usize, change: impl Fn(u16) -> u16) {
        let mut at = home;
        for _ in 0..distance {
            self.buckets[at].spilled = change(self.buckets[at].spilled);
            at = self.next(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
    }

    #[test]
    fn keys_of_one_hash_spill_over_and_come_back_out() {
        let mut index = Index::new(100);
        let hash = 0xffff_ffff_1234_0007;
        for flow in 0..60 {
            assert!(index.insert(hash, Entry::new(flow, Direction::Reply)));
        }
        for flow in 0..60 {
            assert!(index.find(hash, |entry| entry.flow() == flow).is_some());
        }
        for flow in (0..60).rev() {
            assert!(index.remove(hash, Entry::new(flow, Direction::Reply)));
            assert!(index.find(hash, |entry| entry.flow() == flow).is_none());
        }
        assert!(index.buckets.iter().all(|b| b.spilled == 0 && b.tags == [FREE; SLOTS]));
    }

    #[test]
    fn a_full_index_says_so() {
        let mut index = Index::new(1);
        let room = index.buckets.len() * SLOTS;
        for flow in 0..room as u32 {
            assert!(index.insert(u64::from(flow) << 40, Entry::new(flow, Direction::Forward)));
        }
        assert!(!index.insert(7, Entry::new(99, Direction::Forward)));
        assert!(index.find(7, |_| false).is_none());
        assert!(!index.remove(7, Entry::new(99, Direction::Forward)));
    }

    #[test]
    fn simd_agrees_with_the_plain_search() {
        let mut bucket = Bucket::EMPTY;
        for step in 0..10_000u32 {
            bucket.tags[step as usize % SLOTS] = (step.wrapping_mul(2_654_435_761) >> 20) as u16 & 0x8003;
            for tag in [0, 1, 2, 3, 0x8000, 0x8001, 0x8002, 0x8003, 0xffff] {
                assert_eq!(bucket.matching(tag), plain::matching(&bucket.tags, tag));
            }
        }
    }
}
