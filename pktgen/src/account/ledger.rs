//! What became of every datagram.

use serde::Serialize;

use super::{Stamp, StampError};

/// One flow's arrivals: a bit for each number.
#[derive(Debug, Clone, Default)]
struct Flow {
    seen: Vec<u64>,
    /// One above the highest number seen.
    end: u64,
}

/// The account of all flows, by the receiver.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    flows: Vec<Flow>,
    arrived: u64,
    duplicated: u64,
    reordered: u64,
    corrupt: u64,
    foreign: u64,
}

/// An account, closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Datagrams sent.
    pub sent: u64,
    /// Those of them that arrived, each counted once.
    pub arrived: u64,
    /// Those that did not.
    pub lost: u64,
    /// Arrivals of what had arrived before.
    pub duplicated: u64,
    /// Arrivals after one with a higher number of the same flow.
    pub reordered: u64,
    /// Arrivals that had been changed.
    pub corrupt: u64,
    /// Stamped with a flow or number that was never sent.
    pub foreign: u64,
}

impl Ledger {
    /// An account of flows `0..flows`, of at most `limit` datagrams each.
    pub fn new(flows: u32, limit: u64) -> Ledger {
        let words = usize::try_from(limit.div_ceil(64)).unwrap_or(usize::MAX);
        Ledger { flows: vec![Flow { seen: vec![0; words], end: 0 }; flows as usize], ..Ledger::default() }
    }

    /// Enters an arrival.
    pub fn enter(&mut self, arrival: Result<Stamp, StampError>) {
        let stamp = match arrival {
            Ok(stamp) => stamp,
            Err(StampError::Corrupt) => return self.corrupt += 1,
            Err(StampError::Foreign) => return,
        };
        let word = usize::try_from(stamp.number / 64).unwrap_or(usize::MAX);
        let flow = self.flows.get_mut(stamp.flow as usize);
        let Some((flow, seen)) =
            flow.and_then(|Flow { seen, end }| seen.get_mut(word).map(|seen| (end, seen)))
        else {
            return self.foreign += 1;
        };
        let bit = 1 << (stamp.number % 64);
        if *seen & bit != 0 {
            self.duplicated += 1;
            return;
        }
        *seen |= bit;
        self.arrived += 1;
        if stamp.number < *flow {
            self.reordered += 1;
        } else {
            *flow = stamp.number + 1;
        }
    }

    /// How many have arrived, each counted once.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Closes the account, given how many datagrams each flow was sent.
    pub fn close(&self, sent: &[u64]) -> Summary {
        let beyond: u64 = self
            .flows
            .iter()
            .enumerate()
            .map(|(index, flow)| flow.count_from(sent.get(index).copied().unwrap_or(0)))
            .sum();
        let total: u64 = sent.iter().sum();
        let arrived = self.arrived - beyond;
        Summary {
            sent: total,
            arrived,
            lost: total - arrived,
            duplicated: self.duplicated,
            reordered: self.reordered,
            corrupt: self.corrupt,
            foreign: self.foreign + beyond,
        }
    }

    /// The numbers of `flow` below `sent` that are missing, the first `limit` of them.
    pub fn missing(&self, flow: u32, sent: u64, limit: usize) -> Vec<u64> {
        let Some(flow) = self.flows.get(flow as usize) else { return Vec::new() };
        (0..sent).filter(|number| !flow.has(*number)).take(limit).collect()
    }
}

impl Flow {
    fn has(&self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|index| self.seen.get(index));
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Arrivals with numbers from `start` on.
    fn count_from(&self, start: u64) -> u64 {
        (start..self.end).filter(|number| self.has(*number)).count() as u64
    }
}

impl Summary {
    /// Whether every datagram arrived, once and whole. Order is not asked for.
    pub fn is_complete(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.corrupt == 0 && self.foreign == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn enter(ledger: &mut Ledger, numbers: &[u64]) {
        for number in numbers {
            ledger.enter(Ok(Stamp { flow: 0, number: *number }));
        }
    }

    #[test]
    fn each_fate_has_its_count() {
        let mut ledger = Ledger::new(2, 100);
        enter(&mut ledger, &[0, 1, 3, 2, 3, 5]);
        ledger.enter(Err(StampError::Corrupt));
        ledger.enter(Err(StampError::Foreign));
        ledger.enter(Ok(Stamp { flow: 2, number: 0 }));
        ledger.enter(Ok(Stamp { flow: 1, number: 1_000_000 }));
        let summary = ledger.close(&[6, 1]);
        let expected =
            Summary { sent: 7, arrived: 5, lost: 2, duplicated: 1, reordered: 1, corrupt: 1, foreign: 2 };
        assert_eq!(summary, expected);
        assert!(!summary.is_complete());
        assert_eq!(ledger.missing(0, 6, 10), [4]);
    }

    #[test]
    fn what_was_never_sent_does_not_make_up_for_a_loss() {
        let mut ledger = Ledger::new(1, 100);
        enter(&mut ledger, &[0, 7]);
        let summary = ledger.close(&[2]);
        assert_eq!((summary.arrived, summary.lost, summary.foreign), (1, 1, 1));
    }

    proptest! {
        /// Against the obvious account: a set and a maximum.
        #[test]
        fn agrees_with_a_set(numbers in prop::collection::vec(0_u64..200, 0..300)) {
            let mut ledger = Ledger::new(1, 200);
            enter(&mut ledger, &numbers);
            let (mut seen, mut duplicated, mut reordered) = (std::collections::BTreeSet::new(), 0, 0);
            for number in &numbers {
                let late = seen.last().is_some_and(|last| last > number);
                if !seen.insert(*number) { duplicated += 1 } else if late { reordered += 1 }
            }
            let summary = ledger.close(&[200]);
            prop_assert_eq!(summary.arrived, seen.len() as u64);
            prop_assert_eq!((summary.duplicated, summary.reordered), (duplicated, reordered));
            prop_assert_eq!(summary.sent, summary.arrived + summary.lost);
        }
    }
}
