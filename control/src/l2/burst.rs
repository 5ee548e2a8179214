//! When an address is announced unasked: at once, and every 1.1 s until 5 s after it was set, five rounds in all (§5.7).
//!
//! The rounds are more than a second apart because Linux ignores a change of a neighbour within a second of the last
//! (`locktime`): one of two in a row would always be heard.

use std::time::{Duration, Instant};

const ROUNDS_APART: Duration = Duration::from_millis(1100);
const LASTS: Duration = Duration::from_secs(5);

/// A burst that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Burst {
    next: Instant,
    ends: Instant,
}

impl Burst {
    /// One whose first round is now.
    pub(super) fn start(now: Instant) -> Self {
        Self { next: now, ends: now + LASTS }
    }

    /// When the next round is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// A round has been sent now: what is left of the burst.
    pub(super) fn sent(self, now: Instant) -> Option<Self> {
        let next = now + ROUNDS_APART;
        (next < self.ends).then_some(Self { next, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-188
    #[test]
    fn five_rounds_at_once_and_every_1100_ms() {
        let start = Instant::now();
        let (mut rounds, mut burst) = (Vec::new(), Some(Burst::start(start)));
        while let Some(running) = burst {
            rounds.push((running.due() - start).as_millis());
            burst = running.sent(running.due());
        }
        assert_eq!(rounds, [0, 1100, 2200, 3300, 4400]);
    }

    #[test]
    fn a_late_round_is_not_followed_too_soon() {
        let start = Instant::now();
        let late = start + Duration::from_millis(900);
        let burst = Burst::start(start).sent(late).unwrap();
        assert_eq!(burst.due(), late + ROUNDS_APART);
        assert_eq!(burst.sent(start + LASTS), None);
    }
}
