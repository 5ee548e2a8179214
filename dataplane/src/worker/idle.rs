//! What a worker does when there is nothing to do.

use std::time::Duration;

/// Empty turns after which an adaptive worker sleeps.
const SPIN_TURNS: u32 = 200;
/// The longest sleep. Packets end a sleep at once; questions and new tables wait for its end.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// The same where other workers may hand packets over, which does not wake anybody.
const LONGEST_SLEEP_IN_MESH: Duration = Duration::from_micros(200);

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
}

impl IdleClock {
    pub(super) fn new(idle: Idle, workers: usize) -> Self {
        let longest = if workers > 1 { LONGEST_SLEEP_IN_MESH } else { LONGEST_SLEEP };
        Self { idle, empty_turns: 0, longest }
    }

    /// How long to sleep after a turn that handled so many packets.
    pub(super) fn after(&mut self, handled: usize) -> Option<Duration> {
        self.empty_turns = if handled == 0 { self.empty_turns.saturating_add(1) } else { 0 };
        match self.idle {
            Idle::Adaptive if self.empty_turns > SPIN_TURNS => Some(self.longest),
            Idle::Adaptive | Idle::Busy => None,
        }
    }
}
