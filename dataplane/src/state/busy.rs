//! Flows with many packets, which the fast lane is for: found at no cost for each packet, as their records say that they are
//! full, and their accounts are settled, as early as a flow counts as busy.

use super::{FlowId, FlowTable};
use crate::{io::BATCH, wire::Family};
use arrayvec::ArrayVec;
use std::num::NonZeroU8;

/// Flows that a batch may find busy, twice: those of the last one may have to wait.
pub(super) const BUSY: usize = 2 * BATCH;

impl<F: Family> FlowTable<F> {
    /// From now on a flow is busy when it has had so many packets of a direction, and again after every 256 more. It costs
    /// nothing a packet: its record says that it is full earlier.
    pub fn find_busy_after(&mut self, packets: NonZeroU8) {
        self.busy_after = Some(packets);
    }

    /// Whether flows have been busy since the last look.
    #[inline]
    pub fn has_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Those flows; some may have ended.
    pub fn take_busy(&mut self) -> ArrayVec<FlowId, BUSY> {
        std::mem::take(&mut self.busy)
    }

    /// A flow is to be among those. Where there are too many, it has to become busy again.
    #[cold]
    pub fn note_busy(&mut self, id: FlowId) {
        if self.busy.last() != Some(&id) && self.busy.try_push(id).is_err() {
            self.arm(id);
        }
    }

    /// Has a flow become busy by its next packets, whatever it had before.
    #[cold]
    pub fn arm(&mut self, id: FlowId) {
        if let (Some(after), Some(record)) = (self.busy_after, self.records.get_mut(id.0 as usize)) {
            self.accounts[id.0 as usize].arm(record, after);
        }
    }

    /// Whether a live flow has had so many packets of a direction as make it busy.
    pub fn was_busy(&self, id: FlowId) -> bool {
        let Some(after) = self.busy_after.map(|after| u64::from(after.get())) else { return false };
        self.get(id).is_some_and(|flow| flow.traffic.iter().any(|traffic| traffic.packets >= after))
    }
}
