//! How long frames were under way.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Values are kept to three digits.
const DIGITS: u8 = 3;
/// A minute: what takes longer counts as a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// A histogram of times.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

/// Its percentiles, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencySummary {
    /// How many frames.
    pub count: u64,
    /// The shortest.
    pub min_us: f64,
    /// The mean.
    pub mean_us: f64,
    /// Half are shorter.
    pub p50_us: f64,
    /// Nine in ten.
    pub p90_us: f64,
    /// 99 in 100.
    pub p99_us: f64,
    /// 999 in 1000.
    pub p999_us: f64,
    /// 9999 in 10,000.
    pub p9999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        // The bounds are constants that are right.
        Latency(histogram.unwrap_or_else(|_| unreachable!("the histogram's bounds are right")))
    }
}

impl Latency {
    /// Enters a time.
    #[inline]
    pub fn enter(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds another's times.
    pub fn add(&mut self, other: &Latency) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The percentiles.
    pub fn summary(&self) -> LatencySummary {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        if self.0.is_empty() {
            return LatencySummary::default();
        }
        LatencySummary {
            count: self.0.len(),
            min_us: self.0.min() as f64 / 1e3,
            mean_us: self.0.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: self.0.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut latency = Latency::default();
        assert_eq!(latency.summary(), LatencySummary::default());
        (1..=10_000).for_each(|us| latency.enter(us * 1000));
        let summary = latency.summary();
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.002;
        assert!(near(summary.p50_us, 5000.0) && near(summary.p9999_us, 9999.0), "{summary:?}");
        assert_eq!((summary.count, summary.min_us), (10_000, 1.0));
        latency.enter(u64::MAX);
        assert!(near(latency.summary().max_us, 6e7));
        latency.clear();
        assert_eq!(latency.summary().count, 0);
    }
}
