//! A token bucket, for answers that must be rate-limited (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)).

use super::Millis;

/// Allows `rate` events a second on average and `burst` at once.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: u32,
    burst_millis: u64,
    credit_millis: u64,
    last: Millis,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 allows nothing.
    pub fn new(rate: u32, burst: u32) -> Self {
        let burst_millis = u64::from(burst) * 1000;
        Self { rate, burst_millis, credit_millis: burst_millis, last: Millis::default() }
    }

    /// Whether an event may happen at `now`; takes its token if so.
    pub fn take(&mut self, now: Millis) -> bool {
        let passed = now.since(self.last).as_millis() as u64;
        self.last = now;
        self.credit_millis = (self.credit_millis + passed * u64::from(self.rate)).min(self.burst_millis);
        if self.rate == 0 || self.credit_millis < 1000 {
            return false;
        }
        self.credit_millis -= 1000;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = TokenBucket::new(10, 3);
        let taken = |bucket: &mut TokenBucket, at| (0..100).filter(|_| bucket.take(Millis(at))).count();
        assert_eq!(taken(&mut bucket, 5), 3);
        assert_eq!(taken(&mut bucket, 104), 0);
        assert_eq!(taken(&mut bucket, 205), 2);
        assert_eq!(taken(&mut bucket, 60_000), 3);
        assert!(!TokenBucket::new(0, 5).take(Millis(9)));
    }
}
