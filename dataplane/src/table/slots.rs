//! The slots of a Maglev ring, in as few bits as its backends need.
//!
//! In: for each slot, the index of its backend. Out: the same, packed, so that the rings of many Services stay in caches:
//! those of three backends have 509 slots, of two bits each, which are 128 bytes instead of a kilobyte. Widths are powers of
//! two, so that a slot lies in one word.

use crate::prefetch::prefetch;
use std::sync::Arc;

/// See the module. A copy is cheap, and shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    words: Arc<[u16]>,
    len: u32,
    width: Width,
}

/// How many bits a slot has; the number of each is their binary logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    One,
    Two,
    Four,
    Eight,
    Sixteen,
}

impl Width {
    /// That of an index below `end`.
    fn below(end: usize) -> Self {
        match end {
            0..=2 => Self::One,
            3..=4 => Self::Two,
            5..=16 => Self::Four,
            17..=256 => Self::Eight,
            _ => Self::Sixteen,
        }
    }

    #[inline]
    fn bits(self) -> u32 {
        1 << self as u8
    }

    /// The binary logarithm of the slots of a word.
    #[inline]
    fn shift(self) -> u32 {
        4 - self as u32
    }
}

impl Slots {
    /// Packs these indices of so many backends.
    pub(super) fn pack(indices: &[u16], backends: usize) -> Self {
        let width = Width::below(backends);
        let word = |indices: &[u16]| {
            indices.iter().rev().fold(0, |word: u32, index| word << width.bits() | u32::from(*index)) as u16
        };
        let words = match width {
            Width::Sixteen => indices.into(),
            _ => indices.chunks(1 << width.shift()).map(word).collect(),
        };
        Self { words, len: indices.len() as u32, width }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// The index in this slot. A slot beyond the ring is some other one.
    #[inline]
    pub(super) fn get(&self, slot: usize) -> usize {
        let place = (slot << self.width as u32) % 16;
        usize::from(self.words[self.word(slot)] >> place) & ((1 << self.width.bits()) - 1)
    }

    /// Asks for a slot.
    #[inline]
    pub(super) fn prefetch(&self, slot: usize) {
        prefetch(&self.words[self.word(slot)]);
    }

    /// The word of a slot.
    #[inline]
    fn word(&self, slot: usize) -> usize {
        (slot >> self.width.shift()).min(self.words.len() - 1)
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.len()).map(|slot| self.get(slot))
    }

    /// Whether both are the same, which costs no look inside.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.words, &other.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_backends_need_few_bits() {
        for (backends, bits) in
            [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8), (257, 16), (65_535, 16)]
        {
            let slots = Slots::pack(&[0; 32], backends);
            assert_eq!(slots.words.len(), 32 * bits / 16, "{backends} backends");
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_found(
            (backends, indices) in (1..=65_535usize)
                .prop_flat_map(|most| 1..=most)
                .prop_flat_map(|backends| (Just(backends), prop::collection::vec(0..backends as u16, 1..300))),
        ) {
            let slots = Slots::pack(&indices, backends);
            prop_assert!(slots.iter().eq(indices.iter().map(|index| usize::from(*index))));
            slots.prefetch(usize::MAX);
            slots.get(usize::MAX);
        }
    }
}
