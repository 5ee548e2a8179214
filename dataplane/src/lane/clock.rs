//! A worker's clock and the classifier's: what the lane saw last is held against the flows' timeouts.
//!
//! Both go by the monotonic clock, so that one moment by both is all that is to be known, and no clock is read.

use super::Ticks;
use crate::state::Millis;
use std::time::Duration;

/// A moment by both clocks.
#[derive(Debug)]
pub(super) struct Clock {
    now: Millis,
    monotonic: Duration,
}

/// Nanoseconds of a tick, as a power of two.
const TICK: u32 = 20;

impl Clock {
    /// `start` is the monotonic clock's time where the worker's is zero.
    pub(super) fn new(start: Duration) -> Self {
        Self { now: Millis::default(), monotonic: start }
    }

    /// It is `now`. Within 24 days of the last time this was said.
    pub(super) fn advance(&mut self, now: Millis) {
        self.monotonic += now.since(self.now);
        self.now = now;
    }

    /// The worker's time.
    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// The classifier's.
    pub(super) fn ticks(&self) -> Ticks {
        Ticks((self.monotonic.as_nanos() >> TICK) as u32)
    }

    /// A moment of the classifier's clock by the worker's.
    pub(super) fn millis(&self, seen: Ticks) -> Millis {
        let age = self.ticks().0.wrapping_sub(seen.0) as i32;
        let millis = (i64::from(age) << TICK) / 1_000_000;
        Millis(self.now.0.wrapping_sub(millis as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_by_both_clocks() {
        let start = Duration::from_secs(3_000_000);
        let ticks = |after: u64| Ticks(((start + Duration::from_millis(after)).as_nanos() >> TICK) as u32);
        let mut clock = Clock::new(start);
        let day = 86_400_000;
        for now in [0_u64, 5, 1000, 20 * day, 39 * day, 49 * day, 50 * day, 60 * day] {
            clock.advance(Millis(now as u32));
            for seen in [now.saturating_sub(5 * day), now.saturating_sub(30_000), now, now + 900] {
                let error = clock.millis(ticks(seen)).0.wrapping_sub(seen as u32) as i32;
                assert!(error.abs() <= 2, "{seen} at {now} is off by {error} ms");
            }
        }
    }
}
