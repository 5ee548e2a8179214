//! Processors used: by everything on the machine, softirqs and the kernel's threads included, without the generator.
//! What others do on the machine is counted too: the figure is worth something where nobody else is.

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

/// A tick of /proc/stat.
const TICK: Duration = Duration::from_millis(10);

/// A moment's accounts.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    at: Instant,
    busy: Duration,
    /// By processor.
    cores: Vec<Duration>,
    own: Duration,
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Moment {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let mut lines = text.lines().take_while(|line| line.starts_with("cpu")).map(busy);
        let all = lines.next().unwrap_or_default();
        Moment { at: Instant::now(), busy: all, cores: lines.collect(), own: own() }
    }

    /// Processors used since `before`, this process (the generator and the reader) not included.
    pub(crate) fn cores_since(&self, before: &Moment) -> f64 {
        let busy = self.busy.saturating_sub(before.busy).saturating_sub(self.own.saturating_sub(before.own));
        let time = self.at.saturating_duration_since(before.at);
        if time.is_zero() { 0.0 } else { busy.as_secs_f64() / time.as_secs_f64() }
    }

    /// How much of one processor was used since `before`, by whomever.
    pub(crate) fn core_since(&self, before: &Moment, core: usize) -> f64 {
        let [now, then] = [self, before].map(|moment| moment.cores.get(core).copied().unwrap_or_default());
        let time = self.at.saturating_duration_since(before.at);
        if time.is_zero() { 0.0 } else { now.saturating_sub(then).as_secs_f64() / time.as_secs_f64() }
    }
}

/// Of a line: cpu user nice system idle iowait irq softirq steal …: all but idle, iowait and steal.
fn busy(line: &str) -> Duration {
    let fields = line.split_whitespace().skip(1).take(7);
    let ticks: u32 = fields
        .enumerate()
        .filter(|(index, _)| *index != 3 && *index != 4)
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum::<u64>()
        .try_into()
        .unwrap_or(u32::MAX);
    TICK * ticks
}

fn own() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    let micros = usage.map_or(0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec()
    });
    Duration::from_micros(micros.unsigned_abs())
}
