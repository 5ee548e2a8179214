//! How large the fast lane is: set when the classifier is loaded, and not changed later.

use crate::{
    lane::{Hops, Index, MOST_SLOTS},
    wire::{Family, V4, V6},
};
use std::{ops::Range, path::PathBuf};

/// The room of the fast lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSize {
    /// The workers.
    pub workers: u16,
    /// IPv4 flows a worker may promote.
    pub v4_pairs: u32,
    /// IPv6 flows a worker may promote.
    pub v6_pairs: u32,
    /// The next hops of a family that flows of the lane may take; flows to others are not promoted.
    pub next_hops: u32,
    /// The folder, on a BPF file system, where maps and links are pinned, so that they survive the process.
    pub pin: Option<PathBuf>,
    /// What else must be the same if a later process is to go on with what an earlier one has left.
    pub fingerprint: u64,
}

/// A family with a size, and a place in the table of hops.
pub(super) trait Placed: Family {
    /// The map of its index.
    const INDEX: &'static str;
    /// The map of its slots.
    const SLOTS: &'static str;
    /// 0 for IPv4, 1 for IPv6.
    const NUMBER: u32;
    /// The pairs of a worker.
    fn pairs(size: &LaneSize) -> u32;
}

impl Placed for V4 {
    const INDEX: &'static str = "lane_index4";
    const SLOTS: &'static str = "lane_slots4";
    const NUMBER: u32 = 0;

    fn pairs(size: &LaneSize) -> u32 {
        size.v4_pairs
    }
}

impl Placed for V6 {
    const INDEX: &'static str = "lane_index6";
    const SLOTS: &'static str = "lane_slots6";
    const NUMBER: u32 = 1;

    fn pairs(size: &LaneSize) -> u32 {
        size.v6_pairs
    }
}

/// Which half of the table of hops is in use. A process that goes on with another's lane takes the half that the other
/// did not have, so that its slots stay right until each of them is given a hop of the new half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bank(bool);

impl Bank {
    /// How many there are.
    const COUNT: u32 = 2;

    /// The other one.
    pub(super) fn other(self) -> Self {
        Self(!self.0)
    }

    /// The one with this number.
    pub(super) fn numbered(number: u64) -> Self {
        Self(number != 0)
    }

    /// Its number.
    pub(super) fn number(self) -> u32 {
        self.0.into()
    }
}

impl Default for LaneSize {
    /// One worker, and 65,536 flows of each family.
    fn default() -> Self {
        Self {
            workers: 1,
            v4_pairs: 1 << 16,
            v6_pairs: 1 << 16,
            next_hops: 1 << 12,
            pin: None,
            fingerprint: 0,
        }
    }
}

impl LaneSize {
    /// Rows of the table of slots: two for each flow, as many as an index can name. At least two, for a map has to have some.
    pub(super) fn slots<F: Placed>(&self) -> u32 {
        F::pairs(self).saturating_mul(2).saturating_mul(self.workers.into()).clamp(2, MOST_SLOTS & !1)
    }

    /// Rows of the index.
    pub(super) fn buckets<F: Placed>(&self) -> u32 {
        Index::buckets(self.slots::<F>())
    }

    /// Rows of a family's hops, in a bank.
    pub(super) fn hops_of_family(&self) -> u32 {
        Hops::places(self.workers.into(), self.next_hops)
    }

    /// Rows of a bank.
    pub(super) fn hops_of_bank(&self) -> u32 {
        2 * self.hops_of_family()
    }

    /// Rows of the table of hops.
    pub(super) fn hops(&self) -> u32 {
        Bank::COUNT * self.hops_of_bank()
    }

    /// The places of a bank.
    pub(super) fn bank(&self, bank: Bank) -> Range<u32> {
        let start = bank.number() * self.hops_of_bank();
        start..start + self.hops_of_bank()
    }

    /// Where a family's hops begin.
    pub(super) fn first_hop<F: Placed>(&self, bank: Bank) -> u32 {
        bank.number() * self.hops_of_bank() + F::NUMBER * self.hops_of_family()
    }
}
