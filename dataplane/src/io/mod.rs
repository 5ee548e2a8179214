//! Packets in and out.
//!
//! [`PacketIo`] is the one way by which the packet path reaches a network: AF_XDP in production, memory in tests
//! and benchmarks, a pcap file in replays, and a wrapper that injects faults. One value serves one worker and all
//! of its ports (interface queues), which share one region of frame memory, so that a frame received on one port
//! can be sent on another without a copy.
//!
//! Frames are accounted for: a [`Frame`] is neither `Copy` nor `Clone`, it is given out by an implementation and
//! must come back to the same one by [`PacketIo::transmit`] or [`PacketIo::recycle`].

mod frame;
mod pool;
mod memory;
pub mod af_xdp;
pub mod pcap;
mod tun;
mod wake;
pub mod fault;

#[cfg(test)]
pub(crate) mod testing;

pub use af_xdp::{AfXdp, AfXdpConfig};
pub use fault::{FaultPlan, FaultyIo};
pub use frame::{BATCH, Frame, FrameBatch, FrameRegion, FrameTooSmall};
pub use memory::{InjectError, MemoryIo};
pub use pcap::PcapIo;
pub use tun::{Tun, TunError};
pub use wake::Waker;

use std::ops::AddAssign;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A port of a worker: the index of one interface in the configuration's list of interfaces. The same in every
/// worker (the queue differs, the port does not), in the tables' next hops, and in the classifier's maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PortId(pub u8);

/// Where all the frames of a [`PacketIo`] are. `total` is always the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameAccounts {
    /// Frames the region was cut into.
    pub total: usize,
    /// Frames in the free list.
    pub free: usize,
    /// Frames given to the network for receiving (fill rings and receive rings).
    pub receiving: usize,
    /// Frames given to the network for sending and not yet completed.
    pub sending: usize,
    /// Frames in the hands of the caller.
    pub outstanding: usize,
}

/// What one port did, since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets handed to the network.
    pub tx_packets: u64,
    /// Bytes handed to the network.
    pub tx_bytes: u64,
    /// Packets not sent because the transmit ring stayed full, or the port is down.
    pub tx_dropped: u64,
    /// Packets the network dropped before we saw them: no free frame, or the receive ring was full.
    pub rx_missed: u64,
    /// Of these: those for which the receive ring had no room.
    pub rx_ring_full: u64,
    /// How often the network found no free frame. In copy mode each of these times is a packet missed.
    pub fill_ring_empty: u64,
}

/// One socket of a port, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketReport {
    /// The port.
    pub port: PortId,
    /// The queue of its interface.
    pub queue: u32,
    /// Whether it is bound to an interface that exists. Once it is not it never will be again.
    pub attached: bool,
    /// What it did.
    pub counters: PortCounters,
}

impl AddAssign for PortCounters {
    fn add_assign(&mut self, other: PortCounters) {
        self.rx_packets += other.rx_packets;
        self.rx_bytes += other.rx_bytes;
        self.tx_packets += other.tx_packets;
        self.tx_bytes += other.tx_bytes;
        self.tx_dropped += other.tx_dropped;
        self.rx_missed += other.rx_missed;
        self.rx_ring_full += other.rx_ring_full;
        self.fill_ring_empty += other.fill_ring_empty;
    }
}

/// Batch input and output of one worker.
pub trait PacketIo {
    /// Moves up to the free room of `batch` received frames into it, taking turns between the ports, and returns
    /// how many. Never blocks.
    fn receive(&mut self, batch: &mut FrameBatch) -> usize;

    /// Queues `frame` for sending on `port`. It leaves with the next [`flush`](Self::flush) at the latest. Where
    /// the port cannot take it, the frame is recycled and counted in [`PortCounters::tx_dropped`].
    fn transmit(&mut self, port: PortId, frame: Frame);

    /// Ends a batch: makes queued frames leave, collects completed ones, refills the receive side.
    fn flush(&mut self);

    /// A free frame of length zero, to build a packet in; `None` if there is none.
    fn allocate(&mut self) -> Option<Frame>;

    /// Takes back a frame that is not to be sent.
    fn recycle(&mut self, frame: Frame);

    /// Sleeps until a packet may be there, `wake` can be read from, or `timeout` has passed.
    fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>);

    /// Called a few times a second: the place to look after what need not be looked after per batch, and to report
    /// what went wrong since the last time.
    fn housekeep(&mut self) {}

    /// Where the frames are now.
    fn accounts(&self) -> FrameAccounts;

    /// The counters of `port`.
    fn counters(&self, port: PortId) -> PortCounters;

    /// Each socket, where there are any.
    fn sockets(&self) -> Vec<SocketReport> {
        Vec::new()
    }
}
