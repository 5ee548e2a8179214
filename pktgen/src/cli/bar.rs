//! The progress bar, on standard error, and only if that is a terminal.

use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use penstock_pktgen::{spec::Bound, trial::Tick};

/// Parts of a bar.
const PARTS: u64 = 1000;

/// A bar for a bound in time and number.
pub(super) struct Bar {
    bar: ProgressBar,
    bound: Bound,
}

impl Bar {
    /// Shows it.
    pub(super) fn new(title: &str, bound: Bound) -> Result<Bar> {
        let bar = ProgressBar::new(PARTS);
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} %  {msg}")?;
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(title.to_owned());
        Ok(Bar { bar, bound })
    }

    /// For a run.
    pub(super) fn tick(&self, tick: &Tick) {
        let last = &tick.last;
        let mut text = format!("{:.3} Mpps", last.sent_per_second / 1e6);
        if let Some(received) = tick.received {
            let missing = tick.sent.saturating_sub(received);
            text += &format!(", {:.3} received, {missing} missing", last.received_per_second / 1e6);
        }
        if let Some(p99) = last.p99_us {
            text += &format!(", p99 {p99:.0} µs");
        }
        self.show(tick.elapsed, tick.sent, text);
    }

    /// For anything.
    pub(super) fn show(&self, elapsed: Duration, done: u64, text: String) {
        let of_time = elapsed.as_secs_f64() / self.bound.duration.as_secs_f64();
        let of_number = done as f64 / self.bound.packets as f64;
        self.bar.set_position((of_time.max(of_number).min(1.0) * PARTS as f64) as u64);
        self.bar.set_message(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
