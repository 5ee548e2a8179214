//! What a worker does when there is nothing to do.

use std::time::Duration;

/// Empty turns after which an adaptive worker sleeps.
const SPIN_TURNS: u32 = 200;
/// The longest sleep. Packets end a sleep at once; questions and new tables wait for its end.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// The same where other workers may hand packets over, which does not wake anybody, and where the next of a row of
/// questions is likely to come: a listing of all flows is a thousand of them.
const SHORT_SLEEP: Duration = Duration::from_micros(200);
/// Short sleeps after a question.
const ATTENTION: u32 = 50;

/// The strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Idle {
    /// Polls without pause: the least latency, and a whole core.
    Busy,
    /// Polls for a while, then sleeps until packets come.
    #[default]
    Adaptive,
}

/// Counts empty turns.
#[derive(Debug)]
pub(super) struct IdleClock {
    idle: Idle,
    empty_turns: u32,
    longest: Duration,
    attention: u32,
}

impl IdleClock {
    pub(super) fn new(idle: Idle, workers: usize) -> Self {
        let longest = if workers > 1 { SHORT_SLEEP } else { LONGEST_SLEEP };
        Self { idle, empty_turns: 0, longest, attention: 0 }
    }

    /// How long to sleep after a turn that handled so many packets, and in which a question was `asked`.
    pub(super) fn after(&mut self, handled: usize, asked: bool) -> Option<Duration> {
        self.empty_turns = if handled == 0 { self.empty_turns.saturating_add(1) } else { 0 };
        if asked {
            self.attention = ATTENTION;
        }
        match self.idle {
            Idle::Adaptive if self.empty_turns > SPIN_TURNS => {
                let attentive = self.attention > 0;
                self.attention = self.attention.saturating_sub(1);
                Some(if attentive { SHORT_SLEEP } else { self.longest })
            }
            Idle::Adaptive | Idle::Busy => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_asked_sleeps_lightly_for_a_while() {
        let mut clock = IdleClock::new(Idle::Adaptive, 1);
        let spun = (0..1000).take_while(|_| clock.after(0, false).is_none()).count();
        assert_eq!(spun, SPIN_TURNS as usize);
        assert_eq!(clock.after(0, false), Some(LONGEST_SLEEP));
        let light = std::iter::once(clock.after(0, true)).chain((0..200).map(|_| clock.after(0, false)));
        assert_eq!(light.take_while(|sleep| *sleep == Some(SHORT_SLEEP)).count(), ATTENTION as usize);
        assert_eq!(clock.after(0, false), Some(LONGEST_SLEEP));
        assert_eq!(clock.after(1, true), None, "there are packets");
    }
}
