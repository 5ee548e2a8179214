//! Stable numbers, counted and given again late.
//!
//! A number stays with its key for as long as somebody holds it. Then it rests: workers may still work with a
//! generation that names it. It is given again only after [`IdPool::release`] says that every worker has passed the
//! generation in which it was gone, the longest-resting first.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    hash::Hash,
};

#[derive(Debug)]
pub(super) struct IdPool<K> {
    held: HashMap<K, Holding>,
    /// Numbers that will be gone with the next generation.
    going: Vec<u32>,
    /// Numbers that are gone since a generation, the oldest first.
    resting: VecDeque<(u64, u32)>,
    free: VecDeque<u32>,
    next: u32,
}

#[derive(Debug)]
struct Holding {
    id: u32,
    holders: u32,
}

impl<K> Default for IdPool<K> {
    fn default() -> Self {
        let (resting, free) = (VecDeque::new(), VecDeque::new());
        Self { held: HashMap::new(), going: Vec::new(), resting, free, next: 0 }
    }
}

impl<K: Hash + Eq> IdPool<K> {
    /// The number of a key, with one more holder. True if it is new.
    pub(super) fn hold(&mut self, key: K) -> (u32, bool) {
        if let Some(holding) = self.held.get_mut(&key) {
            holding.holders += 1;
            return (holding.id, false);
        }
        let id = self.free.pop_front().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.held.insert(key, Holding { id, holders: 1 });
        (id, true)
    }

    /// One holder less. The number, if that was the last one.
    pub(super) fn drop<Q>(&mut self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let holding = self.held.get_mut(key)?;
        holding.holders -= 1;
        if holding.holders > 0 {
            return None;
        }
        let id = self.held.remove(key)?.id;
        self.going.push(id);
        Some(id)
    }

    /// How many hold a key.
    pub(super) fn holders<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.held.get(key).map_or(0, |holding| holding.holders)
    }

    /// The number of a key that is held.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.held.get(key).map(|holding| holding.id)
    }

    /// What was dropped is gone from this generation on.
    pub(super) fn published(&mut self, generation: u64) {
        self.resting.extend(self.going.drain(..).map(|id| (generation, id)));
    }

    /// No worker works with a generation before `oldest_in_use` any more.
    pub(super) fn release(&mut self, oldest_in_use: u64) {
        while let Some((_, id)) = self.resting.pop_front_if(|(gone, _)| *gone <= oldest_in_use) {
            self.free.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_until_it_is_released() {
        let mut pool = IdPool::default();
        assert_eq!(pool.hold("a"), (0, true));
        assert_eq!(pool.hold("a"), (0, false));
        assert_eq!(pool.hold("b"), (1, true));
        assert_eq!(pool.drop("a"), None, "somebody still holds it");
        assert_eq!(pool.drop("a"), Some(0));
        pool.release(100);
        assert_eq!(pool.hold("c"), (2, true), "its end is not published yet");
        pool.published(5);
        pool.release(4);
        assert_eq!(pool.hold("d"), (3, true), "a worker may still use generation 4");
        pool.release(5);
        assert_eq!(pool.hold("e"), (0, true));
    }
}
