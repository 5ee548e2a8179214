//! Which neighbours to ask for, and when: pure, the clock comes from outside.
//!
//! A next hop is asked for as soon as a target needs it, with the request that the kernel keep it fresh
//! (`NTF_EXT_MANAGED`, Linux 5.16: it then probes the neighbour by itself every
//! `net.ipv4.neigh.*.interval_probe_time_ms`, 5 s). Older kernels ignore that part: there, what has gone stale is
//! asked for again every 15 s. What is not resolved is asked for every second, so many at a time.
//! What no target needs any more is released.
//!
//! Neighbours set by hand are left alone: asking for them would make them lose their permanence.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::facts::{NeighbourKey, NeighbourState};
use super::state::State;

const RETRY_UNRESOLVED: Duration = Duration::from_secs(1);
const REFRESH_STALE: Duration = Duration::from_secs(15);
/// The most repeated asks in one round: a rack that is gone must not become a storm of ARP.
const MOST_REPEATS: usize = 256;

/// What was asked.
#[derive(Debug, Default)]
pub(super) struct Asks {
    asked: HashMap<NeighbourKey, Asked>,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    refused: Option<String>,
}

/// One question to put to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) key: NeighbourKey,
    /// It must not exist yet: an entry set by hand in this moment is not to be touched.
    pub(super) create: bool,
}

impl Asks {
    /// The kernel's error, if it refused the last question.
    pub(super) fn refusal(&self, key: NeighbourKey) -> Option<&str> {
        self.asked.get(&key)?.refused.as_deref()
    }
}

impl State {
    /// The questions that are due at `now`. They count as asked.
    pub(super) fn due_asks(&mut self, now: Instant) -> Vec<Ask> {
        let mut due = Vec::new();
        let mut repeats = Vec::new();
        for key in self.next_hops() {
            let neighbour = self.neighbours.get(&key);
            let ask = Ask { key, create: neighbour.is_none() };
            let last = self.asks.asked.get(&key).map(|asked| asked.at);
            let every = match neighbour.map(|neighbour| (neighbour.state, neighbour.managed)) {
                Some((NeighbourState::Fixed, _)) => continue,
                None | Some((NeighbourState::Incomplete | NeighbourState::Failed, _)) => RETRY_UNRESOLVED,
                Some((NeighbourState::Stale, false)) => REFRESH_STALE,
                Some((NeighbourState::Stale, true) | (NeighbourState::Valid, _)) => Duration::MAX,
            };
            match last {
                None => due.push(ask),
                Some(at) if now.saturating_duration_since(at) >= every => repeats.push((at, ask)),
                Some(_) => {}
            }
        }
        // The longest waiting first, so that all have their turn.
        repeats.sort_by_key(|&(at, _)| at);
        due.extend(repeats.into_iter().take(MOST_REPEATS).map(|(_, ask)| ask));
        for ask in &due {
            let refused = self.asks.asked.remove(&ask.key).and_then(|asked| asked.refused);
            self.asks.asked.insert(ask.key, Asked { at: now, refused });
        }
        due
    }

    /// Takes in the outcome of a question.
    pub(super) fn asked(&mut self, key: NeighbourKey, outcome: Result<(), String>) {
        if let Some(asked) = self.asks.asked.get_mut(&key) {
            let refused = outcome.err();
            if asked.refused != refused {
                asked.refused = refused;
                self.touch(key);
            }
        }
    }

    /// Takes the neighbours that were asked for, are still being kept fresh, and are needed no more.
    pub(super) fn take_released(&mut self) -> Vec<NeighbourKey> {
        let needed = self.next_hops();
        self.silent.retain(|key| needed.contains(key));
        let unneeded: Vec<_> = self.asks.asked.extract_if(|key, _| !needed.contains(key)).collect();
        let managed =
            |key: &NeighbourKey| self.neighbours.get(key).is_some_and(|neighbour| neighbour.managed);
        unneeded.into_iter().map(|(key, _)| key).filter(managed).collect()
    }
}

#[cfg(test)]
#[path = "asks_tests.rs"]
mod tests;
