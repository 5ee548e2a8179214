//! Frames that the path has asked to keep: fragments that wait for their first.

use crate::{
    io::{Frame, FrameBatch, PacketIo, PortId},
    path::pieces,
    state::{HELD, Place},
};

/// A worker's held frames, each in the place that the path gave it.
#[derive(Debug)]
pub(super) struct Held {
    frames: Box<[Option<Frame>]>,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { frames: (0..HELD).map(|_| None).collect() }
    }

    /// Keeps a frame. The path gives a place to one frame at a time; what would be there still is given back.
    pub(super) fn keep(&mut self, place: Place, frame: Frame, io: &mut impl PacketIo) {
        let before = self.frames.get_mut(usize::from(place.0)).and_then(|kept| kept.replace(frame));
        debug_assert!(before.is_none(), "two frames in one place");
        if let Some(before) = before {
            io.recycle(before);
        }
    }

    /// Moves the frames in `places` to `batch`, which has room for them.
    pub(super) fn release(&mut self, places: &[Place], batch: &mut FrameBatch) {
        let taken = places.iter().filter_map(|place| self.frames.get_mut(usize::from(place.0))?.take());
        batch.extend(taken);
    }

    /// Gives all frames back.
    pub(super) fn clear(&mut self, io: &mut impl PacketIo) {
        self.frames.iter_mut().filter_map(Option::take).for_each(|frame| io.recycle(frame));
    }
}

/// Sends a packet in pieces of at most `mtu` bytes of IP. `false`: there were no frames for all of them.
#[cold]
pub(super) fn send_split(io: &mut impl PacketIo, port: PortId, mtu: u16, frame: Frame) -> bool {
    let mut all = true;
    pieces(&frame, mtu, |head, payload| {
        let Some(mut piece) = io.allocate() else {
            all = false;
            return;
        };
        if piece.resize(head.len() + payload.len()).is_err() {
            all = false;
            return io.recycle(piece);
        }
        let (start, rest) = piece.split_at_mut(head.len());
        start.copy_from_slice(head);
        rest.copy_from_slice(payload);
        io.transmit(port, piece);
    });
    io.recycle(frame);
    all
}

#[cfg(test)]
mod tests {
    use crate::{
        io::{MemoryIo, PortId},
        path::{Path, PathConfig},
        state::{Millis, PATIENCE},
        table::{Snapshot, publish::Publisher},
        worker::{Mesh, Worker},
    };
    use std::time::Duration;

    /// A UDP fragment to a VIP that nobody serves: what becomes of it is told by counters.
    fn fragment(id: u8, offset: u8, more: bool) -> Vec<u8> {
        let mut frame = [[2; 6], [4; 6]].concat();
        frame.extend([8, 0, 0x45, 0, 0, 36, 0, id, if more { 0x20 } else { 0 }, offset, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame.extend([0, 5, 0, 6, 0, 40, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        frame
    }

    #[test]
    fn held_frames_come_back_to_their_memory() {
        let (_publisher, tables) = Publisher::single(Snapshot::default());
        let (_asker, questions) = crossbeam::channel::bounded(1);
        let path = Path::new(PathConfig::single(61_000..=61_100));
        let mut worker = Worker::new(MemoryIo::new(1, 64), path, tables, Mesh::new(1, 0).place(0), questions);
        let later = fragment(1, 2, false);
        let start = Millis(5);
        for id in [1, 2, 3] {
            worker.io_mut().inject(PortId(0), &fragment(id, 2, false)).unwrap();
        }
        assert_eq!(worker.poll(|_| start), 3);
        assert_eq!(worker.report().frames.outstanding, 3, "they are held");
        assert_eq!(later.len(), 50);
        // The first of one of them lets it go on, in the next turn.
        worker.io_mut().inject(PortId(0), &fragment(1, 0, true)).unwrap();
        assert_eq!(worker.poll(|_| start), 2);
        assert!(worker.is_pending());
        assert_eq!(worker.poll(|_| start), 1);
        assert_eq!(worker.report().frames.outstanding, 2);
        // Another's time is over.
        let end = start.after(PATIENCE + Duration::from_millis(1));
        worker.io_mut().inject(PortId(0), &fragment(4, 2, false)).unwrap();
        worker.poll(|_| end);
        worker.poll(|_| end);
        let report = worker.report();
        assert_eq!(report.frames.outstanding, 1, "the new one");
        assert_eq!((report.counters.held, report.counters.received), (4, 8));
        assert_eq!(report.counters.received, report.counters.verdicts());
        worker.give_up();
        assert_eq!(worker.report().frames.outstanding, 0);
        assert_eq!(worker.into_io().sent(PortId(0)).len(), 0);
    }
}
