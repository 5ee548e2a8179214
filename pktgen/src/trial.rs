//! One run: sending and receiving at the same time, with somebody watching.
//!
//! The receiver is ready before the first packet leaves, and listens on until nothing has come for a while after the last
//! (RFC 2544 §23 waits two seconds; so do we, at most). Stopped early, a run ends as if that had been its bound.

use std::{
    sync::atomic::{AtomicBool, AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    clock::now_ns,
    measure::{ArrivalCounts, LatencySummary, Sample, Series},
    receive::{Received, Receiver},
    send::{self, Job, Progress, SendReport},
    spec::{Rate, Spec},
};

/// Time for threads to be ready before the first packet.
const LEAD: Duration = Duration::from_millis(50);
/// How often somebody watching is told.
const TICK: Duration = Duration::from_millis(100);
/// Intervals of the series, at most.
const INTERVALS: u32 = 200;
/// How long nothing must have come after the last packet, and how long to wait for that.
const SILENCE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(2);

/// How far a run is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tick {
    /// Since it began.
    pub elapsed: Duration,
    /// Packets sent.
    pub sent: u64,
    /// Packets received, if anything is received on.
    pub received: Option<u64>,
    /// The last interval.
    pub last: Sample,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Packets sent, without those that the interface refused.
    pub sent: u64,
    /// Packets the interface refused.
    pub refused: u64,
    /// Bytes given to the interface, without check sequences.
    pub bytes: u64,
    /// How long sending took.
    pub seconds: f64,
    /// What was received, if anything was received on.
    pub received: Option<Arrived>,
    /// Rate and latency over time.
    pub series: Vec<Sample>,
    /// How much later than they say packets left, in microseconds: median, 99th percentile.
    pub late_us: (f64, f64),
    /// Whether it was stopped before its bound.
    pub interrupted: bool,
}

/// What was received.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Frames, doubles included.
    pub packets: u64,
    /// Packets that did not arrive, of all that were given to the interface.
    pub lost: u64,
    /// What became of those that were looked at.
    pub arrivals: ArrivalCounts,
    /// How long they were under way.
    pub latency: LatencySummary,
    /// Frames that arrived and were not looked at, since the receiver was too slow.
    pub missed: u64,
    /// Whether times of arrival are the kernel's.
    pub is_stamped: bool,
}

impl Outcome {
    /// Packets given to the interface.
    pub fn offered(&self) -> u64 {
        self.sent + self.refused
    }

    /// Packets a second that were given to the interface.
    pub fn offered_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.offered() as f64 / self.seconds } else { 0.0 }
    }

    /// The part of what was offered that was lost; nothing if nothing was received on.
    pub fn loss(&self) -> f64 {
        let lost = self.received.as_ref().map_or(0, |received| received.lost);
        if self.offered() == 0 { 0.0 } else { lost as f64 / self.offered() as f64 }
    }

    /// Whether the pace was kept, within 2 %.
    pub fn kept_pace(&self, spec: &Spec) -> bool {
        match spec.rate {
            Rate::Max => true,
            Rate::PerSecond(rate) => {
                let whole = self.seconds - spec.ramp.as_secs_f64().min(self.seconds) / 2.0;
                self.offered() as f64 >= 0.98 * whole * rate as f64 - 1.0
            }
        }
    }
}

/// Runs `spec` until its bound or `stop`, telling `watch` ten times a second.
pub fn run(spec: &Spec, stop: &AtomicBool, mut watch: impl FnMut(&Tick)) -> Result<Outcome> {
    let run = new_run();
    if spec.receive.is_some() && !spec.is_marked() {
        bail!("receive: a capture and tcp-syn have no marks to recognise: leave it out");
    }
    let prepared = send::prepare(spec, run)?;
    let flows = spec.traffic.iter().map(|traffic| traffic.flows as usize).sum();
    let receiver =
        spec.receive.as_ref().map(|place| Receiver::start(place, run, flows, spec.sample)).transpose()?;
    let progress = Progress::default();
    let start_ns = now_ns() + LEAD.as_nanos() as u64;
    let job = Job { spec, run, start_ns, stop, progress: &progress };
    let mut series = Series::default();
    let interval = (spec.bound.duration / INTERVALS).clamp(TICK, Duration::from_secs(1));
    let sent = std::thread::scope(|scope| {
        // A thread keeps the namespace of the one that made it.
        let sender = scope.spawn(|| prepared.send(job));
        let mut next = interval;
        while !sender.is_finished() {
            std::thread::sleep(TICK.min(Duration::from_millis(20)));
            let elapsed = Duration::from_nanos(now_ns().saturating_sub(start_ns));
            if elapsed >= next && !sender.is_finished() {
                next += interval;
                watch(&tick(elapsed, &progress, receiver.as_ref(), &mut series));
            }
        }
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let interrupted = stop.load(Ordering::Acquire);
    watch(&tick(Duration::from_secs_f64(sent.seconds), &progress, receiver.as_ref(), &mut series));
    let received = match receiver {
        None => None,
        Some(receiver) => {
            settle(&receiver, sent.packets);
            Some(receiver.end()?)
        }
    };
    Ok(outcome(&sent, received, series.samples().to_vec(), interrupted))
}

fn tick(elapsed: Duration, progress: &Progress, receiver: Option<&Receiver>, series: &mut Series) -> Tick {
    let look = receiver.map(Receiver::look);
    let (sent, now) = (progress.packets(), look.unwrap_or_default());
    series.enter(elapsed, sent, now.packets, &now.latency);
    Tick {
        elapsed,
        sent,
        received: look.map(|look| look.packets),
        last: series.samples().last().copied().unwrap_or_default(),
    }
}

/// Waits for what is under way.
fn settle(receiver: &Receiver, sent: u64) {
    let began = Instant::now();
    let (mut last, mut since) = (receiver.look().packets, Instant::now());
    while last < sent && since.elapsed() < SILENCE && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
        let now = receiver.look().packets;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

fn outcome(sent: &SendReport, received: Option<Received>, series: Vec<Sample>, interrupted: bool) -> Outcome {
    let late = sent.lateness.summary();
    let received = received.map(|received| {
        let Received { packets, arrivals, missed, is_stamped, .. } = received;
        let unique = packets.saturating_sub(arrivals.duplicated + arrivals.foreign);
        let lost = sent.packets.saturating_sub(unique);
        Arrived { packets, lost, arrivals, latency: received.latency.summary(), missed, is_stamped }
    });
    Outcome {
        sent: sent.packets.saturating_sub(sent.refused),
        refused: sent.refused.min(sent.packets),
        bytes: sent.bytes,
        seconds: sent.seconds,
        received,
        series,
        late_us: (late.p50_us, late.p99_us),
        interrupted,
    }
}

/// A number that other runs of the last minutes do not have.
fn new_run() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id().wrapping_mul(0x9e37_79b1) >> 16;
    (process as u16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
}
