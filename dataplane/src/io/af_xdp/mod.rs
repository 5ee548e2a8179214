//! Packets in and out by AF_XDP sockets.
//!
//! One [`AfXdp`] serves one worker. Each (interface, queue) is a socket with four rings shared with the kernel: fill
//! (free frames, for receiving), receive, transmit, completion (frames that were sent). All sockets of a worker
//! share one UMEM, so a frame received on one is sent on another without a copy where the drivers allow.
//!
//! Cost: a batch is one ring operation a socket and direction. System calls: one or a few `sendto` a batch and
//! transmitting socket where the kernel has to be woken (always, in copy mode); none for receiving.
//!
//! Limits: a worker's sockets are all zero-copy or all copying, because the kernel gives every socket that shares a
//! UMEM the mode of the first. Multi-buffer packets are not received: a packet must fit in one frame.
//! Frames that a vanished interface held stay with it until the value is dropped, which is when the interface is back:
//! the kernel binds no socket to a UMEM whose first socket has lost its interface, so all are opened anew.

mod config;
mod error;
mod link;
mod memory;
mod socket;
mod open;

#[cfg(test)]
mod tests;

pub use config::{AfXdpConfig, BindMode, BindPreference};
pub use error::{OpenError, SocketEvent};

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::pool::FramePool;
use super::{Frame, FrameAccounts, FrameBatch, PacketIo, PortCounters, PortId, SocketReport};
use socket::Socket;

/// The sockets of one worker, and their memory.
#[derive(Debug)]
pub struct AfXdp {
    // Declared, and so dropped, before the memory.
    sockets: Vec<Socket>,
    /// The socket that sends for each port: the first of those it has.
    senders: Box<[Option<u8>; 256]>,
    pool: FramePool,
    descriptors: memory::Descriptors,
    poll: link::PollSet,
    mode: BindMode,
    /// The drivers' receiving is done by this worker's system calls.
    busy_polls: bool,
    /// The socket whose turn it is to be received from first.
    turn: usize,
    /// What happened to packets for ports that have no socket.
    nowhere: PortCounters,
}

impl AfXdp {
    /// How the sockets move packets. One answer for all ports, see the limits above.
    pub fn bind_mode(&self, port: PortId) -> Option<BindMode> {
        self.sender(port).map(|_| self.mode)
    }

    /// Whether the drivers' receiving is done by this worker's system calls.
    pub fn busy_polls(&self) -> bool {
        self.busy_polls
    }

    /// The socket of a port, for the classifier's map. Where a port has several queues: of the first.
    pub fn fd(&self, port: PortId) -> Option<BorrowedFd<'_>> {
        self.sender(port).map(|index| self.sockets[index].fd())
    }

    /// Port, queue and descriptor of every socket, for the classifier's map.
    pub fn fds(&self) -> impl Iterator<Item = (PortId, u32, BorrowedFd<'_>)> {
        self.sockets.iter().map(|socket| (socket.port(), socket.queue(), socket.fd()))
    }

    /// What went wrong since the last call: for a log, some times a second at most.
    pub fn take_events(&mut self) -> Vec<SocketEvent> {
        self.sockets.iter_mut().flat_map(Socket::take_events).collect()
    }

    #[inline]
    fn sender(&self, port: PortId) -> Option<usize> {
        self.senders[usize::from(port.0)].map(usize::from)
    }
}

impl PacketIo for AfXdp {
    fn receive(&mut self, batch: &mut FrameBatch) -> usize {
        let before = batch.len();
        let sockets = self.sockets.len();
        for offset in 0..sockets {
            if batch.is_full() {
                break;
            }
            let index = (self.turn + offset) % sockets;
            self.sockets[index].receive(batch, &mut self.pool, &mut self.descriptors);
        }
        if self.busy_polls && batch.len() == before {
            // The drivers work within the calls, and have filled the rings when these return.
            for socket in &mut self.sockets {
                link::drive(socket.fd());
                socket.receive(batch, &mut self.pool, &mut self.descriptors);
            }
        }
        self.turn = (self.turn + 1) % sockets.max(1);
        batch.len() - before
    }

    fn transmit(&mut self, port: PortId, frame: Frame) {
        match self.sender(port) {
            Some(index) => self.sockets[index].transmit(frame, &mut self.pool, &self.descriptors),
            None => {
                self.nowhere.tx_dropped += 1;
                self.pool.release(frame);
            }
        }
    }

    fn flush(&mut self) {
        for socket in &mut self.sockets {
            socket.flush(&mut self.pool);
        }
        for socket in &mut self.sockets {
            socket.refill(&mut self.pool, &self.descriptors);
        }
    }

    fn allocate(&mut self) -> Option<Frame> {
        self.pool.allocate(PortId::default())
    }

    fn recycle(&mut self, frame: Frame) {
        self.pool.release(frame);
    }

    fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>) {
        self.poll.wait(timeout, wake);
    }

    fn housekeep(&mut self) {
        for socket in &mut self.sockets {
            socket.check_busy_poll();
        }
        for event in self.take_events() {
            let SocketEvent { interface, queue, errno, times, .. } = &event;
            let error = std::io::Error::from_raw_os_error(*errno);
            if event.is_gone() {
                tracing::error!(interface, queue, %error, "the socket has lost its interface");
            } else {
                tracing::warn!(interface, queue, %error, times, "a socket is in trouble");
            }
        }
    }

    fn accounts(&self) -> FrameAccounts {
        FrameAccounts {
            total: self.pool.total(),
            free: self.pool.free(),
            receiving: self.sockets.iter().map(Socket::receiving).sum(),
            sending: self.sockets.iter().map(Socket::sending).sum(),
            outstanding: self.pool.out(),
        }
    }

    /// Asks the kernel for what it dropped: one system call a socket of the port.
    fn counters(&self, port: PortId) -> PortCounters {
        let mut sum = if self.sender(port).is_some() { PortCounters::default() } else { self.nowhere };
        for socket in self.sockets.iter().filter(|socket| socket.port() == port) {
            sum += socket.counters();
        }
        sum
    }

    /// As for [`counters`](Self::counters): one system call a socket.
    fn sockets(&self) -> Vec<SocketReport> {
        self.sockets.iter().map(Socket::report).collect()
    }
}
