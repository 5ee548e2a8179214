//! One direction of a promoted flow, as the classifier reads it: `struct lane_slot4` and `struct lane_slot6` of `lane.h`.
//!
//! The worker that owns the slot writes all of it while it has no epoch; then the classifier alone counts in it. A live
//! slot's epoch and hop may be written at any time, by one store each. IPv4: one cache line; IPv6: two.

use super::{Epoch, HopId};
use crate::{
    state::{Deltas, Tuple},
    wire::{Delta, Family},
};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// A moment as the classifier notes it, which workers tell it ([`Notices`](super::Notices)): the monotonic clock in units
/// of 2²⁰ ns, about a millisecond, in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticks(pub u32);

/// See the module.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Slot<F: Family> {
    /// [`Epoch::NONE`]: it is nobody's.
    pub(super) epoch: AtomicU32,
    pub(super) arrives: F::Words,
    pub(super) leaves: F::Words,
    /// What is added to the header's checksum, the hop included, and then to that of TCP or UDP: 16 bits each.
    pub(super) deltas: AtomicU32,
    pub(super) hop: AtomicU32,
    /// The hop that its packets must have come by; 0: any.
    pub(super) came_by: AtomicU32,
    /// TCP: what its sender acknowledged last.
    pub(super) acked: AtomicU32,
    pub(super) last_seen: AtomicU32,
    pub(super) packets: AtomicU32,
    reserved: AtomicU32,
    pub(super) bytes: AtomicU64,
}

impl<F: Family> Default for Slot<F> {
    fn default() -> Self {
        Self {
            epoch: AtomicU32::default(),
            arrives: F::Words::default(),
            leaves: F::Words::default(),
            deltas: AtomicU32::default(),
            hop: AtomicU32::default(),
            came_by: AtomicU32::default(),
            acked: AtomicU32::default(),
            last_seen: AtomicU32::default(),
            packets: AtomicU32::default(),
            reserved: AtomicU32::default(),
            bytes: AtomicU64::default(),
        }
    }
}

/// What a slot is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<F: Family> {
    /// What packets arrive with. TCP or UDP.
    pub arrives: Tuple<F>,
    /// What they leave with.
    pub leaves: Tuple<F>,
    /// What that and the hop add to their checksums.
    pub deltas: Deltas,
    /// Where they go.
    pub hop: HopId,
    /// The way they must have come by, if that matters: what answers would be sent by.
    pub came_by: Option<HopId>,
    /// When it is in force.
    pub epoch: Epoch,
    /// TCP: what its sender acknowledged last.
    pub acked: u32,
}

/// What the classifier has counted in a slot since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Packets, modulo 2³².
    pub packets: u32,
    /// Bytes, from the IP header on.
    pub bytes: u64,
    /// When the last one came; of no meaning if there was none.
    pub last: Ticks,
    /// TCP: what its sender acknowledged last.
    pub acked: u32,
}

impl<F: Family> Slot<F> {
    /// Writes a slot that is nobody's, and makes it live.
    pub(super) fn write(&self, entry: &Entry<F>) {
        let Entry { arrives, leaves, deltas, hop, came_by, epoch, acked } = entry;
        store(&self.arrives, arrives);
        store(&self.leaves, leaves);
        self.deltas
            .store(u32::from(deltas.header.bits()) | u32::from(deltas.transport.bits()) << 16, Relaxed);
        self.hop.store(hop.0, Relaxed);
        self.came_by.store(came_by.unwrap_or_default().0, Relaxed);
        self.acked.store(*acked, Relaxed);
        self.packets.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.epoch.store(epoch.0, Release);
    }

    /// From now on it is nobody's.
    pub(super) fn end(&self) {
        self.epoch.store(Epoch::NONE.0, Release);
    }

    /// What was written; `None`: it is nobody's. For who finds slots that another process wrote.
    pub(super) fn read(&self) -> Option<Entry<F>> {
        let epoch = Some(Epoch(self.epoch.load(Acquire))).filter(|epoch| *epoch != Epoch::NONE)?;
        let deltas = self.deltas.load(Relaxed);
        let hop = |hop: &AtomicU32| HopId(hop.load(Relaxed));
        Some(Entry {
            arrives: load(&self.arrives, epoch),
            leaves: load(&self.leaves, epoch),
            deltas: Deltas {
                header: Delta::from_bits(deltas as u16),
                transport: Delta::from_bits((deltas >> 16) as u16),
            },
            hop: hop(&self.hop),
            came_by: Some(hop(&self.came_by)).filter(|hop| *hop != HopId::default()),
            epoch,
            acked: self.acked.load(Relaxed),
        })
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last: Ticks(self.last_seen.load(Relaxed)),
            acked: self.acked.load(Relaxed),
        }
    }
}

/// Puts a tuple's bytes where they are to lie, as its packets have them.
fn store<F: Family>(words: &F::Words, tuple: &Tuple<F>) {
    let (source, destination) = (F::octets(&tuple.source), F::octets(&tuple.destination));
    let octets = source.as_ref().chunks_exact(4).chain(destination.as_ref().chunks_exact(4));
    let addresses = octets.map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
    let [[a, b], [c, d]] = [tuple.source_port, tuple.destination_port].map(u16::to_be_bytes);
    let ports = u32::from_ne_bytes([a, b, c, d]);
    for (word, value) in words.as_ref().iter().zip(addresses.chain([ports])) {
        word.store(value, Relaxed);
    }
}

/// The tuple there.
fn load<F: Family>(words: &F::Words, epoch: Epoch) -> Tuple<F> {
    let bytes: Vec<u8> = words.as_ref().iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
    let (source, rest) = bytes.split_at(F::ADDR_LEN);
    let (destination, ports) = rest.split_at(F::ADDR_LEN);
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Tuple {
        source: F::from_octets(source).unwrap_or(F::UNSPECIFIED),
        destination: F::from_octets(destination).unwrap_or(F::UNSPECIFIED),
        source_port: port(0),
        destination_port: port(2),
        transport: epoch.transport(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::Transport,
        wire::{V4, V6},
    };

    /// As `lane.h` has it.
    #[test]
    fn a_slot_is_laid_out_as_the_classifier_reads_it() {
        assert_eq!((size_of::<Slot<V4>>(), size_of::<Slot<V6>>()), (64, 128));
        assert_eq!(std::mem::offset_of!(Slot<V4>, bytes), 56);
        assert_eq!(std::mem::offset_of!(Slot<V6>, bytes), 104);
    }

    #[test]
    fn what_is_written_is_read() {
        let tuple = |last: u16| Tuple::<V6> {
            source: std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, last),
            destination: std::net::Ipv6Addr::LOCALHOST,
            source_port: 1025,
            destination_port: 53,
            transport: Transport::Udp,
        };
        let entry = Entry {
            arrives: tuple(1),
            leaves: tuple(2),
            deltas: Deltas { transport: Delta::from_bits(0x1234), header: Delta::from_bits(0xfeff) },
            hop: HopId(7),
            came_by: Some(HopId(8)),
            epoch: Epoch::new(3, Transport::Udp, 9),
            acked: 0,
        };
        let slot = Slot::<V6>::default();
        assert_eq!(slot.read(), None);
        slot.write(&entry);
        assert_eq!(slot.read(), Some(entry));
        assert_eq!(slot.seen(), Seen::default());
        slot.end();
        assert_eq!(slot.read(), None);
    }
}
