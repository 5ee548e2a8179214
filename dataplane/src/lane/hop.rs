//! Where packets of the lane go next: a table that the classifier shares, so that a neighbour's new MAC or a moved route
//! is one write, whatever number of flows goes that way.

use super::Memory;
use crate::{
    io::PortId,
    state::{LastHopId, LastHops},
    table::{Link, NextHopId},
    wire::{EtherAddr, EtherType, VlanTag, VlanTags},
};
use arrayvec::ArrayVec;
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{
            AtomicU16,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

/// The place of a hop in the table. 0 is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HopId(pub u32);

/// A hop, as `struct lane_hop` of `lane.h`: 32 bytes. All zeroes: there is no way.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Hop {
    /// Our own MAC, the neighbour's, and our own again: the head of a frame that comes from there, and behind its first
    /// address that of one that goes there.
    addresses: [AtomicU16; 9],
    /// The port plus one; 0: there is no way.
    port: AtomicU16,
    /// The largest packet that fits, in bytes of IP.
    mtu: AtomicU16,
    /// How many tags its frames have.
    tags: AtomicU16,
    /// The tags, outermost first, as a frame has them: TPID, TCI.
    vlan: [[AtomicU16; 2]; 2],
}

impl Hop {
    fn set(&self, way: Option<(&Link, u16)>) {
        let Some((link, mtu)) = way else { return self.port.store(0, Release) };
        let addresses = [link.source.0, link.destination.0, link.source.0].concat();
        for (word, two) in self.addresses.iter().zip(addresses.chunks_exact(2)) {
            word.store(u16::from_ne_bytes([two[0], two[1]]), Relaxed);
        }
        for (place, [tpid, tci]) in self.vlan.iter().enumerate() {
            let tag = link.vlan.iter().nth(place).map_or([0; 2], |tag| [tag.tpid.0, tag.tci]);
            tpid.store(tag[0].to_be(), Relaxed);
            tci.store(tag[1].to_be(), Relaxed);
        }
        self.tags.store(link.vlan.len() as u16, Relaxed);
        self.mtu.store(mtu, Relaxed);
        self.port.store(u16::from(link.port.0) + 1, Release);
    }

    fn get(&self) -> Option<(Link, u16)> {
        let port = self.port.load(Acquire).checked_sub(1)?;
        let bytes = |word: &AtomicU16| word.load(Relaxed).to_ne_bytes();
        let addresses: ArrayVec<u8, 18> = self.addresses.iter().flat_map(bytes).collect();
        let mut addresses = addresses.chunks_exact(size_of::<EtherAddr>());
        let mut address = || addresses.next().and_then(|address| address.try_into().ok()).map(EtherAddr);
        let (source, destination) = (address()?, address()?);
        let mut vlan = VlanTags::NONE;
        for tag in self.vlan.iter().take(self.tags.load(Relaxed).into()) {
            let [tpid, tci] = [&tag[0], &tag[1]].map(|word| u16::from_be(word.load(Relaxed)));
            vlan.push(VlanTag { tpid: EtherType(tpid), tci });
        }
        let link = Link { port: PortId(u8::try_from(port).ok()?), source, destination, vlan };
        Some((link, self.mtu.load(Relaxed)))
    }
}

/// Says of all these places that there is no way.
pub(crate) fn clear_hops(memory: &Memory<Hop>, places: Range<u32>) {
    memory.iter().take(places.end as usize).skip(places.start as usize).for_each(|hop| hop.set(None));
}

/// The table of hops of a family, and whose place is where: nobody's first, then the last hops of each worker, then the next
/// hops, which all share.
#[derive(Debug, Clone)]
pub struct Hops {
    memory: Arc<Memory<Hop>>,
    /// Nobody's place.
    start: u32,
    workers: u32,
    next_hops: u32,
}

impl Hops {
    /// The places that a table with so many workers and next hops takes.
    pub fn places(workers: u32, next_hops: u32) -> u32 {
        1 + workers * LastHops::MOST as u32 + next_hops
    }

    /// The table that begins at a place of `memory`, which has room for it.
    pub fn new(memory: Arc<Memory<Hop>>, start: u32, workers: u32, next_hops: u32) -> Self {
        Self { memory, start, workers, next_hops }
    }

    /// The place of a worker's last hop.
    pub fn last(&self, worker: u16, id: LastHopId) -> HopId {
        HopId(self.start + 1 + u32::from(worker) * LastHops::MOST as u32 + id.place() as u32)
    }

    /// The place of a next hop; `None`: it has none, and flows that go there have no lane.
    pub fn next(&self, id: NextHopId) -> Option<HopId> {
        let first = self.start + 1 + self.workers * LastHops::MOST as u32;
        (id.0 < self.next_hops).then(|| HopId(first + id.0))
    }

    /// The way of a hop and the largest packet that fits, as they were told; `None`: there is none.
    pub fn get(&self, id: HopId) -> Option<(Link, u16)> {
        self.memory.get(id.0 as usize)?.get()
    }

    /// Tells the way of a hop and the largest packet that fits, in bytes of IP; or that there is none.
    ///
    /// A packet that is on its way while a hop changes may leave with half of one address and half of the other, and is as
    /// lost as one that left a moment earlier, to a neighbour that is gone.
    pub fn set(&self, id: HopId, way: Option<(&Link, u16)>) {
        if let Some(hop) = self.memory.get(id.0 as usize) {
            hop.set(way);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `lane.h` has it.
    #[test]
    fn a_hop_is_laid_out_as_the_classifier_reads_it() {
        assert_eq!(size_of::<Hop>(), 32);
    }

    #[test]
    fn what_is_told_is_read() {
        let mut vlan = VlanTags::NONE;
        for number in 0..3 {
            let link = Link {
                port: PortId(255),
                source: EtherAddr([2, 1, 2, 3, 4, 5]),
                destination: EtherAddr([6, 7, 8, 9, 10, 11]),
                vlan,
            };
            let hop = Hop::default();
            assert_eq!(hop.get(), None);
            hop.set(Some((&link, 1400)));
            assert_eq!(hop.get(), Some((link, 1400)));
            vlan.push(VlanTag { tpid: EtherType::VLAN, tci: 0x2100 + number });
        }
    }
}
