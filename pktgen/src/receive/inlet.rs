//! The two ways in: AF_XDP behind our program, or a packet socket.

use std::time::Duration;

use anyhow::Result;
use penstock_dataplane::io::{AfXdp, AfXdpConfig, FrameBatch, PacketIo, PortId};

use super::catch::Catch;
use crate::{
    PacketSocket,
    build::{Mark, find_mark},
    clock::now_ns,
    link::{Link, receive_queues},
};

const PORT: PortId = PortId(0);
/// Entries of a ring: what comes while this thread has no processor must fit.
const RING: u32 = 16_384;
/// How long to wait for a frame.
const PATIENCE: Duration = Duration::from_millis(2);

/// A way in.
pub(super) enum Inlet {
    /// Our program, and its sockets unless it only counts.
    Xdp { catch: Box<Catch>, io: Option<Box<AfXdp>>, batch: Box<FrameBatch> },
    /// A packet socket.
    Packet { socket: PacketSocket, buffer: Vec<u8>, missed: u64 },
}

impl Inlet {
    /// Opens the better of the two that there is, in this thread's namespace.
    pub(super) fn open(interface: &str, run: u16, sample: u32) -> Result<Inlet> {
        let link = Link::find(interface)?;
        match Catch::attach(interface, link.index, run, sample)? {
            Some(catch) if sample == 0 => {
                Ok(Inlet::Xdp { catch: Box::new(catch), io: None, batch: Box::default() })
            }
            Some(mut catch) => {
                let ports: Vec<_> =
                    (0..receive_queues(interface)).map(|queue| (PORT, interface, queue)).collect();
                let config = AfXdpConfig { ring_size: RING, huge_pages: false, ..AfXdpConfig::default() };
                let io = AfXdp::open(&config, &ports)?;
                for (_, queue, socket) in io.fds() {
                    catch.bind(queue, socket)?;
                }
                Ok(Inlet::Xdp { catch: Box::new(catch), io: Some(Box::new(io)), batch: Box::default() })
            }
            None => {
                let socket = PacketSocket::open(interface)?;
                socket.set_patience(PATIENCE)?;
                Ok(Inlet::Packet { socket, buffer: vec![0; 65_536], missed: 0 })
            }
        }
    }

    /// Whether the time of an arrival is the kernel's.
    pub(super) fn is_stamped(&self) -> bool {
        matches!(self, Inlet::Xdp { .. })
    }

    /// What was counted, where it is counted before it comes here.
    pub(super) fn counted(&self) -> Result<Option<u64>> {
        match self {
            Inlet::Xdp { catch, .. } => Ok(Some(catch.counts()?.packets)),
            Inlet::Packet { .. } => Ok(None),
        }
    }

    /// Frames that did not reach this thread though they arrived.
    pub(super) fn missed(&mut self) -> Result<u64> {
        match self {
            Inlet::Xdp { io, .. } => Ok(io.as_ref().map_or(0, |io| io.counters(PORT).rx_missed)),
            Inlet::Packet { socket, missed, .. } => {
                *missed += socket.missed()?;
                Ok(*missed)
            }
        }
    }

    /// Calls `enter` with every frame that is there: its mark, whether it is whole, and when it came. Waits a little, and
    /// returns false, if there is none.
    pub(super) fn receive(&mut self, mut enter: impl FnMut(Mark, bool, u64)) -> Result<bool> {
        match self {
            Inlet::Xdp { io: None, .. } => {
                std::thread::sleep(PATIENCE);
                Ok(false)
            }
            Inlet::Xdp { io: Some(io), batch, .. } => {
                let any = io.receive(batch) > 0;
                if !any {
                    io.wait(PATIENCE, None);
                }
                for frame in batch.drain(..) {
                    let arrived = frame.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
                    if let Some((mark, whole)) = find_mark(&frame) {
                        enter(mark, whole, arrived);
                    }
                    io.recycle(frame);
                }
                io.flush();
                Ok(any)
            }
            Inlet::Packet { socket, buffer, .. } => {
                let Some(frame) = socket.receive(buffer)? else { return Ok(false) };
                let now = now_ns();
                if let Some((mark, whole)) = find_mark(frame) {
                    enter(mark, whole, now);
                }
                Ok(true)
            }
        }
    }
}
