//! Time as the flows keep it: milliseconds in 32 bits, which wrap after 49 days.
//!
//! Differences are taken modulo 2³², so they are right as long as no two moments that are compared lie more than
//! 24 days apart; the longest timeout that may be configured is 5 days, and sweeps look at every flow far more often.

use std::time::Duration;

/// A moment, in milliseconds since some start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Millis(pub u32);

impl Millis {
    /// The moment `later` after this one.
    #[inline]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.wrapping_add(later.as_millis() as u32))
    }

    /// The time from `earlier` to this moment; zero if `earlier` lies ahead.
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        let difference = self.0.wrapping_sub(earlier.0) as i32;
        Duration::from_millis(difference.max(0) as u64)
    }

    /// Whether this moment is `due` or past it.
    #[inline]
    pub fn reached(self, due: Self) -> bool {
        self.0.wrapping_sub(due.0) as i32 >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_does_not_confuse_the_order() {
        let before = Millis(u32::MAX - 10);
        let after = before.after(Duration::from_secs(1));
        assert_eq!(after, Millis(989));
        assert!(after.reached(before) && !before.reached(after) && after.reached(after));
        assert_eq!(after.since(before), Duration::from_secs(1));
        assert_eq!(before.since(after), Duration::ZERO);
    }
}
