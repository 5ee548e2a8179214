//! What a worker tells about itself: copied out a few times a second, so that reading costs the worker nothing.

use crate::{
    io::{FrameAccounts, SocketReport},
    path::Counters,
};
use std::sync::Mutex;

/// A worker's numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The path's counters.
    pub counters: Counters,
    /// The generation of the tables in use.
    pub generation: u64,
    /// Turns of the poll loop.
    pub turns: u64,
    /// Packets of other workers that they had no room for.
    pub handoffs_refused: u64,
    /// Packets that were the kernel's, but could not be given to it.
    pub passes_refused: u64,
    /// Packets that were to be cut into fragments, but for want of frames not all of them were sent.
    pub splits_refused: u64,
    /// Where the frames are.
    pub frames: FrameAccounts,
    /// The sockets.
    pub sockets: Vec<SocketReport>,
    /// Flows that a former process had promoted may have yet to be adopted.
    pub has_strays: bool,
}

/// The place where a worker leaves its [`Report`].
#[derive(Debug, Default)]
pub struct WorkerReport(Mutex<Report>);

impl WorkerReport {
    /// The last report.
    pub fn read(&self) -> Report {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Leaves a new one, unless somebody is just reading.
    pub(super) fn leave(&self, report: Report) {
        if let Ok(mut place) = self.0.try_lock() {
            *place = report;
        }
    }
}
