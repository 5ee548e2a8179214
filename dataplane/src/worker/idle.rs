//! What a worker does when there is nothing to do.
//!
//! An adaptive worker turns on for some tens of microseconds, as packets come in bursts, then sleeps in `ppoll` on its
//! sockets, whose drivers wake it by interrupt, and on its [`Waker`](crate::io::Waker), by which other workers and the
//! control plane do. A sleep ends by itself in time for what is done a few times a second: idle flows, reports.

use std::time::Duration;

/// Empty turns after which an adaptive worker sleeps.
const SPIN_TURNS: u32 = 200;
/// An adaptive worker's longest sleep. A shorter one costs more of a core (on virtual processors, where a wake by a timer
/// alone takes 30 to 60 µs: 3 % at 1 ms, 1 % at 4, 0.4 % at 20), a longer one leaves less in the caches of what the next
/// packet needs: at 20 ms it is under way for 20 µs more than at 4.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(4);
/// The same of a worker that only packets wake.
const SHORT_SLEEP: Duration = Duration::from_micros(200);

/// The strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Idle {
    /// Polls without pause: the least latency, and a whole core.
    Busy,
    /// Polls for a while, then sleeps until packets come.
    #[default]
    Adaptive,
    /// Polls without pause, and does the drivers' receiving too, on its own core and when it asks
    /// ([`AfXdpConfig::busy_poll`](crate::io::AfXdpConfig)).
    BusyPoll,
}

/// Counts empty turns.
#[derive(Debug)]
pub(super) struct IdleClock {
    idle: Idle,
    empty_turns: u32,
    longest: Duration,
}

impl IdleClock {
    /// `can_be_woken`: by others than packets.
    pub(super) fn new(idle: Idle, can_be_woken: bool) -> Self {
        let longest = if can_be_woken { LONGEST_SLEEP } else { SHORT_SLEEP };
        Self { idle, empty_turns: 0, longest }
    }

    /// How long to sleep after a turn that handled so many packets.
    pub(super) fn after(&mut self, handled: usize) -> Option<Duration> {
        self.empty_turns = if handled == 0 { self.empty_turns.saturating_add(1) } else { 0 };
        match self.idle {
            Idle::Adaptive if self.empty_turns > SPIN_TURNS => Some(self.longest),
            Idle::Adaptive | Idle::Busy | Idle::BusyPoll => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_adaptive_worker_sleeps_and_only_after_a_while() {
        let mut clock = IdleClock::new(Idle::Adaptive, true);
        let spun = (0..1000).take_while(|_| clock.after(0).is_none()).count();
        assert_eq!(spun, SPIN_TURNS as usize);
        assert_eq!(clock.after(0), Some(LONGEST_SLEEP));
        assert_eq!(clock.after(1), None, "there are packets");
        assert_eq!(clock.after(0), None, "and soon more, perhaps");
        for idle in [Idle::Busy, Idle::BusyPoll] {
            let mut clock = IdleClock::new(idle, true);
            assert!((0..1000).all(|_| clock.after(0).is_none()));
        }
        let mut clock = IdleClock::new(Idle::Adaptive, false);
        assert_eq!((0..1000).find_map(|_| clock.after(0)), Some(SHORT_SLEEP));
    }
}
