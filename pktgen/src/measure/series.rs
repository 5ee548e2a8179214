//! Rate and latency over time.

use std::time::Duration;

use serde::Serialize;

use super::LatencySummary;

/// An interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Its end, since sending began.
    pub seconds: f64,
    /// Packets sent, a second.
    pub sent_per_second: f64,
    /// Packets received, a second; 0 where nothing was received on.
    pub received_per_second: f64,
    /// Median latency; missing where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
}

/// Totals become rates here.
#[derive(Debug, Clone, Default)]
pub struct Series {
    samples: Vec<Sample>,
    last: (Duration, u64, u64),
}

impl Series {
    /// Ends an interval at `time`, with what had been sent and received by then, and the latency within.
    pub fn enter(&mut self, time: Duration, sent: u64, received: u64, latency: &LatencySummary) {
        let (last_time, last_sent, last_received) = self.last;
        let seconds = time.saturating_sub(last_time).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let measured = latency.count > 0;
        self.samples.push(Sample {
            seconds: time.as_secs_f64(),
            sent_per_second: rate(sent, last_sent),
            received_per_second: rate(received, last_received),
            p50_us: measured.then_some(latency.p50_us),
            p99_us: measured.then_some(latency.p99_us),
        });
        self.last = (time, sent, received);
    }

    /// The intervals.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_become_rates() {
        let mut series = Series::default();
        let none = LatencySummary::default();
        let some = LatencySummary { count: 1, p50_us: 5.0, p99_us: 9.0, ..none };
        series.enter(Duration::from_millis(500), 100, 90, &none);
        series.enter(Duration::from_millis(500), 100, 90, &none);
        series.enter(Duration::from_secs(1), 300, 290, &some);
        let rates: Vec<_> = series
            .samples()
            .iter()
            .map(|one| (one.sent_per_second, one.received_per_second, one.p99_us))
            .collect();
        assert_eq!(rates, [(200.0, 180.0, None), (400.0, 400.0, Some(9.0))]);
    }
}
