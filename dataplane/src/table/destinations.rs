//! What new flows are looked up in: the VIP, protocol and port of each Service port.
//!
//! In: a destination. Out: its [`Target`]. A plain table with open addressing instead of a map from a library for two things
//! that no library's has: a row can be asked for ahead of its use ([`prefetch`](Destinations::prefetch)), so that a batch of
//! new flows does not wait for one row after the other; and most destinations that are none, as the sources of packets and
//! our SNAT ports should be, are told by their port, of which a bit says whether any Service uses it.
//!
//! Never more than a quarter full, so that most searches end where they begin, which a processor can guess; a row is 16 bytes
//! in IPv4 and 32 in IPv6, and in one line of memory. Only grows, since whoever changes it builds it anew. The hash is
//! seeded: Services choose their ports, and none is to slow down another's.

use super::{
    Target, Transport,
    hash::{fold, words},
};
use crate::{pages::Table, prefetch::prefetch, wire::Family};
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;

/// See the module.
#[derive(Debug, Clone)]
pub struct Destinations<F: Family> {
    seed: [u64; 3],
    /// None, or a power of two.
    rows: Table<Option<Row<F>>>,
    len: usize,
    /// A bit for each port that some row has; none, or all of them.
    ports: Box<[u64]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(16))]
struct Row<F: Family> {
    addr: F::Addr,
    port: u16,
    transport: Transport,
    target: Target,
}

/// The fewest rows.
const LEAST: usize = 8;

impl<F: Family> Default for Destinations<F> {
    fn default() -> Self {
        let random = DefaultHashBuilder::default();
        let seed = [0u64, 1, 2].map(|number| random.hash_one(number));
        Self { seed, rows: Table::empty(), len: 0, ports: Box::from([]) }
    }
}

/// Equal are tables with the same rows.
impl<F: Family> PartialEq for Destinations<F> {
    fn eq(&self, other: &Self) -> bool {
        let has = |((addr, transport, port), target)| other.get(addr, transport, port) == Some(target);
        self.len == other.len && self.iter().all(has)
    }
}

impl<F: Family> Eq for Destinations<F> {}

impl<F: Family> Destinations<F> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = ((F::Addr, Transport, u16), Target)> {
        self.rows.iter().flatten().map(|row| ((row.addr, row.transport, row.port), row.target))
    }

    /// Asks for the row of this destination.
    #[inline]
    pub fn prefetch(&self, addr: F::Addr, transport: Transport, port: u16) {
        if let Some(row) = self.rows.get(self.home(addr, transport, port)) {
            prefetch(row);
        }
    }

    /// What this destination leads to.
    #[inline]
    pub fn get(&self, addr: F::Addr, transport: Transport, port: u16) -> Option<Target> {
        let bits = *self.ports.get(usize::from(port) / 64)?;
        if bits >> (port % 64) & 1 == 0 {
            return None;
        }
        self.rows[self.find(addr, transport, port)].map(|row| row.target)
    }

    /// What this destination leads to from now on.
    pub fn insert(&mut self, addr: F::Addr, transport: Transport, port: u16, target: Target) {
        if 4 * (self.len + 1) > self.rows.len() {
            self.grow();
        }
        let at = self.find(addr, transport, port);
        let before = self.rows[at].replace(Row { addr, port, transport, target });
        self.len += usize::from(before.is_none());
        self.ports[usize::from(port) / 64] |= 1 << (port % 64);
    }

    fn grow(&mut self) {
        let rows = Table::filled(None, (2 * self.rows.len()).max(LEAST));
        let before = std::mem::replace(&mut self.rows, rows);
        if self.ports.is_empty() {
            self.ports = vec![0; usize::from(u16::MAX) / 64 + 1].into_boxed_slice();
        }
        for row in before.iter().flatten() {
            let at = self.find(row.addr, row.transport, row.port);
            self.rows[at] = Some(*row);
        }
    }

    /// The place of this destination, or the free one where it would be. There are rows, and free ones.
    #[inline]
    fn find(&self, addr: F::Addr, transport: Transport, port: u16) -> usize {
        let mut at = self.home(addr, transport, port);
        while let Some(row) = &self.rows[at]
            && (row.addr, row.transport, row.port) != (addr, transport, port)
        {
            at = (at + 1) & (self.rows.len() - 1);
        }
        at
    }

    /// Where the search for it begins; 0 where there are no rows.
    #[inline]
    fn home(&self, addr: F::Addr, transport: Transport, port: u16) -> usize {
        let [first, second, third] = self.seed;
        let (high, low) = words::<F>(addr);
        let ports = u64::from(port) << 8 | transport as u64;
        let hash = fold(fold(high ^ first, low ^ second), ports ^ third);
        hash as usize & self.rows.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::{ServiceId, VipKind},
        wire::{V4, V6},
    };
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_row_is_in_one_line() {
        assert_eq!((size_of::<Option<Row<V4>>>(), size_of::<Option<Row<V6>>>()), (16, 32));
    }

    const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

    proptest! {
        /// As a map, which also says no to everything else.
        #[test]
        fn destinations_are_a_map(
            steps in prop::collection::vec((0..20u32, 0..3usize, 0..200u16, any::<u32>()), 0..300),
        ) {
            let (mut table, mut map) = (Destinations::<V4>::default(), HashMap::new());
            for (addr, transport, port, service) in steps {
                let key = (std::net::Ipv4Addr::from(addr), TRANSPORTS[transport], port);
                let target = Target { service: ServiceId(service), kind: VipKind::ClusterIp };
                table.insert(key.0, key.1, key.2, target);
                map.insert(key, target);
            }
            prop_assert_eq!(table.len(), map.len());
            prop_assert_eq!(table.iter().collect::<HashMap<_, _>>(), map.clone());
            for addr in 0..21u32 {
                for transport in TRANSPORTS {
                    for port in (0..201).chain([u16::MAX]) {
                        let addr = addr.into();
                        table.prefetch(addr, transport, port);
                        let found = table.get(addr, transport, port);
                        prop_assert_eq!(found, map.get(&(addr, transport, port)).copied());
                    }
                }
            }
            let mut other = Destinations::default();
            map.iter().for_each(|((addr, transport, port), target)| {
                other.insert(*addr, *transport, *port, *target);
            });
            prop_assert_eq!(&table, &other);
            other.insert(7777.into(), Transport::Tcp, 7, Target { service: ServiceId(0), kind: VipKind::NodePort });
            prop_assert_ne!(&table, &other);
        }
    }
}
