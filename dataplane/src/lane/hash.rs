//! The hash by which both the classifier and the workers find a tuple's place in the index: NH of UMAC
//! (RFC 4418 §5.2), two words a multiplication and none waiting for another; then its upper half is folded into the lower,
//! and multiplied, which spreads what came out. Without the fold, addresses one behind the other come out as a
//! progression, and for one secret in six fall into some buckets more than others.
//!
//! Its keys are a secret: who cannot learn them cannot choose tuples that fall into one bucket. `lane.bpf.h` has the same.

use crate::{state::Tuple, wire::Family};
use std::hash::{BuildHasher, RandomState};

/// Ports and protocol, and the addresses of the longer family.
pub(crate) const HASHED_WORDS: usize = 10;

/// What the hash is keyed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashSecret {
    /// What is added to the words.
    pub(crate) keys: [u32; HASHED_WORDS],
    /// Odd.
    pub(crate) multiplier: u64,
}

impl HashSecret {
    /// One that nobody knows: a seed for [`of`](Self::of).
    pub(crate) fn new_seed() -> u64 {
        RandomState::new().hash_one(HASHED_WORDS)
    }

    /// The one that comes of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut state = seed;
        let keys = [(); HASHED_WORDS].map(|()| (split_mix(&mut state) >> 32) as u32);
        Self { keys, multiplier: split_mix(&mut state) | 1 }
    }

    /// The hash of a tuple.
    pub(crate) fn hash<F: Family>(&self, tuple: &Tuple<F>) -> u32 {
        let [[a, b], [c, d]] = [tuple.source_port, tuple.destination_port].map(u16::to_be_bytes);
        let ports = u32::from_ne_bytes([a, b, c, d]);
        let first = self.two(ports, u32::from(tuple.transport.protocol().0), 0);
        let (source, destination) = (F::octets(&tuple.source), F::octets(&tuple.destination));
        let mut words = source.as_ref().chunks_exact(4).chain(destination.as_ref().chunks_exact(4)).map(word);
        let mut sum = first;
        let mut key = 2;
        while let (Some(one), Some(other)) = (words.next(), words.next()) {
            sum = sum.wrapping_add(self.two(one, other, key));
            key += 2;
        }
        ((sum ^ (sum >> 32)).wrapping_mul(self.multiplier) >> 32) as u32
    }

    fn two(&self, one: u32, other: u32, key: usize) -> u64 {
        u64::from(one.wrapping_add(self.keys[key])) * u64::from(other.wrapping_add(self.keys[key + 1]))
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{table::Transport, wire::V4};

    /// Of tuples as they come, as few are too many for their bucket as of numbers thrown at random.
    fn fall_far_from_each_other(tuple: impl Fn(u32) -> Tuple<V4>) {
        const BUCKETS: usize = 4096;
        const KEYS: u32 = 6 * BUCKETS as u32;
        for seed in 1..=12 {
            let secret = HashSecret::of(seed);
            let mut counts = vec![0u32; BUCKETS];
            for number in 0..KEYS {
                counts[secret.hash(&tuple(number)) as usize % BUCKETS] += 1;
            }
            let outside: u32 = counts.iter().map(|count| count.saturating_sub(16)).sum();
            assert!(outside < KEYS / 1000, "{outside} of {KEYS} by seed {seed}");
        }
    }

    fn tuple(addresses: [u32; 2], ports: [u16; 2]) -> Tuple<V4> {
        Tuple {
            source: addresses[0].into(),
            destination: addresses[1].into(),
            source_port: ports[0],
            destination_port: ports[1],
            transport: Transport::Tcp,
        }
    }

    #[test]
    fn tuples_that_are_alike_fall_far_from_each_other() {
        fall_far_from_each_other(|number| tuple([number >> 1, number & 1], [5, 443]));
        fall_far_from_each_other(|number| {
            tuple([0x0a00_0000 + (number >> 14), 7], [number as u16 & 0x3fff, 443])
        });
        fall_far_from_each_other(|number| {
            tuple([0x0a02_0001 + number % 4, 9], [8080, 1024 + (number / 4) as u16])
        });
        fall_far_from_each_other(|number| tuple([9, number << 8], [8080, 1024]));
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(HashSecret::of(1), HashSecret::of(2));
        assert_ne!(HashSecret::new_seed(), HashSecret::new_seed());
    }
}
