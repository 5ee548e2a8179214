//! How many packets should have left by when: the integral of a rate that grows to its height and stays there.
//!
//! src/bpf/generate.bpf.c has the same in C. The limits of a spec (100 million a second, 24 hours, a ramp of 5 minutes)
//! keep all products below 2^64.

use std::time::Duration;

use crate::spec::{Rate, Spec};

/// A pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Packets a second; 0: as many as can be.
    pub(super) rate: u64,
    /// Time in which it grows to that.
    pub(super) ramp_us: u64,
}

impl Pace {
    /// The one of `spec`.
    pub fn of(spec: &Spec) -> Pace {
        let rate = match spec.rate {
            Rate::Max => 0,
            Rate::PerSecond(rate) => rate,
        };
        Pace { rate, ramp_us: whole_us(spec.ramp) }
    }

    /// Packets that should have left by then.
    #[inline]
    pub fn due(self, elapsed_us: u64) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let whole = self.rate * elapsed_us / 1_000_000;
        if elapsed_us < self.ramp_us {
            whole * elapsed_us / (2 * self.ramp_us) + 1
        } else {
            whole - self.rate * self.ramp_us / 2_000_000 + 1
        }
    }

    /// Whether there is time to sleep between packets.
    pub fn is_slow(self) -> bool {
        (1..20_000).contains(&self.rate)
    }
}

fn whole_us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_costs_half_of_its_time() {
        let pace = Pace { rate: 1000, ramp_us: 2_000_000 };
        let due: Vec<_> = [0, 1, 2, 3, 10].iter().map(|second| pace.due(second * 1_000_000)).collect();
        assert_eq!(due, [1, 251, 1001, 2001, 9001]);
        assert_eq!(Pace { rate: 1000, ramp_us: 0 }.due(5_000), 6);
        assert_eq!(Pace { rate: 0, ramp_us: 0 }.due(0), u64::MAX);
    }

    #[test]
    fn nothing_overflows_at_the_limits_and_it_never_falls() {
        let pace = Pace { rate: 100_000_000, ramp_us: 300_000_000 };
        let mut last = 0;
        for second in 0..=24 * 3600 {
            let due = pace.due(second * 1_000_000);
            assert!(due >= last);
            last = due;
        }
        assert_eq!(last, 100_000_000 * (24 * 3600 - 150) + 1);
    }
}
