//! A worker's last hops in the table of hops: written when a flow that uses one is first promoted, and again when the MTU
//! of its port changes.
//!
//! The number of a last hop is used again for another way once no flow uses it. Its place in the table is not, until it has
//! rested as slots do: till then flows that come that way wait.

use super::{HopId, Hops, pairs::REST};
use crate::{
    state::{LastHopId, LastHops, Millis},
    table::Link,
};

/// See the module.
#[derive(Debug)]
pub(super) struct LastWays {
    ways: Box<[Way]>,
    /// The MTUs by which the ways before `hand` were written.
    mtus: Box<[u16]>,
    /// Ways from here on may have been written by older MTUs.
    hand: usize,
    /// Ways from here on have never been written.
    reached: usize,
    worker: u16,
}

/// A last hop as it was written.
#[derive(Debug, Clone)]
struct Way {
    link: Option<Link>,
    mtu: u16,
    place: HopId,
    /// When a pair that uses it ended last.
    ended: Millis,
}

/// How many ways are looked at again in a turn after a change of MTUs: a few microseconds.
const A_TURN: usize = 256;

impl LastWays {
    /// The ways of a worker with so many flows.
    pub(super) fn new(worker: u16, flows: usize) -> Self {
        let most = flows.saturating_add(1).min(LastHops::MOST);
        let never = Way { link: None, mtu: 0, place: HopId::default(), ended: Millis::default() };
        Self { ways: vec![never; most].into_boxed_slice(), mtus: Box::default(), hand: 0, reached: 0, worker }
    }

    /// The place in the table of a last hop, which is this way and takes packets of so many bytes. `None`: what it was
    /// before has yet to rest.
    pub(super) fn ready(
        &mut self,
        hops: &Hops,
        id: LastHopId,
        (link, mtu): (&Link, u16),
        now: Millis,
    ) -> Option<HopId> {
        let number = id.place();
        let way = self.ways.get_mut(number)?;
        let place = hops.last(self.worker, id);
        if way.link.is_some_and(|before| before != *link) && now.since(way.ended) < REST {
            return None;
        }
        if way.link != Some(*link) || way.mtu != mtu {
            hops.set(place, Some((link, mtu)));
            (way.link, way.mtu, way.place) = (Some(*link), mtu, place);
            self.reached = self.reached.max(number + 1);
        }
        Some(place)
    }

    /// A pair that used this last hop has ended.
    pub(super) fn ended(&mut self, id: LastHopId, now: Millis) {
        if let Some(way) = self.ways.get_mut(id.place()) {
            way.ended = now;
        }
    }

    /// Brings the table up to date with the ports' MTUs, some ways a turn.
    #[inline]
    pub(super) fn follow(&mut self, hops: &Hops, mtus: &[u16]) {
        if *self.mtus != *mtus {
            (self.mtus, self.hand) = (mtus.into(), 0);
        }
        if self.hand < self.reached {
            self.rewrite(hops);
        }
    }

    #[cold]
    fn rewrite(&mut self, hops: &Hops) {
        let end = self.reached.min(self.hand + A_TURN);
        for way in &mut self.ways[self.hand..end] {
            let Some(link) = &way.link else { continue };
            let mtu = self.mtus.get(usize::from(link.port.0)).copied().unwrap_or(u16::MAX);
            if mtu != way.mtu {
                way.mtu = mtu;
                hops.set(way.place, Some((link, mtu)));
            }
        }
        self.hand = end;
    }
}
