//! What the person who runs the demonstration sees while it runs: on standard error, so that the result has
//! standard output for itself.

use std::{io::Write, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::requests::Load;

/// Says one line.
pub(super) fn say(line: &str) {
    // Nobody may be reading: that is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The live line of a run of requests.
pub(super) struct LiveLine {
    bar: ProgressBar,
}

impl LiveLine {
    /// A line for `load`; invisible where standard error is no terminal.
    pub(super) fn new(load: &Load) -> LiveLine {
        let bar = ProgressBar::new(load.total());
        if let Ok(style) = ProgressStyle::with_template("  {bar:32} {pos}/{len} requests  {per_sec}  {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        LiveLine { bar }
    }

    /// Shows how far it is.
    pub(super) fn update(&self, load: &Load) {
        self.bar.set_position(load.done());
        self.bar.set_message(format!("{} failed", load.failed()));
    }

    /// Says something above the line.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
