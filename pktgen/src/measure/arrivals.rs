//! Which frames arrived, and in which order.
//!
//! A frame is *reordered* if one of its flow with a higher number came before it (RFC 4737 §3). A frame that came before
//! is *duplicated* if it is one of the flow's last 64 numbers, as in the replay windows of IPsec (RFC 4303 §3.4.3): what
//! is older than that counts as late.

use serde::Serialize;

use crate::build::Mark;

const WINDOW: u64 = 64;

#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    /// One above the highest number seen. Marks have its lower 32 bits, which come round.
    next: u64,
    /// Bit *n*: `next - 1 - n` was seen.
    window: u64,
    is_reordered: bool,
}

/// The arrivals of all flows.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    flows: Vec<Flow>,
    counts: ArrivalCounts,
}

/// What they come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrivalCounts {
    /// Arrived, each counted once.
    pub arrived: u64,
    /// Arrived after one with a higher number of the same flow.
    pub reordered: u64,
    /// Flows that this happened to.
    pub reordered_flows: u64,
    /// Arrived again.
    pub duplicated: u64,
    /// With a wrong checksum.
    pub corrupt: u64,
    /// Of a flow that there is not.
    pub foreign: u64,
}

impl Arrivals {
    /// Of flows `0..flows`.
    pub fn new(flows: usize) -> Arrivals {
        Arrivals { flows: vec![Flow::default(); flows], counts: ArrivalCounts::default() }
    }

    /// Enters a frame that arrived; false if it does not count as arrived.
    pub fn enter(&mut self, mark: Mark, is_whole: bool) -> bool {
        if !is_whole {
            self.counts.corrupt += 1;
            return false;
        }
        let Some(flow) = self.flows.get_mut(mark.flow as usize) else {
            self.counts.foreign += 1;
            return false;
        };
        // The number nearest to what is expected (RFC 1982).
        let distance = i64::from(mark.number.wrapping_sub(flow.next as u32).cast_signed());
        if distance >= 0 {
            let ahead = distance.unsigned_abs() + 1;
            flow.window = if ahead < WINDOW { flow.window << ahead | 1 } else { 1 };
            flow.next += ahead;
        } else {
            let behind = distance.unsigned_abs() - 1;
            let bit = if behind < WINDOW { 1 << behind } else { 0 };
            if flow.window & bit != 0 {
                self.counts.duplicated += 1;
                return false;
            }
            flow.window |= bit;
            self.counts.reordered += 1;
            self.counts.reordered_flows += u64::from(!std::mem::replace(&mut flow.is_reordered, true));
        }
        self.counts.arrived += 1;
        true
    }

    /// What they come to.
    pub fn counts(&self) -> ArrivalCounts {
        self.counts
    }

    /// How many must have been sent at least, to go by the highest numbers: for a receiver that does not know.
    pub fn sent_at_least(&self) -> u64 {
        self.flows.iter().map(|flow| flow.next).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(flow: u32, number: u32) -> Mark {
        Mark { run: 0, time_ns: 0, flow, number }
    }

    #[test]
    fn each_fate_has_its_count() {
        let mut arrivals = Arrivals::new(2);
        for number in [0, 1, 3, 2, 3, 100, 4] {
            arrivals.enter(mark(0, number), true);
        }
        arrivals.enter(mark(1, 0), false);
        arrivals.enter(mark(2, 0), true);
        let expected = ArrivalCounts {
            arrived: 6,
            reordered: 2,
            reordered_flows: 1,
            duplicated: 1,
            corrupt: 1,
            foreign: 1,
        };
        assert_eq!((arrivals.counts(), arrivals.sent_at_least()), (expected, 101));
    }

    #[test]
    fn numbers_come_round() {
        let mut arrivals = Arrivals::new(1);
        let quarter = 1 << 30;
        for number in [0, quarter, 2 * quarter, 3 * quarter, u32::MAX, 1, 0] {
            assert!(arrivals.enter(mark(0, number), true), "{number}");
        }
        assert_eq!((arrivals.counts().reordered, arrivals.sent_at_least()), (1, (1 << 32) + 2));
    }

    proptest! {
        /// Against a set and a maximum, for what stays within the window.
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec(0_u32..32, 0..300)) {
            let mut arrivals = Arrivals::new(1);
            let (mut seen, mut duplicated, mut reordered) = (std::collections::BTreeSet::new(), 0, 0);
            for (index, step) in steps.iter().enumerate() {
                let number = index as u32 / 2 + step;
                let late = seen.last().is_some_and(|last| *last > number);
                if !seen.insert(number) { duplicated += 1 } else if late { reordered += 1 }
                arrivals.enter(mark(0, number), true);
            }
            let counts = arrivals.counts();
            prop_assert_eq!(counts.arrived, seen.len() as u64);
            prop_assert_eq!((counts.duplicated, counts.reordered), (duplicated, reordered));
        }
    }
}
