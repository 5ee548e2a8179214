//! When somebody else is asked for before an address is announced, and how long an answer is waited for.
//!
//! An address that was never announced may belong to a host that nobody knew of: three probes, 200 ms apart, as RFC 5227
//! §2.1.1 asks for, though faster than its seconds. One that only moves between gateways is asked for once, and 30 ms are
//! enough for the former owner, on the same wire, to say who it is; clients wait meanwhile.

use std::time::{Duration, Instant};

const CAREFUL_PROBES: u8 = 3;
const CAREFUL_WAIT: Duration = Duration::from_millis(200);
const QUICK_WAIT: Duration = Duration::from_millis(30);

/// A probe that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    left: u8,
    wait: Duration,
    next: Instant,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask, and go on with this.
    Ask(Probe),
    /// Nobody has answered in time.
    Silence,
}

impl Probe {
    /// Three questions.
    pub(super) fn careful(now: Instant) -> Self {
        Self { left: CAREFUL_PROBES, wait: CAREFUL_WAIT, next: now }
    }

    /// One question, and a short wait.
    pub(super) fn quick(now: Instant) -> Self {
        Self { left: 1, wait: QUICK_WAIT, next: now }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// The step that is due now.
    pub(super) fn step(self, now: Instant) -> Step {
        match self.left.checked_sub(1) {
            Some(left) => Step::Ask(Self { left, next: now + self.wait, ..self }),
            None => Step::Silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(mut probe: Probe, start: Instant) -> (Vec<u128>, u128) {
        let mut asked = Vec::new();
        loop {
            let now = probe.due();
            match probe.step(now) {
                Step::Ask(next) => probe = next,
                Step::Silence => return (asked, (now - start).as_millis()),
            }
            asked.push((now - start).as_millis());
        }
    }

    #[test]
    fn a_new_address_is_asked_for_three_times_and_one_that_moves_once() {
        let now = Instant::now();
        assert_eq!(questions(Probe::careful(now), now), (vec![0, 200, 400], 600));
        assert_eq!(questions(Probe::quick(now), now), (vec![0], 30));
    }
}
