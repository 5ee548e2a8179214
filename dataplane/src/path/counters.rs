//! One counter per verdict, and the flows' own. Plain numbers of one worker; `worker/` copies them out.

use super::{DropReason, ReplyKind, Verdict};
use crate::lane::LaneCounters;
use serde::Serialize;

/// Counts since the worker started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Packets that came in, those that were held each time anew. Always the sum of all kinds of verdict.
    pub received: u64,
    /// Translated and sent on.
    pub forwarded: u64,
    /// Sent on as they came, to the gateway that has their flow.
    pub relayed: u64,
    /// Translated, and sent on in fragments.
    pub split: u64,
    /// Kept until their datagram's first fragment comes.
    pub held: u64,
    /// Given to another worker.
    pub handed_off: u64,
    /// Given back to the kernel.
    pub passed: u64,
    /// Answered, by [`ReplyKind`].
    pub replied: [u64; ReplyKind::ALL.len()],
    /// Dropped, by [`DropReason`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Flows opened.
    pub flows_opened: u64,
    /// Flows that ended by idling.
    pub flows_expired: u64,
    /// Flows that a full table pushed out.
    pub flows_evicted: u64,
    /// IPv4 flows now.
    pub flows_v4: u64,
    /// IPv6 flows now.
    pub flows_v6: u64,
    /// What the fast lane did, of both families. Its packets are in none of the above.
    pub lane: LaneCounters,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            received: 0,
            forwarded: 0,
            relayed: 0,
            split: 0,
            held: 0,
            handed_off: 0,
            passed: 0,
            replied: [0; _],
            dropped: [0; _],
            flows_opened: 0,
            flows_expired: 0,
            flows_evicted: 0,
            flows_v4: 0,
            flows_v6: 0,
            lane: LaneCounters::default(),
        }
    }
}

impl Counters {
    /// Counts the verdicts of a batch, of which it is known how many are [`Verdict::Forward`] at least: nearly always all.
    #[inline]
    pub(super) fn count(&mut self, verdicts: &[Verdict], forwarded: usize) {
        self.received += verdicts.len() as u64;
        if forwarded == verdicts.len() {
            self.forwarded += forwarded as u64;
            return;
        }
        for verdict in verdicts {
            match verdict {
                Verdict::Forward(_) => self.forwarded += 1,
                Verdict::Relay(_) => self.relayed += 1,
                Verdict::Reply(_, kind) => self.replied[*kind as usize] += 1,
                Verdict::Split(..) => self.split += 1,
                Verdict::Hold(_) => self.held += 1,
                Verdict::Handoff(_) => self.handed_off += 1,
                Verdict::Pass => self.passed += 1,
                Verdict::Drop(reason) => self.dropped[*reason as usize] += 1,
            }
        }
    }

    /// The sum of all verdicts: [`received`](Self::received), if every packet had one.
    pub fn verdicts(&self) -> u64 {
        let sent = self.forwarded + self.relayed + self.split + self.held + self.handed_off + self.passed;
        sent + self.replied.iter().sum::<u64>() + self.dropped.iter().sum::<u64>()
    }

    /// Packets dropped for this reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }
}
