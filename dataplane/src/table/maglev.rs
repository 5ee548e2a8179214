//! Maglev rings: consistent hashing by permutation.
//!
//! In: the backends of one endpoint list. Out: a table of prime size whose slots name backends, near evenly (with a
//! hundred slots a backend the fullest and the emptiest differ by about one per cent), and most of whose slots stay
//! as they are when a backend comes or goes. Picking is one modulo and one load. Building is O(M log M) on
//! average and needs 2N + √M words beside the result, never N×M.
//!
//! Deterministic: backends are sorted by address and their permutations hashed from (address, port), so every
//! gateway builds the same ring. The size follows from the number of backends alone; where that crosses a step,
//! most slots move, which established flows do not see. Source: Eisenbud et al., "Maglev", NSDI 2016, §3.4.

use super::{
    Backend,
    hash::{stable_hash, words},
    slots::Slots,
};
use crate::wire::Family;
use std::sync::Arc;

/// Ring sizes: primes about two apart. The paper's own sizes, 65537 and 655373, are the last two.
const SIZES: [u32; 12] = [127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65537, 131_071, 655_373];
/// Slots a backend should have at the least, for an imbalance of about one per cent (the paper's figure).
const SLOTS_PER_BACKEND: usize = 100;
/// A slot that no backend has taken yet.
const EMPTY: u16 = u16::MAX;
/// The most backends a ring can name.
const MAX_BACKENDS: usize = EMPTY as usize;

/// The size of the ring for `backends` backends: the smallest prime of the list with at least a hundred slots
/// for each, or the largest.
pub fn ring_size(backends: usize) -> u32 {
    let wanted = backends.saturating_mul(SLOTS_PER_BACKEND);
    SIZES.into_iter().find(|size| *size as usize >= wanted).unwrap_or(SIZES[SIZES.len() - 1])
}

/// A Maglev ring and the backends its slots name. Never empty. A copy is cheap, and shares both.
///
/// It lies in what has it, a Service, so that a new flow goes from there to its slot and on to its backend, and over nothing
/// else: of many Services each step is a line of memory that is in no cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring<F: Family> {
    backends: Arc<[Backend<F>]>,
    slots: Slots,
}

impl<F: Family> Ring<F> {
    /// Builds the ring of these backends, of the size [`ring_size`] says. `None` without backends. Equal
    /// (address, port) pairs count once; beyond 65,535 the highest addresses are left out.
    pub fn build(backends: Vec<Backend<F>>) -> Option<Self> {
        let size = ring_size(backends.len());
        Self::with_size(backends, size)
    }

    /// Builds a ring with a size of one's own, which must be a prime above the number of backends.
    pub fn with_size(mut backends: Vec<Backend<F>>, size: u32) -> Option<Self> {
        backends.sort_by_key(|backend| (backend.addr, backend.port));
        backends.dedup_by_key(|backend| (backend.addr, backend.port));
        backends.truncate(MAX_BACKENDS.min(size as usize));
        if backends.is_empty() {
            return None;
        }
        let slots = Slots::pack(&populate(&backends, size), backends.len());
        Some(Self { backends: backends.into(), slots })
    }

    /// The backend of the slot that `hash` falls into.
    #[inline]
    pub fn pick(&self, hash: u64) -> &Backend<F> {
        self.at(self.slot(hash))
    }

    /// The backend of a slot. A slot beyond the ring is some other one.
    #[inline]
    pub fn at(&self, slot: usize) -> &Backend<F> {
        &self.backends[self.slots.get(slot)]
    }

    /// The slot that `hash` falls into.
    #[inline]
    pub fn slot(&self, hash: u64) -> usize {
        // The high half times the size, halved again: uniform like a modulo, without the division.
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    /// Asks for a slot.
    #[inline]
    pub(crate) fn prefetch_slot(&self, slot: usize) {
        self.slots.prefetch(slot);
    }

    /// Whether both are the same ring, which costs no look inside.
    pub fn is_same(&self, other: &Self) -> bool {
        self.slots.is_same(&other.slots)
    }

    /// Its backends, in order of address and port.
    pub fn backends(&self) -> &[Backend<F>] {
        &self.backends
    }

    /// The backend at this address and port, if the ring has it.
    #[inline]
    pub fn find(&self, addr: F::Addr, port: u16) -> Option<&Backend<F>> {
        let found = self.backends.binary_search_by_key(&(addr, port), |backend| (backend.addr, backend.port));
        found.ok().map(|at| &self.backends[at])
    }

    /// How many slots it has.
    pub fn size(&self) -> usize {
        self.slots.len()
    }

    /// For each slot, the index of its backend.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = usize> {
        self.slots.iter()
    }
}

/// One backend's walk over the slots: offset, offset + skip, … modulo the size, which visits each slot once.
#[derive(Clone, Copy)]
struct Walk {
    next: u32,
    skip: u32,
}

/// The backends take turns, each taking the next free slot on its walk.
///
/// The last slots would cost most: of the M ln M steps half are spent on the last √M slots, where a walk has to go far for
/// a free one. There the free slots are known and few, and how far each of them is on a walk is a multiplication.
fn populate<F: Family>(backends: &[Backend<F>], size: u32) -> Vec<u16> {
    let mut walks: Vec<Walk> = backends.iter().map(|backend| walk(backend, size)).collect();
    let mut slots = vec![EMPTY; size as usize];
    let mut turn = 0;
    for _ in size.isqrt()..size {
        let Walk { mut next, skip } = walks[turn];
        while slots[next as usize] != EMPTY {
            next = Walk { next, skip }.after(size);
        }
        slots[next as usize] = turn as u16;
        walks[turn].next = Walk { next, skip }.after(size);
        turn = if turn + 1 < walks.len() { turn + 1 } else { 0 };
    }
    let is_free = |slot: &u64| slots[*slot as usize] == EMPTY;
    let mut free: Vec<u64> = (0..u64::from(size)).filter(is_free).collect();
    while let Some(nearest) = walks[turn].nearest(&free, size) {
        let next = free.swap_remove(nearest) as u32;
        slots[next as usize] = turn as u16;
        walks[turn].next = Walk { next, ..walks[turn] }.after(size);
        turn = if turn + 1 < walks.len() { turn + 1 } else { 0 };
    }
    slots
}

fn walk<F: Family>(backend: &Backend<F>, size: u32) -> Walk {
    let (a, b) = words::<F>(backend.addr);
    let port = u64::from(backend.port) << 32;
    let modulo = |hash: u64, size: u32| (((hash >> 32) * u64::from(size)) >> 32) as u32;
    Walk {
        next: modulo(stable_hash(0x44 | port, a, b), size),
        skip: modulo(stable_hash(0x55 | port, a, b), size - 1) + 1,
    }
}

impl Walk {
    /// The slot after the next one.
    #[inline]
    fn after(self, size: u32) -> u32 {
        let next = self.next + self.skip;
        if next >= size { next - size } else { next }
    }

    /// Which of these slots the walk comes to first.
    fn nearest(self, slots: &[u64], size: u32) -> Option<usize> {
        // The walk comes to a slot after (slot - next) / skip steps, modulo the size, which is prime. The division is a
        // multiplication by the inverse; the remainder is left as a fraction of the size, in 64 bits, which puts the slots in the
        // same order: two fractions differ by 1/size or more, and are wrong by less than 2 × size / 2⁶⁴.
        let fraction = (u128::from(inverse(self.skip, size)) << 64).div_ceil(size.into()) as u64;
        let back = u64::from(size - self.next);
        let steps = |slot: &u64| (slot + back).wrapping_mul(fraction);
        let least = slots.iter().map(steps).min()?;
        slots.iter().position(|slot| steps(slot) == least)
    }
}

/// The number that makes 1 of `number` modulo the prime `size`, by Euclid's algorithm.
fn inverse(number: u32, size: u32) -> u32 {
    let (size, mut old, mut new) = (i64::from(size), (i64::from(size), 0), (i64::from(number), 1));
    while new.0 != 0 {
        let quotient = old.0 / new.0;
        (old, new) = (new, (old.0 - quotient * new.0, old.1 - quotient * new.1));
    }
    old.1.rem_euclid(size) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::{BackendId, NextHopId},
        wire::V4,
    };
    use std::net::Ipv4Addr;

    fn backends(count: u32) -> Vec<Backend<V4>> {
        (0..count)
            .map(|i| Backend {
                id: BackendId(i),
                addr: Ipv4Addr::from(0x0a01_0000 + i * 7),
                port: 8080,
                next_hop: NextHopId(i),
            })
            .collect()
    }

    fn shares(ring: &Ring<V4>) -> Vec<usize> {
        let mut shares = vec![0; ring.backends().len()];
        ring.slots().for_each(|slot| shares[slot] += 1);
        shares
    }

    #[test]
    fn sizes_are_prime_and_grow() {
        for size in SIZES {
            assert!((2..size).take_while(|d| d * d <= size).all(|d| size % d != 0), "{size} is not prime");
        }
        assert!(SIZES.is_sorted());
        assert_eq!(ring_size(1), 127);
        assert_eq!(ring_size(100), 16381);
        assert_eq!(ring_size(655), 65537);
        assert_eq!(ring_size(1_000_000), 655_373);
    }

    /// The paper's population gives every backend within one turn of every other: shares differ by at most one.
    #[test]
    fn every_backend_has_its_even_share() {
        for count in [1, 2, 3, 10, 99, 640] {
            let shares = shares(&Ring::build(backends(count)).unwrap());
            let (min, max) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(max - min <= 1, "{count} backends: shares from {min} to {max}");
        }
    }

    /// The paper's figure 12: with M = 65537 and 1,000 backends, 1 per cent gone costs few changes beyond the
    /// slots of the gone ones. We ask for less than 2.5 per cent of all slots in all.
    #[test]
    fn losing_backends_disturbs_little_else() {
        let all = backends(1000);
        let before = Ring::with_size(all.clone(), 65537).unwrap();
        let kept: Vec<_> = all.into_iter().filter(|b| b.id.0 % 100 != 50).collect();
        let after = Ring::with_size(kept, 65537).unwrap();
        let moved = (0..65537)
            .filter(|slot| {
                let (was, is) = (before.at(*slot), after.at(*slot));
                was.id.0 % 100 != 50 && was.id != is.id
            })
            .count();
        assert!(moved * 1000 < 65537 * 25, "{moved} slots of surviving backends moved");
    }

    #[test]
    fn order_and_repetition_of_the_backends_do_not_matter() {
        let ring = Ring::build(backends(30)).unwrap();
        let mut shuffled = backends(30);
        shuffled.reverse();
        shuffled.rotate_left(11);
        assert_eq!(Ring::build(shuffled.clone()).unwrap(), ring);
        shuffled.extend(backends(5));
        assert_eq!(Ring::with_size(shuffled, ring.size() as u32).unwrap(), ring);
    }

    /// The paper's population, word for word.
    fn by_the_paper(backends: &[Backend<V4>], size: u32) -> Vec<usize> {
        let mut walks: Vec<Walk> = backends.iter().map(|backend| walk(backend, size)).collect();
        let mut slots = vec![None; size as usize];
        for taken in 0..size as usize {
            let index = taken % walks.len();
            while slots[walks[index].next as usize].is_some() {
                walks[index].next = walks[index].after(size);
            }
            slots[walks[index].next as usize] = Some(index);
        }
        slots.into_iter().flatten().collect()
    }

    #[test]
    fn the_rings_are_those_of_the_paper() {
        for (count, size) in
            [(1, 2), (1, 127), (2, 3), (3, 127), (127, 127), (100, 16381), (1000, 65537), (7, 655_373)]
        {
            let backends = backends(count);
            let ring = Ring::with_size(backends.clone(), size).unwrap();
            assert!(ring.slots().eq(by_the_paper(&backends, size)), "{count} backends, {size} slots");
        }
    }

    #[test]
    fn no_backends_no_ring() {
        assert_eq!(Ring::<V4>::build(Vec::new()), None);
    }

    /// Every hash lands on a slot, and the slots are hit evenly.
    #[test]
    fn picks_spread_over_the_slots() {
        let ring = Ring::build(backends(3)).unwrap();
        let mut hits = [0u32; 3];
        for i in 0..30_000u64 {
            hits[ring.pick(stable_hash(1, i, 0)).id.0 as usize] += 1;
        }
        // Chi-square with two degrees of freedom; 13.8 is the 0.1 % point.
        let chi: f64 = hits.iter().map(|h| (f64::from(*h) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 13.8, "{hits:?}: chi-square {chi}");
        ring.pick(u64::MAX);
        ring.pick(0);
    }
}
