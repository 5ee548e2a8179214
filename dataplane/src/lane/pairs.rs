//! Which pair of slots is whose, and which may be used again.
//!
//! A pair that has ended rests for [`REST`], far longer than any run of the classifier takes, before another flow gets
//! it. It costs four bytes for each flow there may be, and what rests eight.

use super::PairId;
use crate::state::{FlowId, Millis};
use std::{collections::VecDeque, time::Duration};

/// How long what the classifier may be reading still is left as it is.
pub(super) const REST: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Pairs {
    /// By flow; [`NONE`]: it has none.
    of_flow: Box<[u32]>,
    /// Pairs that have ended, and when, in order.
    ended: VecDeque<(PairId, Millis)>,
    /// Pairs from here on have never been used.
    reached: u32,
    /// All there are.
    total: u32,
    live: u32,
}

/// No pair.
const NONE: u32 = u32::MAX;

impl Pairs {
    /// So many pairs for so many flows.
    pub(super) fn new(total: usize, flows: usize) -> Self {
        Self {
            of_flow: vec![NONE; flows].into_boxed_slice(),
            ended: VecDeque::with_capacity(total.min(1 << 12)),
            reached: 0,
            total: total as u32,
            live: 0,
        }
    }

    /// The pair of a flow.
    pub(super) fn of(&self, flow: FlowId) -> Option<PairId> {
        self.of_flow.get(flow.number()).copied().filter(|pair| *pair != NONE).map(PairId)
    }

    /// How many flows have one.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Pairs from here on have never been used.
    pub(super) fn reached(&self) -> u32 {
        self.reached
    }

    /// A pair that nobody reads any longer, for a flow that has none.
    pub(super) fn take(&mut self, flow: FlowId, now: Millis) -> Option<PairId> {
        let place = self.of_flow.get_mut(flow.number())?;
        let has_rested = |(_, ended): &(PairId, Millis)| now.since(*ended) >= REST;
        let pair = match self.ended.front() {
            Some(first) if has_rested(first) => self.ended.pop_front().map(|(pair, _)| pair)?,
            _ if self.reached < self.total => {
                self.reached += 1;
                PairId(self.reached - 1)
            }
            _ => return None,
        };
        *place = pair.0;
        self.live += 1;
        Some(pair)
    }

    /// A flow's pair ends, if it has one.
    pub(super) fn end(&mut self, flow: FlowId, now: Millis) -> Option<PairId> {
        let pair = self.of(flow)?;
        self.of_flow[flow.number()] = NONE;
        self.live -= 1;
        self.ended.push_back((pair, now));
        Some(pair)
    }

    /// A pair was found that somebody has used before. It is nobody's, and not free. Such pairs are found in their order,
    /// before any is taken.
    pub(super) fn found(&mut self, pair: PairId) {
        self.ended.extend((self.reached..pair.0).map(|before| (PairId(before), Millis::default())));
        self.reached = self.reached.max(pair.0 + 1);
    }

    /// What has ended so far rests from now on.
    pub(super) fn rest_from(&mut self, now: Millis) {
        self.ended.iter_mut().for_each(|(_, ended)| *ended = now);
    }

    /// Gives a flow a pair that was found. `false`: there is no such flow.
    pub(super) fn give(&mut self, pair: PairId, flow: FlowId) -> bool {
        let Some(place) = self.of_flow.get_mut(flow.number()).filter(|place| **place == NONE) else {
            return false;
        };
        *place = pair.0;
        self.live += 1;
        true
    }

    /// A pair that was found and is nobody's has ended.
    pub(super) fn free(&mut self, pair: PairId, now: Millis) {
        self.ended.push_back((pair, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Entry;

    fn flow(number: u32) -> FlowId {
        FlowId::of(Entry::new(number, crate::state::Direction::Forward))
    }

    #[test]
    fn a_pair_is_one_flows_and_rests_before_it_is_anothers() {
        let mut pairs = Pairs::new(2, 10);
        let start = Millis(5);
        let first = pairs.take(flow(3), start).unwrap();
        let second = pairs.take(flow(9), start).unwrap();
        assert_ne!(first, second);
        assert_eq!(
            (pairs.of(flow(3)), pairs.of(flow(9)), pairs.of(flow(0))),
            (Some(first), Some(second), None)
        );
        assert_eq!(pairs.take(flow(0), start), None, "there are two");
        assert_eq!((pairs.end(flow(9), start), pairs.end(flow(9), start)), (Some(second), None));
        assert_eq!(pairs.take(flow(0), start.after(REST - Duration::from_millis(1))), None, "it rests");
        assert_eq!(pairs.take(flow(0), start.after(REST)), Some(second));
        assert_eq!((pairs.live(), pairs.reached()), (2, 2));
        assert_eq!(pairs.take(flow(10), start.after(REST)), None, "no such flow");
    }
}
