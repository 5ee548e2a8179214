//! Sending through an AF_XDP socket, by the dataplane's own rings.
//!
//! Frames are built in the UMEM, a batch at a time with one look at the clock. No XDP program is needed, and one that is
//! attached stays. Limits: queue 0 of the interface.

use anyhow::{Context, Result, bail};
use penstock_dataplane::io::{AfXdp, AfXdpConfig, BATCH, PacketIo, PortId};

use super::{Job, Pace, SendReport, pause, seconds_since};
use crate::{build::Source, clock::now_ns, spec::Spec};

const PORT: PortId = PortId(0);
/// Turns without progress after which frames count as stuck in the ring.
const IDLE_TURNS: u32 = 10_000;

/// A sender with its socket.
#[derive(Debug)]
pub struct AfXdpSender {
    io: AfXdp,
    source: Source,
    ring_size: usize,
}

impl AfXdpSender {
    /// Opens the socket.
    pub(super) fn open(spec: &Spec, source: Source) -> Result<AfXdpSender> {
        let config = AfXdpConfig { huge_pages: false, ..AfXdpConfig::default() };
        let mut io = AfXdp::open(&config, &[(PORT, &spec.interface, 0)])?;
        let frame = io.allocate().context("a new socket has no frames")?;
        let room = frame.room();
        io.recycle(frame);
        if source.longest() > room {
            bail!("size: {}: a frame of AF_XDP has room for {room} bytes", source.longest());
        }
        Ok(AfXdpSender { io, source, ring_size: config.ring_size as usize })
    }

    pub(super) fn send(mut self, job: Job<'_>) -> Result<SendReport> {
        let pace = Pace::of(job.spec);
        let mut report = SendReport::default();
        loop {
            let now = now_ns();
            if job.is_over(now, report.packets) {
                break;
            }
            let room = self.ring_size.saturating_sub(self.io.accounts().sending);
            let due = job.due(&pace, now, report.packets).min(BATCH.min(room) as u64);
            if due == 0 {
                if room == 0 {
                    self.io.flush();
                } else {
                    pause(&pace, job.start_ns.saturating_sub(now));
                }
                continue;
            }
            for _ in 0..due {
                let Some(mut frame) = self.io.allocate() else { break };
                let room = frame.room();
                frame.resize(room)?;
                let length = self.source.next(&mut frame, now);
                frame.resize(length)?;
                self.io.transmit(PORT, frame);
                report.packets += 1;
                report.bytes += length as u64;
            }
            self.io.flush();
            report.lateness.enter(now_ns() - now);
            job.progress.set(report.packets, report.bytes);
        }
        self.drain();
        report.seconds = seconds_since(job.start_ns);
        // Given to the socket and never taken from it: not sent.
        report.packets -= self.io.accounts().sending as u64 + self.io.counters(PORT).tx_dropped;
        Ok(report)
    }

    /// Waits for what is still in the ring.
    fn drain(&mut self) {
        let mut idle = 0;
        let mut last = self.io.accounts().sending;
        while last > 0 && idle < IDLE_TURNS {
            self.io.flush();
            let now = self.io.accounts().sending;
            idle = if now < last { 0 } else { idle + 1 };
            last = now;
        }
    }
}
