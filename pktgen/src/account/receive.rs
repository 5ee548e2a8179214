//! Receiving, and entering every datagram into the account.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Bound, Ledger, Stamp, read_payload};
use crate::PacketSocket;

/// What was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The account.
    pub ledger: Ledger,
    /// Frames that the kernel dropped because we were slow. Unless it is 0, a loss is not the network's.
    pub missed: u64,
}

/// Receives on `socket` until `bound` (a count is of different datagrams) or `stop`.
pub fn receive(
    socket: &PacketSocket,
    mut ledger: Ledger,
    bound: Bound,
    stop: &AtomicBool,
) -> Result<Received> {
    socket.set_patience(Duration::from_millis(20))?;
    let mut buffer = vec![0; 65_536];
    let started = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let ended = match bound {
            Bound::Count(count) => ledger.arrived() >= count,
            Bound::Time(limit) => started.elapsed() >= limit,
        };
        if ended {
            break;
        }
        if let Some(payload) = socket.receive(&mut buffer)?.and_then(read_payload) {
            ledger.enter(Stamp::read(payload));
        }
    }
    Ok(Received { ledger, missed: socket.missed()? })
}
