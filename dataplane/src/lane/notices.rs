//! What all packets are held against: `struct lane_notices` of `lane.h`. One row, in memory that the classifier shares.

use super::{Epoch, Ticks};
use crate::{io::PortId, table::Transport};
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

/// Epochs, by family and protocol.
const EPOCHS: usize = 4;
const PORTS: usize = u8::MAX as usize + 1;

/// See the module.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Notices {
    /// Those in force.
    epochs: [AtomicU32; EPOCHS],
    /// The time, as the workers have it: not newer than the last turn of any of them, which is a
    /// [sleep](crate::worker::LONGEST_SLEEP) ago at most while there is a worker at all.
    now: AtomicU32,
    /// Of the index, by family: the buckets in use, less one.
    last_buckets: [AtomicU32; 2],
    reserved: [AtomicU32; 9],
    /// By port: the index of its interface, or 0.
    interfaces: [AtomicU32; PORTS],
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            epochs: Default::default(),
            now: AtomicU32::default(),
            last_buckets: Default::default(),
            reserved: Default::default(),
            interfaces: [const { AtomicU32::new(0) }; PORTS],
        }
    }
}

impl Notices {
    /// The epoch in force.
    pub fn epoch(&self, v6: bool, transport: Transport) -> Epoch {
        Epoch(self.epochs[place(v6, transport)].load(Acquire))
    }

    /// Puts another in force.
    pub fn set_epoch(&self, v6: bool, transport: Transport, epoch: Epoch) {
        self.epochs[place(v6, transport)].store(epoch.0, Release);
    }

    /// The last bucket of a family's index that is in use.
    #[inline]
    pub(super) fn last_bucket(&self, v6: bool) -> u32 {
        self.last_buckets[usize::from(v6)].load(Acquire)
    }

    /// From now on this is the last.
    pub(super) fn set_last_bucket(&self, v6: bool, last: u32) {
        self.last_buckets[usize::from(v6)].store(last, Release);
    }

    /// It is this late.
    #[inline]
    pub fn tell_time(&self, now: Ticks) {
        self.now.store(now.0, Relaxed);
    }

    /// The time that was told last.
    pub fn now(&self) -> Ticks {
        Ticks(self.now.load(Relaxed))
    }

    /// Says which interface a port is, if packets of the lane may come and go by it.
    pub fn set_interface(&self, port: PortId, ifindex: Option<u32>) {
        self.interfaces[usize::from(port.0)].store(ifindex.unwrap_or_default(), Release);
    }
}

/// As the classifier numbers them.
fn place(v6: bool, transport: Transport) -> usize {
    2 * usize::from(v6) + usize::from(transport == Transport::Udp)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `lane.h` has it.
    #[test]
    fn notices_are_laid_out_as_the_classifier_reads_them() {
        assert_eq!(size_of::<Notices>(), 64 + 4 * PORTS);
        assert_eq!(std::mem::offset_of!(Notices, interfaces), 64);
        assert_eq!(std::mem::offset_of!(Notices, now), 16);
    }
}
