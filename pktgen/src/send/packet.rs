//! Sending through a packet socket: one system call a packet, on any interface.

use anyhow::Result;

use super::{Job, Pace, SendReport, pause, seconds_since};
use crate::{PacketSocket, build::Source, clock::now_ns, spec::Spec};

/// Packets between two looks at the bound.
const BATCH: u64 = 32;

/// A sender with its socket.
#[derive(Debug)]
pub struct PacketSender {
    socket: PacketSocket,
    source: Source,
}

impl PacketSender {
    /// Opens the socket.
    pub(super) fn open(spec: &Spec, source: Source) -> Result<PacketSender> {
        Ok(PacketSender { socket: PacketSocket::open(&spec.interface)?, source })
    }

    pub(super) fn send(mut self, job: Job<'_>) -> Result<SendReport> {
        let pace = Pace::of(job.spec);
        let mut report = SendReport::default();
        let mut frame = vec![0; self.source.longest()];
        'sending: loop {
            let now = now_ns();
            if job.is_over(now, report.packets) {
                break;
            }
            let due = job.due(&pace, now, report.packets).min(BATCH);
            if due == 0 {
                pause(&pace, job.start_ns.saturating_sub(now));
                continue;
            }
            for _ in 0..due {
                let now = now_ns();
                let length = self.source.next(&mut frame, now);
                while !self.socket.send(&frame[..length])? {
                    if job.is_over(now_ns(), report.packets) {
                        break 'sending;
                    }
                    std::thread::yield_now();
                }
                report.packets += 1;
                report.bytes += length as u64;
                report.lateness.enter(now_ns() - now);
            }
            job.progress.set(report.packets, report.bytes);
        }
        report.seconds = seconds_since(job.start_ns);
        Ok(report)
    }
}
