//! When something that lasts is told of again: after a minute, and each time after twice as long, up to an hour.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reminder {
    next: Instant,
    pause: Duration,
}

impl Reminder {
    /// It has been told of now.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now + FIRST, pause: FIRST }
    }

    /// Whether it is to be told of now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next <= now;
        if is_due {
            self.pause = (self.pause * 2).min(LONGEST);
            self.next = now + self.pause;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_a_day_is_told_of_less_and_less_often() {
        let start = Instant::now();
        let mut reminder = Reminder::new(start);
        let due = (0..24 * 60).filter(|minute| reminder.is_due(start + Duration::from_secs(60 * minute)));
        let due: Vec<u64> = due.collect();
        assert_eq!(due[..7], [1, 3, 7, 15, 31, 63, 123]);
        assert_eq!(due[7] - due[6], 60, "every hour");
        assert_eq!(due.len(), 28);
    }
}
