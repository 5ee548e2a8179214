//! Sending at a stated pace.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Serialize;

use super::{FrameTemplate, Stamp};
use crate::PacketSocket;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// After so many datagrams.
    Count(u64),
    /// After so long.
    Time(Duration),
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sent {
    /// Datagrams by flow.
    pub by_flow: Vec<u64>,
    /// How long it took.
    pub seconds: f64,
    /// How often the interface's queue was full and we had to wait: a pace that could not be kept.
    pub waits: u64,
}

impl Sent {
    /// All datagrams.
    pub fn total(&self) -> u64 {
        self.by_flow.iter().sum()
    }
}

/// Sends datagrams of `flows` flows in turn, `per_second` a second, until `bound` or `stop`. Every datagram that is
/// counted has been taken by the interface.
pub fn send(
    socket: &PacketSocket,
    template: &FrameTemplate,
    flows: u32,
    per_second: u64,
    bound: Bound,
    stop: &AtomicBool,
) -> Result<Sent> {
    let mut sent = Sent { by_flow: vec![0; flows as usize], seconds: 0.0, waits: 0 };
    let mut frame = Vec::new();
    let started = Instant::now();
    let mut total = 0;
    'sending: while !stop.load(Ordering::Acquire) {
        let elapsed = started.elapsed();
        // What should have been sent by now: a late start is made up for, so the pace holds on average.
        let mut due = u64::try_from(elapsed.as_nanos() * u128::from(per_second) / 1_000_000_000)? + 1;
        match bound {
            Bound::Count(count) => {
                if total >= count {
                    break;
                }
                due = due.min(count);
            }
            Bound::Time(limit) if elapsed >= limit => break,
            Bound::Time(_) => {}
        }
        while total < due {
            let flow = u32::try_from(total % u64::from(flows.max(1)))?;
            let number = &mut sent.by_flow[flow as usize];
            template.build(Stamp { flow, number: *number }, &mut frame)?;
            while !socket.send(&frame)? {
                sent.waits += 1;
                if stop.load(Ordering::Acquire) {
                    break 'sending;
                }
                std::thread::yield_now();
            }
            *number += 1;
            total += 1;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    sent.seconds = started.elapsed().as_secs_f64();
    Ok(sent)
}
