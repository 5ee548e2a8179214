//! Sending: at a pace, within a bound, on one interface.
//!
//! | sender | packets a second, one core | |
//! |---|---|---|
//! | `af_xdp` | about a million in copy mode | any traffic; the driver's zero-copy where it has it |
//! | `live_frames` | a few million | built and sent by the kernel; drivers with XDP redirect |
//! | `packet` | about half a million | any interface at all |
//!
//! * In: a [`Job`]. Out: a [`SendReport`]; meanwhile [`Progress`].
//! * Each stops by itself at the bound; the kernel's generator does even if this process cannot.
//! * What the interface's queue had no room for is not sent; it is counted by the kernel, and told
//!   ([`SendReport::refused`]).

mod pace;
mod af_xdp;
mod live_frames;
mod packet;

pub use pace::Pace;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use penstock_dataplane::wire::EtherAddr;

use crate::{
    build::Source,
    clock::now_ns,
    link::{Link, LinkCounters},
    measure::Latency,
    spec::{Sender, Spec},
};

/// What to send and when.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What.
    pub spec: &'a Spec,
    /// The marks' run.
    pub run: u16,
    /// When to begin, in nanoseconds of CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// Ends it early.
    pub stop: &'a AtomicBool,
    /// Where it says how far it is.
    pub progress: &'a Progress,
}

/// How far the sender is.
#[derive(Debug, Default)]
pub struct Progress {
    packets: AtomicU64,
    bytes: AtomicU64,
}

/// What was sent.
#[derive(Debug, Clone, Default)]
pub struct SendReport {
    /// Packets that were given to the interface.
    pub packets: u64,
    /// Their bytes, without check sequences.
    pub bytes: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// Packets that the interface's queue had no room for.
    pub refused: u64,
    /// How much later than their mark says packets left: the sender's part in the error of latency.
    pub lateness: Latency,
}

impl Progress {
    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    fn set(&self, packets: u64, bytes: u64) {
        self.packets.store(packets, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Job<'_> {
    /// Whether it is over at `now_ns`, after `sent` packets.
    fn is_over(&self, now_ns: u64, sent: u64) -> bool {
        let Spec { bound, .. } = self.spec;
        let elapsed = u128::from(now_ns.saturating_sub(self.start_ns));
        sent >= bound.packets || elapsed >= bound.duration.as_nanos() || self.stop.load(Ordering::Acquire)
    }

    /// Packets that may leave now.
    fn due(&self, pace: &Pace, now_ns: u64, sent: u64) -> u64 {
        if now_ns < self.start_ns {
            return 0;
        }
        let due = pace.due((now_ns - self.start_ns) / 1000).min(self.spec.bound.packets);
        due.saturating_sub(sent)
    }
}

/// A sender that has all that it needs: what can fail has not.
pub enum Prepared {
    /// See `af_xdp`.
    AfXdp(Box<af_xdp::AfXdpSender>),
    /// See `live_frames`.
    LiveFrames(Box<live_frames::LiveFrames>),
    /// See `packet`.
    Packet(Box<packet::PacketSender>),
}

/// Opens what `spec` asks for, in this thread's namespace.
pub fn prepare(spec: &Spec, run: u16) -> Result<Prepared> {
    let link = Link::find(&spec.interface)?;
    let mac: EtherAddr = spec.source_mac.unwrap_or(link.mac);
    Ok(match spec.sender {
        Sender::AfXdp => {
            let source = Source::new(spec, mac, run)?;
            Prepared::AfXdp(Box::new(af_xdp::AfXdpSender::open(spec, source)?))
        }
        Sender::Packet => {
            let source = Source::new(spec, mac, run)?;
            Prepared::Packet(Box::new(packet::PacketSender::open(spec, source)?))
        }
        Sender::LiveFrames => {
            Prepared::LiveFrames(Box::new(live_frames::LiveFrames::load(spec, mac, run, link.index)?))
        }
    })
}

impl Prepared {
    /// Sends until the bound, or until stopped.
    pub fn send(self, job: Job<'_>) -> Result<SendReport> {
        let before = LinkCounters::of(&job.spec.interface).tx_dropped;
        if let Some(core) = job.spec.core {
            let mut cores = nix::sched::CpuSet::new();
            let pinned = cores
                .set(core)
                .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores));
            pinned.with_context(|| format!("core: {core}: there is no such processor for us"))?;
        }
        let mut report = match self {
            Prepared::AfXdp(sender) => sender.send(job)?,
            Prepared::LiveFrames(sender) => sender.send(job)?,
            Prepared::Packet(sender) => sender.send(job)?,
        };
        report.refused = LinkCounters::of(&job.spec.interface).tx_dropped.saturating_sub(before);
        job.progress.set(report.packets, report.bytes);
        Ok(report)
    }
}

/// Lets time pass until a packet is due, without keeping the processor where the pace is slow.
fn pause(pace: &Pace, until_start_ns: u64) {
    const SHORT: std::time::Duration = std::time::Duration::from_micros(50);
    if until_start_ns > 1_000_000 || pace.is_slow() {
        std::thread::sleep(SHORT);
    } else {
        std::hint::spin_loop();
    }
}

/// Seconds since the job began.
fn seconds_since(start_ns: u64) -> f64 {
    now_ns().saturating_sub(start_ns) as f64 / 1e9
}
