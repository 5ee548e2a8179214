//! When somebody else is asked for before an address is announced, and how long an answer is waited for.
//!
//! An address that was never announced may belong to a host that nobody knew of: three probes, 200 ms apart, as RFC 5227
//! §2.1.1 asks for, though faster than its seconds. One that comes from a gateway which is gone is asked for once, and
//! 30 ms later it is ours: clients wait meanwhile. They do not where the former owner is there, for it answers them; it
//! is asked three times, 50 ms apart, as what it says is needed to find the way to the flows it has.

use super::event::Before;
use std::time::{Duration, Instant};

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
    /// One that begins now.
    pub(super) fn new(before: Before, now: Instant) -> Self {
        let (left, wait) = match before {
            Before::Nobody => (3, 200),
            Before::OneThatIsGone => (1, 30),
            Before::OneThatIsThere => (3, 50),
        };
        Self { left, wait: Duration::from_millis(wait), next: now }
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
    fn an_address_is_asked_for_as_often_as_an_answer_is_needed() {
        let now = Instant::now();
        let of = |before| questions(Probe::new(before, now), now);
        assert_eq!(of(Before::Nobody), (vec![0, 200, 400], 600));
        assert_eq!(of(Before::OneThatIsGone), (vec![0], 30));
        assert_eq!(of(Before::OneThatIsThere), (vec![0, 50, 100], 150));
    }
}
