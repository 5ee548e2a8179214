//! When the next sync of objects is due (§3.15).
//!
//! A change after a quiet time is followed at once. What comes within the least period after the end of a sync is
//! followed together, at the end of that period. A sync that failed is due again after the retry period, or with the
//! next change. Pure: the caller tells the time.

use crate::config::Sync;
use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    periods: Sync,
    /// Something has changed that no sync has seen.
    requested: bool,
    /// The end of the last sync.
    ended: Option<Instant>,
    /// When something failed that has not succeeded since.
    failed: Option<Instant>,
}

impl Pace {
    pub(super) fn new(periods: Sync) -> Self {
        Self { periods, requested: false, ended: None, failed: None }
    }

    /// Something has changed.
    pub(super) fn request(&mut self) {
        self.requested = true;
    }

    /// Whether a change waits.
    pub(super) fn is_requested(&self) -> bool {
        self.requested
    }

    /// A sync begins: it sees everything there is up to now.
    pub(super) fn begin(&mut self) {
        self.requested = false;
    }

    /// A sync has ended.
    pub(super) fn end(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    /// The tables were published, by a sync or for another reason, or could not be.
    pub(super) fn published(&mut self, now: Instant, failed: bool) {
        self.failed = failed.then_some(now);
    }

    /// When the next sync is to begin; `None` if nothing asks for one.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let next = self.ended.map_or(now, |ended| ended + self.periods.min_period);
        let requested = self.requested.then_some(next);
        let again = self.failed.map(|failed| failed + self.periods.period);
        requested.into_iter().chain(again).min().map(|due| due.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);
    const PERIODS: Sync = Sync { min_period: SECOND, period: Duration::from_secs(30) };

    fn sync(pace: &mut Pace, now: Instant, failed: bool) {
        pace.begin();
        pace.published(now, failed);
        pace.end(now);
    }

    // S-215
    #[test]
    fn changes_within_the_least_period_become_one_sync_after_it() {
        let start = Instant::now();
        let mut pace = Pace::new(PERIODS);
        assert_eq!(pace.due(start), None);
        pace.request();
        assert_eq!(pace.due(start), Some(start), "the first change is followed at once");
        sync(&mut pace, start, false);
        assert_eq!(pace.due(start), None, "no change, no sync, however long");
        assert_eq!(pace.due(start + 3600 * SECOND), None);
        for milliseconds in [10, 400, 900] {
            pace.request();
            let now = start + Duration::from_millis(milliseconds);
            assert_eq!(pace.due(now), Some(start + SECOND), "counted from the end of the last");
            pace.published(now, false);
        }
        sync(&mut pace, start + SECOND, false);
        assert_eq!(pace.due(start + SECOND), None, "one sync for all of them");
        pace.request();
        let later = start + 100 * SECOND;
        assert_eq!(pace.due(later), Some(later));
    }

    // S-215
    #[test]
    fn a_failed_sync_is_retried_and_loses_no_change() {
        let start = Instant::now();
        let mut pace = Pace::new(PERIODS);
        pace.request();
        sync(&mut pace, start, true);
        assert_eq!(pace.due(start), Some(start + 30 * SECOND));
        pace.request();
        assert_eq!(pace.due(start), Some(start + SECOND), "a change need not wait for the retry");
        pace.begin();
        pace.request();
        pace.published(start + SECOND, true);
        pace.end(start + SECOND);
        assert_eq!(pace.due(start + SECOND), Some(start + 2 * SECOND), "what came meanwhile is not lost");
        sync(&mut pace, start + 2 * SECOND, false);
        assert_eq!(pace.due(start + 2 * SECOND), None);
    }
}
