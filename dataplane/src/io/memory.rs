//! Packets in and out of memory, for tests and benchmarks.
//!
//! In: [`MemoryIo::inject`]. Out: [`MemoryIo::sent`]. Frames go the same way as with AF_XDP: what is injected is
//! "receiving" until it is received, what is transmitted is "sending" until [`flush`](PacketIo::flush), and the
//! accounts are exact throughout. The only limit is the number of frames.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::pool::FramePool;
use super::{Frame, FrameAccounts, FrameBatch, FrameRegion, FrameTooSmall, PacketIo, PortCounters, PortId};

/// Why a packet could not be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// All frames are in use; counted in [`PortCounters::rx_missed`].
    #[error("no free frame: {0} frames are all in use")]
    NoFreeFrame(usize),
    /// The packet is longer than a frame.
    #[error(transparent)]
    TooLong(#[from] FrameTooSmall),
    /// There is no such port.
    #[error("there is no port {}: {ports} ports were made", .port.0)]
    NoSuchPort {
        /// The port asked for.
        port: PortId,
        /// How many there are, from 0.
        ports: usize,
    },
}

/// A [`PacketIo`] with its network in memory.
#[derive(Debug)]
pub struct MemoryIo {
    pool: FramePool,
    ports: Vec<Port>,
    /// What happened to packets for ports that don't exist.
    nowhere: PortCounters,
    /// The port whose turn it is to be received from first.
    turn: usize,
    keep_sent: bool,
}

#[derive(Debug, Default)]
struct Port {
    arrived: VecDeque<Frame>,
    queued: VecDeque<Frame>,
    sent: Vec<Vec<u8>>,
    counters: PortCounters,
}

impl MemoryIo {
    /// `ports` ports sharing `frames` frames of 2048 bytes.
    pub fn new(ports: usize, frames: usize) -> MemoryIo {
        MemoryIo::with_frame_size(ports, frames, 2048)
    }

    /// `ports` ports sharing `frames` frames of `frame_size` bytes, rounded up to a power of two.
    pub fn with_frame_size(ports: usize, frames: usize, frame_size: usize) -> MemoryIo {
        MemoryIo {
            pool: FramePool::new(FrameRegion::heap(frames, frame_size), 0),
            ports: (0..ports).map(|_| Port::with_capacity(frames)).collect(),
            nowhere: PortCounters::default(),
            turn: 0,
            keep_sent: true,
        }
    }

    /// Whether sent packets are kept for [`sent`](Self::sent) (they are, until told otherwise). A benchmark says no:
    /// then nothing is copied or allocated on the way out.
    pub fn keep_sent(&mut self, keep: bool) {
        self.keep_sent = keep;
    }

    /// Makes a packet arrive on `port`.
    pub fn inject(&mut self, port: PortId, packet: &[u8]) -> Result<(), InjectError> {
        let ports = self.ports.len();
        let Some(arrival) = self.ports.get_mut(usize::from(port.0)) else {
            return Err(InjectError::NoSuchPort { port, ports });
        };
        let Some(mut frame) = self.pool.allocate(port) else {
            arrival.counters.rx_missed += 1;
            return Err(InjectError::NoFreeFrame(self.pool.total()));
        };
        if let Err(too_small) = frame.write(packet) {
            self.pool.release(frame);
            return Err(too_small.into());
        }
        arrival.arrived.push_back(frame);
        Ok(())
    }

    /// Takes the packets sent on `port` since the last call, in order.
    pub fn sent(&mut self, port: PortId) -> Vec<Vec<u8>> {
        self.ports.get_mut(usize::from(port.0)).map(|port| std::mem::take(&mut port.sent)).unwrap_or_default()
    }

    /// How many ports there are.
    pub fn ports(&self) -> usize {
        self.ports.len()
    }
}

impl Port {
    fn with_capacity(frames: usize) -> Port {
        Port {
            arrived: VecDeque::with_capacity(frames),
            queued: VecDeque::with_capacity(frames),
            ..Port::default()
        }
    }
}

impl PacketIo for MemoryIo {
    fn receive(&mut self, batch: &mut FrameBatch) -> usize {
        let before = batch.len();
        let ports = self.ports.len();
        for port in 0..ports {
            let port = &mut self.ports[(self.turn + port) % ports];
            while !batch.is_full() {
                let Some(frame) = port.arrived.pop_front() else { break };
                port.counters.rx_packets += 1;
                port.counters.rx_bytes += frame.len() as u64;
                batch.push(frame);
            }
        }
        self.turn = if ports == 0 { 0 } else { (self.turn + 1) % ports };
        batch.len() - before
    }

    fn transmit(&mut self, port: PortId, frame: Frame) {
        match self.ports.get_mut(usize::from(port.0)) {
            Some(port) => port.queued.push_back(frame),
            None => {
                self.nowhere.tx_dropped += 1;
                self.pool.release(frame);
            }
        }
    }

    fn flush(&mut self) {
        for port in &mut self.ports {
            for frame in port.queued.drain(..) {
                port.counters.tx_packets += 1;
                port.counters.tx_bytes += frame.len() as u64;
                if self.keep_sent {
                    port.sent.push(frame.to_vec());
                }
                self.pool.release(frame);
            }
        }
    }

    fn allocate(&mut self) -> Option<Frame> {
        self.pool.allocate(PortId::default())
    }

    fn recycle(&mut self, frame: Frame) {
        self.pool.release(frame);
    }

    /// Nothing can arrive while this has the only reference, so it sleeps if nothing is there.
    fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>) {
        if self.ports.iter().any(|port| !port.arrived.is_empty()) {
            return;
        }
        match wake {
            Some(wake) => {
                let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
                let _ = poll(&mut [PollFd::new(wake, PollFlags::POLLIN)], timeout);
            }
            None => std::thread::sleep(timeout),
        }
    }

    fn accounts(&self) -> FrameAccounts {
        let receiving = self.ports.iter().map(|port| port.arrived.len()).sum();
        let sending = self.ports.iter().map(|port| port.queued.len()).sum();
        FrameAccounts {
            total: self.pool.total(),
            free: self.pool.free(),
            receiving,
            sending,
            outstanding: self.pool.out() - receiving - sending,
        }
    }

    fn counters(&self, port: PortId) -> PortCounters {
        self.ports.get(usize::from(port.0)).map_or(self.nowhere, |port| port.counters)
    }
}

impl Drop for MemoryIo {
    fn drop(&mut self) {
        for port in &mut self.ports {
            for frame in port.arrived.drain(..).chain(port.queued.drain(..)) {
                self.pool.release(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_goes_in_and_out() {
        let mut io = MemoryIo::new(2, 4);
        io.inject(PortId(1), b"hello").unwrap();
        assert_eq!(
            io.accounts(),
            FrameAccounts { total: 4, free: 3, receiving: 1, ..FrameAccounts::default() }
        );
        let mut batch = FrameBatch::new();
        assert_eq!(io.receive(&mut batch), 1);
        let frame = batch.pop().unwrap();
        assert_eq!((&frame[..], frame.port()), (&b"hello"[..], PortId(1)));
        assert_eq!(io.accounts().outstanding, 1);
        io.transmit(PortId(0), frame);
        assert_eq!((io.accounts().sending, io.sent(PortId(0)).len()), (1, 0));
        io.flush();
        assert_eq!(io.sent(PortId(0)), [b"hello"]);
        assert_eq!(io.accounts(), FrameAccounts { total: 4, free: 4, ..FrameAccounts::default() });
        assert_eq!(
            io.counters(PortId(0)),
            PortCounters { tx_packets: 1, tx_bytes: 5, ..PortCounters::default() }
        );
        assert_eq!(
            io.counters(PortId(1)),
            PortCounters { rx_packets: 1, rx_bytes: 5, ..PortCounters::default() }
        );
    }

    #[test]
    fn refusals_are_named_and_cost_no_frame() {
        let mut io = MemoryIo::with_frame_size(1, 1, 64);
        assert!(matches!(io.inject(PortId(0), &[0; 65]), Err(InjectError::TooLong(_))));
        assert!(matches!(io.inject(PortId(9), b""), Err(InjectError::NoSuchPort { ports: 1, .. })));
        io.inject(PortId(0), b"x").unwrap();
        assert_eq!(io.inject(PortId(0), b"y"), Err(InjectError::NoFreeFrame(1)));
        assert_eq!(io.counters(PortId(0)).rx_missed, 1);
        let mut batch = FrameBatch::new();
        io.receive(&mut batch);
        io.transmit(PortId(9), batch.remove(0));
        assert_eq!(io.counters(PortId(9)).tx_dropped, 1);
        assert_eq!(io.accounts().free, 1);
    }

    #[test]
    fn a_busy_port_does_not_starve_another() {
        let mut io = MemoryIo::new(2, 256);
        for _ in 0..128 {
            io.inject(PortId(0), b"busy").unwrap();
        }
        io.inject(PortId(1), b"quiet").unwrap();
        let mut batch = FrameBatch::new();
        let mut seen = 0;
        for _ in 0..2 {
            io.receive(&mut batch);
            seen += batch.iter().filter(|frame| frame.port() == PortId(1)).count();
            batch.drain(..).for_each(|frame| io.recycle(frame));
        }
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_dropped_frame_stays_outstanding() {
        let mut io = MemoryIo::new(1, 2);
        let _lost = io.allocate();
        assert_eq!(io.accounts().outstanding, 1);
    }

    proptest! {
        /// Whatever is done, the sum of the accounts is the total and the frames held are the outstanding ones.
        #[test]
        fn accounts_balance(steps in prop::collection::vec((0u8..6, 0u8..3), 0..200)) {
            let mut io = MemoryIo::new(2, 8);
            let mut held: Vec<Frame> = Vec::new();
            for (step, port) in steps {
                match step {
                    0 => drop(io.inject(PortId(port), b"packet")),
                    1 => {
                        let mut batch = FrameBatch::new();
                        io.receive(&mut batch);
                        held.extend(batch);
                    }
                    2 => held.extend(io.allocate()),
                    3 => if let Some(frame) = held.pop() { io.transmit(PortId(port), frame) },
                    4 => if let Some(frame) = held.pop() { io.recycle(frame) },
                    _ => io.flush(),
                }
                let FrameAccounts { total, free, receiving, sending, outstanding } = io.accounts();
                prop_assert_eq!(free + receiving + sending + outstanding, total);
                prop_assert_eq!(outstanding, held.len());
            }
            held.drain(..).for_each(|frame| io.recycle(frame));
            io.flush();
            prop_assert_eq!(io.accounts().outstanding, 0);
        }
    }
}
