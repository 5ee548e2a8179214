//! The ports of datagrams that come in fragments, which only the first fragment carries.
//!
//! In: datagrams by name, and what their first fragments say. Out: that again, for the others. A datagram is named by
//! its addresses and identification, in IPv4 by its protocol too (RFC 791, RFC 8200 §4.5). Shared by all workers, since
//! a network card may give the parts of one datagram to different ones: small sets of records, each behind a lock of its
//! own that is held for a few comparisons. What a worker hands over arrives in order, so the one that hands a first part
//! over knows its ports from then on, and all others from when its owner has it: no part overtakes the first.
//! Only fragments come here. Bounded: a new datagram takes the place of the
//! oldest of its set, whose remaining parts then wait in vain. All memory is taken at the start.
//!
//! [`Waiting`] is one worker's list of the parts that came before their first (RFC 4787 REQ-14).

use super::Millis;
use crate::{
    table::{
        Transport,
        hash::{fold, words},
    },
    wire::{Family, V4, V6},
};
use arrayvec::ArrayVec;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const SETS: usize = 1024;
const WAYS: usize = 4;

/// The parts that one worker keeps, waiting for their first: both families together.
pub const HELD: usize = 128;

/// How long the ports of a datagram are remembered: as long as Linux waits for all parts of one.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long it is remembered that a datagram's first part did not come.
const LOST_LIFETIME: Duration = Duration::from_secs(2);
/// How long a part waits for the first.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The name of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<F: Family> {
    /// Its source.
    pub source: F::Addr,
    /// Its destination.
    pub destination: F::Addr,
    /// Its identification.
    pub id: u32,
    /// Its protocol in IPv4; 0 in IPv6.
    pub protocol: u8,
}

/// What its first fragment told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Protocol.
    pub transport: Transport,
    /// Bytes before the transport header.
    pub header_len: u16,
    /// All its bytes.
    pub total_len: u16,
}

/// What is known of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its first fragment has come to its owner.
    Known(First),
    /// Its first fragment is on its way to its owner, from this worker.
    HandedOver(First, u16),
    /// Its first fragment has not come in time.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Record<F: Family> {
    datagram: Datagram<F>,
    fate: Fate,
    since: Millis,
}

impl<F: Family> Record<F> {
    fn is_over(&self, now: Millis) -> bool {
        let lifetime = match self.fate {
            Fate::Known(_) | Fate::HandedOver(..) => LIFETIME,
            Fate::Lost => LOST_LIFETIME,
        };
        now.since(self.since) >= lifetime
    }
}

type Set<F> = [Option<Record<F>>; WAYS];

/// Datagrams of one family.
#[derive(Debug)]
pub struct Datagrams<F: Family> {
    sets: Box<[Mutex<Set<F>>]>,
    seed: u64,
}

/// Datagrams of both families.
#[derive(Debug)]
pub struct Fragments {
    /// IPv4.
    pub v4: std::sync::Arc<Datagrams<V4>>,
    /// IPv6.
    pub v6: std::sync::Arc<Datagrams<V6>>,
}

impl Fragments {
    /// An empty table. The seed keeps strangers from aiming at one set.
    pub fn new(seed: u64) -> Self {
        Self { v4: Datagrams::new(seed).into(), v6: Datagrams::new(!seed).into() }
    }
}

impl<F: Family> Datagrams<F> {
    fn new(seed: u64) -> Self {
        Self { sets: (0..SETS).map(|_| Mutex::new([None; WAYS])).collect(), seed }
    }

    /// A set is written whole by one assignment, so it is sound even if a worker has panicked.
    fn set(&self, datagram: &Datagram<F>) -> MutexGuard<'_, Set<F>> {
        let (a, b) = words::<F>(datagram.source);
        let (c, d) = words::<F>(datagram.destination);
        let name = u64::from(datagram.id) << 8 | u64::from(datagram.protocol);
        let mixed = fold(a ^ self.seed, b ^ name) ^ fold(c ^ !self.seed, d ^ name).rotate_left(29);
        let hash = fold(mixed ^ 0x9e37_79b9_7f4a_7c15, name ^ self.seed);
        self.sets[hash as usize % SETS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `worker` may know of a datagram.
    pub fn find(&self, datagram: &Datagram<F>, worker: u16, now: Millis) -> Option<Fate> {
        let set = self.set(datagram);
        let record = set.iter().flatten().find(|record| record.datagram == *datagram)?;
        match record.fate {
            _ if record.is_over(now) => None,
            Fate::HandedOver(_, by) if by != worker => None,
            fate => Some(fate),
        }
    }

    /// Remembers a datagram. An identification may be used again: what was known under it before is forgotten.
    pub fn learn(&self, datagram: Datagram<F>, fate: Fate, now: Millis) {
        let mut set = self.set(&datagram);
        let same = set.iter().position(|way| way.is_some_and(|record| record.datagram == datagram));
        let age = |way: &Option<Record<F>>| match way {
            Some(record) if !record.is_over(now) => now.since(record.since),
            Some(_) | None => Duration::MAX,
        };
        let oldest = (0..WAYS).max_by_key(|way| age(&set[*way])).unwrap_or(0);
        set[same.unwrap_or(oldest)] = Some(Record { datagram, fate, since: now });
    }
}

/// The place of a frame that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(pub u8);

/// The free places of a worker.
pub type FreePlaces = ArrayVec<Place, HELD>;

/// The parts of one family that wait at a worker for their first.
#[derive(Debug)]
pub struct Waiting<F: Family> {
    parts: ArrayVec<(Place, Datagram<F>, Millis), HELD>,
}

impl<F: Family> Waiting<F> {
    /// None.
    pub fn new() -> Self {
        Self { parts: ArrayVec::new() }
    }

    /// Gives a part of `datagram` a place to wait in, if one is free.
    pub fn hold(&mut self, datagram: Datagram<F>, free: &mut FreePlaces, now: Millis) -> Option<Place> {
        let place = free.pop()?;
        self.parts.push((place, datagram, now.after(PATIENCE)));
        Some(place)
    }

    /// Ends the waiting of parts whose datagram is now known, or that have waited long enough; these are then lost.
    pub fn release<const MOST: usize>(
        &mut self,
        datagrams: &Datagrams<F>,
        worker: u16,
        free: &mut FreePlaces,
        now: Millis,
        released: &mut ArrayVec<Place, MOST>,
    ) {
        self.parts.retain(|(place, datagram, deadline)| {
            if released.is_full() {
                return true;
            }
            if datagrams.find(datagram, worker, now).is_none() {
                if !now.reached(*deadline) {
                    return true;
                }
                datagrams.learn(*datagram, Fate::Lost, now);
            }
            free.push(*place);
            released.push(*place);
            false
        });
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl<F: Family> Default for Waiting<F> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(id: u32) -> Datagram<V4> {
        Datagram { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), id, protocol: 17 }
    }

    fn known(port: u16) -> Fate {
        let transport = Transport::Udp;
        let first =
            First { source_port: port, destination_port: 53, transport, header_len: 20, total_len: 1500 };
        Fate::Known(first)
    }

    #[test]
    fn a_datagram_is_known_for_its_lifetime_and_by_its_last_user() {
        let table = Datagrams::<V4>::new(7);
        let start = Millis(u32::MAX - 5);
        table.learn(datagram(1), known(5), start);
        assert_eq!(table.find(&datagram(1), 0, start), Some(known(5)));
        assert_eq!(table.find(&datagram(2), 0, start), None);
        assert_eq!(table.find(&Datagram { protocol: 6, ..datagram(1) }, 0, start), None);
        table.learn(datagram(1), known(6), start);
        assert_eq!(
            table.find(&datagram(1), 0, start.after(LIFETIME - Duration::from_millis(1))),
            Some(known(6))
        );
        assert_eq!(table.find(&datagram(1), 0, start.after(LIFETIME)), None);
        table.learn(datagram(3), Fate::Lost, start);
        assert_eq!(table.find(&datagram(3), 0, start.after(LOST_LIFETIME)), None);
    }

    #[test]
    fn a_first_part_on_its_way_is_known_to_who_sent_it() {
        let table = Datagrams::<V4>::new(7);
        let now = Millis(5);
        let Fate::Known(first) = known(5) else { return };
        table.learn(datagram(1), Fate::HandedOver(first, 2), now);
        assert_eq!(table.find(&datagram(1), 2, now), Some(Fate::HandedOver(first, 2)));
        assert_eq!(table.find(&datagram(1), 0, now), None, "the owner has yet to see it");
        table.learn(datagram(1), known(5), now);
        assert_eq!(table.find(&datagram(1), 0, now), Some(known(5)));
    }

    #[test]
    fn the_table_is_bounded_and_the_newest_is_in_it() {
        let table = Datagrams::<V4>::new(7);
        for id in 0..100_000 {
            let now = Millis(id / 10);
            table.learn(datagram(id), known(id as u16), now);
            assert_eq!(table.find(&datagram(id), 0, now), Some(known(id as u16)));
        }
        let now = Millis(10_000);
        let left = (0..100_000).filter(|id| table.find(&datagram(*id), 0, now).is_some()).count();
        assert_eq!(left, SETS * WAYS);
    }

    #[test]
    fn places_come_back() {
        let table = Datagrams::<V4>::new(7);
        let mut free: FreePlaces = (0..HELD as u8).map(Place).collect();
        let mut waiting = Waiting::new();
        let start = Millis(0);
        for id in 0..HELD as u32 {
            assert!(waiting.hold(datagram(id), &mut free, start).is_some());
        }
        assert_eq!(waiting.hold(datagram(999), &mut free, start), None, "it is bounded");
        let mut released = ArrayVec::<Place, 3>::new();
        waiting.release(&table, 0, &mut free, start, &mut released);
        assert!(released.is_empty() && !waiting.is_empty());
        table.learn(datagram(5), known(1), start);
        waiting.release(&table, 0, &mut free, start, &mut released);
        assert_eq!((released.len(), free.len()), (1, 1));
        waiting.release(&table, 0, &mut free, start.after(PATIENCE), &mut released);
        assert_eq!((released.len(), free.len()), (3, 3), "no more than fit");
        let mut rest = ArrayVec::<Place, HELD>::new();
        waiting.release(&table, 0, &mut free, start.after(PATIENCE), &mut rest);
        assert!(waiting.is_empty() && free.len() == HELD);
        assert_eq!(table.find(&datagram(0), 0, start.after(PATIENCE)), Some(Fate::Lost));
    }
}
