//! Packets of another worker's flows, handed over by copy through bounded lock-free rings.
//!
//! Every worker has an inbox: a ring of full buffers and a ring of empty ones. A sender takes an empty buffer of the
//! receiver's, copies the packet in and puts it among the full ones; the receiver copies it into a frame of its own and
//! puts the buffer back. Frames never change hands, because each belongs to its worker's UMEM; buffers are made once.
//! A full inbox refuses, and the sender counts it. A receiver that sleeps is woken.

use crate::io::{FrameBatch, PacketIo, PortId, Waker};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;

/// Packets that can wait for one worker.
const INBOX: usize = 512;

#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    port: PortId,
}

#[derive(Debug)]
struct Inbox {
    full: ArrayQueue<Buffer>,
    empty: ArrayQueue<Buffer>,
    waker: Arc<Waker>,
}

/// The inboxes of all workers.
#[derive(Debug, Clone)]
pub struct Mesh {
    inboxes: Arc<[Inbox]>,
}

/// One worker's place in the mesh.
#[derive(Debug)]
pub struct Handoff {
    mesh: Mesh,
    worker: usize,
}

impl Mesh {
    /// A mesh of `workers` workers for packets of at most `frame_size` bytes. A single worker needs no buffers.
    pub fn new(workers: usize, frame_size: usize) -> Self {
        let inbox = || {
            let (full, empty) = (ArrayQueue::new(INBOX), ArrayQueue::new(INBOX));
            let buffers = if workers > 1 { INBOX } else { 0 };
            for _ in 0..buffers {
                let bytes = vec![0; frame_size].into_boxed_slice();
                let pushed = empty.push(Buffer { bytes, len: 0, port: PortId::default() });
                debug_assert!(pushed.is_ok(), "the ring has room for every buffer");
            }
            Inbox { full, empty, waker: Arc::default() }
        };
        Self { inboxes: (0..workers).map(|_| inbox()).collect() }
    }

    /// The place of `worker`.
    pub fn place(&self, worker: usize) -> Handoff {
        Handoff { mesh: self.clone(), worker }
    }
}

impl Handoff {
    /// Gives a copy of `frame` to `owner`. `false`: its inbox is full, or the packet too long.
    pub fn send(&self, owner: u16, frame: &crate::io::Frame) -> bool {
        let Some(inbox) = self.mesh.inboxes.get(usize::from(owner)) else { return false };
        let Some(mut buffer) = inbox.empty.pop() else { return false };
        let fits = frame.len() <= buffer.bytes.len();
        if fits {
            buffer.bytes[..frame.len()].copy_from_slice(frame);
            (buffer.len, buffer.port) = (frame.len(), frame.port());
        }
        // Each ring has room for every buffer there is, so neither push can fail.
        let pushed = if fits { inbox.full.push(buffer) } else { inbox.empty.push(buffer) };
        debug_assert!(pushed.is_ok(), "a ring holds all buffers");
        if fits {
            inbox.waker.wake();
        }
        fits
    }

    /// Moves packets from the inbox to `batch`, but leaves at least half of it to the network.
    pub fn receive(&self, io: &mut impl PacketIo, batch: &mut FrameBatch) -> usize {
        let inbox = &self.mesh.inboxes[self.worker];
        let before = batch.len();
        while batch.len() < batch.capacity() / 2 && !inbox.full.is_empty() {
            let Some(mut frame) = io.allocate() else { break };
            let Some(buffer) = inbox.full.pop() else {
                io.recycle(frame);
                break;
            };
            let copied = frame.write(&buffer.bytes[..buffer.len]);
            frame.set_port(buffer.port);
            let pushed = inbox.empty.push(buffer);
            debug_assert!(pushed.is_ok(), "a ring holds all buffers");
            match copied {
                Ok(()) => batch.push(frame),
                Err(_) => io.recycle(frame),
            }
        }
        batch.len() - before
    }

    /// What ends this worker's sleep.
    pub fn waker(&self) -> &Arc<Waker> {
        &self.mesh.inboxes[self.worker].waker
    }

    /// Packets that wait for this worker.
    pub fn waiting(&self) -> usize {
        self.mesh.inboxes[self.worker].full.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;

    #[test]
    fn packets_arrive_whole_and_the_inbox_is_bounded() {
        let mesh = Mesh::new(2, 2048);
        let (left, right) = (mesh.place(0), mesh.place(1));
        let mut io = MemoryIo::new(2, 1024);
        for turn in 0..3 {
            let mut sent = 0;
            let mut frame = io.allocate().unwrap();
            frame.set_port(PortId(1));
            for i in 0..INBOX + 10 {
                frame.write(&[i as u8; 100]).unwrap();
                sent += usize::from(left.send(1, &frame));
            }
            io.recycle(frame);
            assert_eq!(sent, INBOX, "turn {turn}");
            let mut seen = 0;
            loop {
                let mut batch = FrameBatch::new();
                if right.receive(&mut io, &mut batch) == 0 {
                    break;
                }
                for frame in batch {
                    assert_eq!((&frame[..], frame.port()), (&[seen as u8; 100][..], PortId(1)));
                    seen += 1;
                    io.recycle(frame);
                }
            }
            assert_eq!(seen, INBOX);
        }
        assert_eq!(io.accounts().outstanding, 0);
        assert!(!left.send(7, &io.allocate().unwrap()), "there is no worker 7");
    }
}
