//! The hash by which both the classifier and the workers find a tuple's place in the index: NH of UMAC
//! (RFC 4418 §5.2), two words a multiplication and none waiting for another, and a last multiplication that spreads
//! what came out.
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
        (sum.wrapping_mul(self.multiplier) >> 32) as u32
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

    /// Tuples as they come: one address, ports one behind the other.
    #[test]
    fn tuples_that_are_alike_fall_far_from_each_other() {
        let secret = HashSecret::of(7);
        let mut counts = vec![0u32; 4096];
        for number in 0..65_536u32 {
            let tuple = Tuple::<V4> {
                source: std::net::Ipv4Addr::from(0x0a00_0000 + (number >> 12)),
                destination: std::net::Ipv4Addr::new(203, 0, 113, 1),
                source_port: (number & 0xfff) as u16 + 1024,
                destination_port: 80,
                transport: Transport::Tcp,
            };
            let hash = secret.hash(&tuple);
            counts[(hash & 0xfff) as usize] += 1;
        }
        // 16 each on average; of a random throw, more than 45 is one in 10⁸.
        assert!(counts.iter().all(|count| *count < 45), "{:?}", counts.iter().max());
        assert!(counts.iter().filter(|count| **count == 0).count() < 10);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(HashSecret::of(1), HashSecret::of(2));
        assert_ne!(HashSecret::new_seed(), HashSecret::new_seed());
    }
}
