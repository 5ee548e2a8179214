//! ClientIP affinity: which backend a client was last given, for all workers together (`service-semantics.md` §3.10).
//!
//! In: a Service port and a client address. Out: the [`PinId`]s on record there, each with the time of its last use. A
//! pin is one stay of one backend in one Service's lists, so a record is dead as soon as the Service no longer has its
//! pin: nobody has to go through the table when a backend leaves, a Service goes or affinity is switched off.
//! Bounded, and all memory is taken at the start: a new record in a full shard takes the place of the oldest-used one.
//!
//! Consulted for new flows of Services with affinity only: a lock of one shard for a few loads. The hash is seeded, so
//! that no client can aim at one chain.

use super::Millis;
use crate::{
    table::{
        PinId, ServiceId,
        hash::{fold, words},
    },
    wire::Family,
};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The longest `timeoutSeconds` there is: a record unused for longer means nothing to any Service.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);
/// Records per shard below which more shards only make the order of eviction coarser.
const LEAST_PER_SHARD: usize = 1024;
/// Workers rarely wait for each other with so many.
const MOST_SHARDS: usize = 64;
/// The most records one sweep of a shard takes out: some microseconds of holding its lock.
const SWEEP_MOST: usize = 64;
/// No record.
const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub struct AffinityTable {
    seed: [u64; 2],
    shards: Box<[Mutex<Shard>]>,
    swept: AtomicUsize,
}

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Key {
    client: (u64, u64),
    service: u32,
    bytes: u8,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    key: Key,
    pin: PinId,
    used: Millis,
    bucket: u32,
    /// The next of the chain, or of the free ones.
    next: u32,
    /// Neighbours in the order of use.
    newer: u32,
    older: u32,
}

/// A chained hash table over a slab, and the order of use through it.
#[derive(Debug)]
struct Shard {
    heads: Box<[u32]>,
    records: Box<[Record]>,
    free: u32,
    newest: u32,
    oldest: u32,
    len: usize,
}

impl AffinityTable {
    /// A table for at least `capacity` records.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let shards = (capacity / LEAST_PER_SHARD).clamp(1, MOST_SHARDS);
        let each = capacity.div_ceil(shards).clamp(1, NONE as usize - 1);
        let first = fold(seed ^ 0x4528_21e6_38d0_1377, 0xbe54_66cf_34e9_0c6d);
        Self {
            seed: [first, fold(first, 0xc0ac_29b7_c97c_50dd) | 1],
            shards: (0..shards).map(|_| Mutex::new(Shard::new(each))).collect(),
            swept: AtomicUsize::new(0),
        }
    }

    /// How many records it can hold.
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).records.len()).sum()
    }

    /// How many it holds, dead ones included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows every record of a client of a Service port, in no order: the pin, and when it was last used.
    pub fn visit<F: Family>(&self, service: ServiceId, client: F::Addr, mut seen: impl FnMut(PinId, Millis)) {
        let (key, hash) = self.key::<F>(service, client);
        let shard = self.shard(hash);
        let mut at = shard.head(hash);
        while let Some(record) = shard.records.get(at as usize) {
            if record.key == key {
                seen(record.pin, record.used);
            }
            at = record.next;
        }
    }

    /// Notes that a client was given the backend of `pin` just now. A record of the client that is not `alive` any more
    /// is used again first.
    pub fn note<F: Family>(
        &self,
        service: ServiceId,
        client: F::Addr,
        pin: PinId,
        now: Millis,
        alive: impl Fn(PinId, Millis) -> bool,
    ) {
        let (key, hash) = self.key::<F>(service, client);
        let mut shard = self.shard(hash);
        let (mut at, mut dead) = (shard.head(hash), NONE);
        while let Some(record) = shard.records.get(at as usize) {
            if record.key == key {
                if record.pin == pin {
                    return shard.touch(at, now);
                }
                if !alive(record.pin, record.used) {
                    dead = at;
                }
            }
            at = record.next;
        }
        match shard.records.get_mut(dead as usize) {
            Some(record) => {
                record.pin = pin;
                shard.touch(dead, now);
            }
            None => shard.insert(key, hash, pin, now),
        }
    }

    /// Takes out records of the next shard that no Service can want any more, so that none is ever old enough for the
    /// clock to wrap over it. A bounded piece of work; each call does another shard.
    pub fn sweep(&self, now: Millis) {
        let index = self.swept.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        let mut shard = lock(&self.shards[index]);
        for _ in 0..SWEEP_MOST {
            let oldest = shard.oldest;
            match shard.records.get(oldest as usize) {
                Some(record) if now.since(record.used) >= LONGEST_TIMEOUT => shard.remove(oldest),
                _ => return,
            }
        }
    }

    #[inline]
    fn key<F: Family>(&self, service: ServiceId, client: F::Addr) -> (Key, u64) {
        let client = words::<F>(client);
        let key = Key { client, service: service.0, bytes: F::ADDR_LEN as u8 };
        let rest = u64::from(service.0) << 8 | u64::from(key.bytes);
        (key, fold(fold(client.0 ^ self.seed[0], client.1 ^ self.seed[1]) ^ rest, self.seed[1]))
    }

    #[inline]
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[((hash >> 32) as usize) % self.shards.len()])
    }
}

impl Shard {
    fn new(capacity: usize) -> Self {
        let record = |next| Record {
            key: Key::default(),
            pin: PinId(0),
            used: Millis::default(),
            bucket: 0,
            next,
            newer: NONE,
            older: NONE,
        };
        let next = |at: usize| if at + 1 == capacity { NONE } else { at as u32 + 1 };
        Self {
            heads: vec![NONE; capacity.next_power_of_two()].into_boxed_slice(),
            records: (0..capacity).map(|at| record(next(at))).collect(),
            free: 0,
            newest: NONE,
            oldest: NONE,
            len: 0,
        }
    }

    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.heads.len() - 1)
    }

    #[inline]
    fn head(&self, hash: u64) -> u32 {
        self.heads[self.bucket(hash)]
    }

    fn insert(&mut self, key: Key, hash: u64, pin: PinId, now: Millis) {
        if self.free == NONE {
            self.remove(self.oldest);
        }
        let (at, bucket) = (self.free, self.bucket(hash));
        let record = &mut self.records[at as usize];
        self.free = record.next;
        *record = Record {
            key,
            pin,
            used: now,
            bucket: bucket as u32,
            next: self.heads[bucket],
            newer: NONE,
            older: NONE,
        };
        self.heads[bucket] = at;
        self.len += 1;
        self.make_newest(at);
    }

    fn remove(&mut self, at: u32) {
        self.unlink(at);
        let Record { bucket, next, .. } = self.records[at as usize];
        let mut before = self.heads[bucket as usize];
        if before == at {
            self.heads[bucket as usize] = next;
        } else {
            while self.records[before as usize].next != at {
                before = self.records[before as usize].next;
            }
            self.records[before as usize].next = next;
        }
        self.records[at as usize].next = self.free;
        self.free = at;
        self.len -= 1;
    }

    fn touch(&mut self, at: u32, now: Millis) {
        self.records[at as usize].used = now;
        if self.newest != at {
            self.unlink(at);
            self.make_newest(at);
        }
    }

    /// Takes a record out of the order of use.
    fn unlink(&mut self, at: u32) {
        let Record { newer, older, .. } = self.records[at as usize];
        match self.records.get_mut(newer as usize) {
            Some(record) => record.older = older,
            None => self.newest = older,
        }
        match self.records.get_mut(older as usize) {
            Some(record) => record.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn make_newest(&mut self, at: u32) {
        let older = self.newest;
        let record = &mut self.records[at as usize];
        (record.newer, record.older) = (NONE, older);
        match self.records.get_mut(older as usize) {
            Some(record) => record.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

/// No caller's code that may panic changes a shard halfway, so its state is sound.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
