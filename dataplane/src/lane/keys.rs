//! The classifier's index of slots: which slot a packet's tuple names.

use crate::{state::Tuple, wire::Family};

/// A slot in its generation, as the index keeps it: the number of the slot below, the generation above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRef(pub u64);

/// An entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<F: Family> {
    /// What packets arrive with.
    pub tuple: Tuple<F>,
    /// The slot that tells what they leave with.
    pub slot: SlotRef,
}

/// The index, which the classifier reads. Calls are system calls, and are made between batches only, with a bounded number of
/// keys each.
pub trait Keys<F: Family>: Send + std::fmt::Debug {
    /// Adds keys, or puts others in their place. How many of them are in now, from the first on: less than all where
    /// there is no room.
    fn insert(&mut self, keys: &[Key<F>]) -> usize;
    /// Takes keys out. One that is not there is out already.
    fn remove(&mut self, tuples: &[Tuple<F>]);
}
