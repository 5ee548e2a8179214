//! The ways out as a worker's packets read them: both kinds alike, and by one load.
//!
//! What is published of next hops is in pages, for the sake of changes, and holds more than a packet needs: two pointers
//! to follow and a line of memory each. A worker keeps of each next hop a [`Way`], of which a line has four, in one
//! array, and brings those up to date whose page has another version ([`Ways::follow`]); last hops have theirs beside
//! them (`last_hops.rs`). Memory: 16 bytes a next hop. A change of one in 100,000 costs a microsecond, the first
//! look at so many some hundred.

use crate::{
    io::PortId,
    table::{Link, NextHop, Pages},
    wire::{EtherAddr, Family, set_addresses},
};

/// A way out for frames without tags. The addresses lie as a frame has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Way {
    destination: EtherAddr,
    source: EtherAddr,
    /// The port to send on.
    pub port: PortId,
    /// The largest packet that fits, in bytes of IP: none where it takes more than these addresses to send one.
    pub mtu: u16,
}

impl Way {
    /// A way that nothing fits through.
    pub const NONE: Self =
        Self { destination: EtherAddr::ZERO, source: EtherAddr::ZERO, port: PortId(0), mtu: 0 };

    /// The way by this link.
    pub fn by(link: &Link, mtu: u16) -> Self {
        let Link { destination, source, port, vlan } = *link;
        if vlan.is_empty() { Self { destination, source, port, mtu } } else { Self::NONE }
    }

    /// Gives a frame the addresses to leave with.
    #[inline(always)]
    pub fn address(&self, frame: &mut [u8]) {
        set_addresses(frame, &self.destination, &self.source);
    }
}

/// Next hops that room is taken for at the start; for more it is when they come.
const EXPECTED: usize = 1 << 17;

/// See the module.
#[derive(Debug)]
pub struct Ways {
    ways: Vec<Way>,
    /// The versions that are here, of the table and of its pages.
    version: u64,
    pages: Vec<u64>,
}

/// Those of an empty table.
impl Default for Ways {
    fn default() -> Self {
        let pages = Vec::with_capacity(EXPECTED / Pages::<Way>::ROWS);
        Self { ways: Vec::with_capacity(EXPECTED), version: 0, pages }
    }
}

impl Ways {
    /// All of them, by the numbers of next hops.
    #[inline]
    pub fn all(&self) -> &[Way] {
        &self.ways
    }

    /// Makes them those of this table.
    #[inline]
    pub fn follow<F: Family>(&mut self, table: &Pages<NextHop<F>>) {
        if self.version != table.version() {
            self.update(table);
        }
    }

    #[cold]
    fn update<F: Family>(&mut self, table: &Pages<NextHop<F>>) {
        const ROWS: usize = Pages::<Way>::ROWS;
        let count = table.pages().len();
        self.version = table.version();
        self.pages.resize(count, 0);
        self.ways.resize(count * ROWS, Way::NONE);
        let mine = self.pages.iter_mut().zip(self.ways.chunks_mut(ROWS));
        for ((known, ways), (version, hops)) in mine.zip(table.pages()) {
            if *known != version {
                *known = version;
                ways.fill(Way::NONE);
                for (way, hop) in ways.iter_mut().zip(hops) {
                    *way = hop.link.as_ref().map_or(Way::NONE, |link| Way::by(link, hop.mtu));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EtherType, V4, VlanTag, VlanTags};
    use proptest::prelude::*;

    fn hop(host: u8) -> NextHop<V4> {
        let mut vlan = VlanTags::NONE;
        let kind = host % 5;
        if kind == 1 {
            vlan.push(VlanTag { tpid: EtherType::VLAN, tci: 7 });
        }
        let (destination, source) = (EtherAddr([2, 0, 0, 0, 1, host]), EtherAddr([2, 0, 0, 0, 2, host]));
        let link = Link { destination, source, port: PortId(host), vlan };
        NextHop { link: (kind != 0).then_some(link), source: None, mtu: 1000 + u16::from(host) }
    }

    fn are_those_of(ways: &Ways, table: &Pages<NextHop<V4>>) {
        for (number, way) in ways.all().iter().enumerate() {
            let hop = table.get(number);
            let link = hop.and_then(|hop| hop.link).filter(|link| link.vlan.is_empty());
            let expected = match (hop, link) {
                (Some(hop), Some(link)) => Way::by(&link, hop.mtu),
                _ => Way::NONE,
            };
            assert_eq!(*way, expected, "next hop {number}");
            assert_eq!(way.mtu == 0, link.is_none());
        }
        assert!(table.get(ways.all().len()).is_none(), "all are there");
    }

    #[test]
    fn a_line_has_four_ways() {
        assert_eq!((size_of::<Way>(), align_of::<Way>()), (16, 16));
    }

    proptest! {
        /// Tables change, are copied, go back to what they were, or are others altogether.
        #[test]
        fn ways_follow_any_table(
            steps in prop::collection::vec((0..4u8, 0..700usize, any::<u8>()), 1..40),
        ) {
            let (mut ways, mut table, mut kept) = (Ways::default(), Pages::default(), Pages::default());
            for (kind, number, host) in steps {
                match kind {
                    0 => table = (0..number).map(|at| hop(host.wrapping_add(at as u8))).collect(),
                    1 => kept = table.clone(),
                    2 => std::mem::swap(&mut table, &mut kept),
                    _ if number == 0 => table.iter_mut().for_each(|row| *row = hop(host)),
                    _ => table.set([(number, hop(host))], &NextHop::UNRESOLVED),
                }
                if host > 80 {
                    ways.follow(&table);
                    are_those_of(&ways, &table);
                }
            }
        }
    }
}
