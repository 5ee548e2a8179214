//! Source ports for masqueraded flows.
//!
//! A translation must be unique per (protocol, backend address and port, SNAT address and port), which is exactly
//! the flow's reply tuple: so whether a port is free is asked of the flow table, and no second book is kept, but for those
//! backends and SNAT addresses between which no port is left ([`UsedUp`]): it would take too long to try them all for each
//! new flow.
//!
//! The first candidate is a hash of the client's tuple, so that a peer that takes over the VIP and the SNAT address
//! rebuilds the same translation; the following ones are a large prime apart, which visits every (address, port)
//! once. A worker uses the ports of the range that name it (port mod workers), so replies tell their owner, whatever
//! is known of NICs. Where that is known, those of its candidates are preferred whose replies come to a queue of its
//! own: one in as many as there are workers (`path/steer.rs`). If of [`SnatPorts::preferred`] none will do, any will.

use super::Tuple;
use crate::wire::Family;
use hashbrown::HashSet;
use std::ops::RangeInclusive;

/// The ports one worker may use.
#[derive(Debug, Clone)]
pub struct SnatPorts {
    range: RangeInclusive<u16>,
    workers: u16,
    first: u16,
    count: u32,
}

/// Above any number of candidates, and prime: steps of it visit all of them.
const STRIDE: u64 = 2_147_483_647;

impl SnatPorts {
    /// The share of `worker` (of `workers`) in `range`.
    pub fn new(range: RangeInclusive<u16>, worker: u16, workers: u16) -> Self {
        let workers = workers.max(1);
        let (low, high) = (*range.start(), *range.end());
        let offset = (worker + workers - low % workers) % workers;
        let count = match low.checked_add(offset) {
            Some(first) if first <= high => u32::from((high - first) / workers) + 1,
            _ => 0,
        };
        Self { range, workers, first: low.saturating_add(offset), count }
    }

    /// The worker that uses `port`, if it is a SNAT port at all.
    #[inline]
    pub fn owner(&self, port: u16) -> Option<u16> {
        self.range.contains(&port).then_some(port % self.workers)
    }

    /// How many candidates to look at for one that is better than others, as one in so many as there are workers is:
    /// enough to miss it once in ten million times.
    #[inline]
    pub fn preferred(&self) -> usize {
        16 * usize::from(self.workers)
    }

    /// How many ports this worker has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// All (index of an address, port) pairs of `addresses` addresses, in the order in which `hash` tries them.
    #[inline]
    pub fn candidates(&self, addresses: usize, hash: u64) -> impl Iterator<Item = (usize, u16)> {
        let (count, workers, first) = (u64::from(self.count), self.workers, self.first);
        let all = addresses as u64 * count;
        let mut at = if all == 0 { 0 } else { hash % all };
        // Nearly always the first will do: what it takes to find the second is not done before.
        (0..all).map(move |number| {
            if number > 0 {
                at = (at + STRIDE) % all;
            }
            ((at / count) as usize, first + (at % count) as u16 * workers)
        })
    }
}

/// Pairs of a backend and a SNAT address of which every port of the range is a flow's. What opens and ends flows tells when
/// this begins and ends.
#[derive(Debug)]
pub struct UsedUp<F: Family> {
    pairs: HashSet<Tuple<F>>,
}

/// Pairs that are noted at the most: memory is taken once, not per packet. Of others all ports are tried.
const MOST_PAIRS: usize = 1 << 12;

impl<F: Family> UsedUp<F> {
    /// None, in a table of this many flows.
    pub fn with_capacity(flows: usize) -> Self {
        // Twice the room: a set at most half full clears its tombstones in place and never grows.
        Self { pairs: HashSet::with_capacity(2 * flows.min(MOST_PAIRS)) }
    }

    /// The pair of these answers.
    fn pair(reply: &Tuple<F>) -> Tuple<F> {
        Tuple { destination_port: 0, ..*reply }
    }

    /// Whether the pair of such answers is noted.
    pub fn have(&self, reply: &Tuple<F>) -> bool {
        self.pairs.contains(&Self::pair(reply))
    }

    /// Every port of the pair of such answers is a flow's.
    pub fn note(&mut self, reply: &Tuple<F>) {
        if self.pairs.len() < MOST_PAIRS {
            self.pairs.insert(Self::pair(reply));
        }
    }

    /// A flow with these answers has ended.
    #[inline]
    pub fn flow_ended(&mut self, reply: &Tuple<F>) {
        if !self.pairs.is_empty() {
            self.pairs.remove(&Self::pair(reply));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_workers_share_the_range_without_overlap() {
        for workers in 1..=5 {
            let mut all = HashSet::new();
            for worker in 0..workers {
                let ports = SnatPorts::new(61000..=61100, worker, workers);
                let mine: HashSet<u16> = ports.candidates(1, 99).map(|(_, port)| port).collect();
                assert_eq!(mine.len() as u32, ports.count());
                assert!(mine.iter().all(|port| ports.owner(*port) == Some(worker)));
                assert!(mine.iter().all(|port| all.insert(*port)), "worker {worker} of {workers}");
            }
            assert_eq!(all.len(), 101);
        }
    }

    #[test]
    fn candidates_visit_every_address_and_port_once() {
        let ports = SnatPorts::new(1024..=65535, 0, 1);
        let tried: Vec<_> = ports.candidates(3, u64::MAX).collect();
        assert_eq!(tried.len(), 3 * 64512);
        assert_eq!(tried.iter().collect::<HashSet<_>>().len(), tried.len());
        assert_eq!(tried, ports.candidates(3, u64::MAX).collect::<Vec<_>>(), "the order is the hash's alone");
    }

    #[test]
    fn a_range_smaller_than_the_workers_leaves_some_without_ports() {
        let counts: Vec<_> = (0..4).map(|worker| SnatPorts::new(65534..=65535, worker, 4).count()).collect();
        assert_eq!(counts, [0, 0, 1, 1]);
        assert_eq!(SnatPorts::new(65534..=65535, 0, 4).candidates(2, 5).count(), 0);
        assert_eq!(SnatPorts::new(61000..=65535, 0, 2).owner(60999), None);
    }
}
