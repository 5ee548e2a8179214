//! The Internet checksum, in three types that cannot be mixed up.
//!
//! * [`Sum`]: a running one's complement sum of bytes (RFC 1071), kept wide and folded when asked.
//! * [`Checksum`]: the 16 bits as they are stored in a packet, the complement of a sum.
//! * [`Delta`]: by how much a sum changes when bytes are replaced (RFC 1624). A flow keeps two of them, 2 bytes each,
//!   and rewrites any of its packets at the cost of an addition.
//!
//! A delta never looks at the payload, so a packet that was corrupt when it came is still corrupt when it leaves.
//!
//! All three hold numbers in the byte order of the machine's loads, since one's complement addition does not care
//! (RFC 1071 §2 B); only the `*_be` functions speak of numbers as people read them. In this arithmetic 0 and 0xFFFF
//! are the same number: a sum is 0 only if all its bytes are 0, and a delta of nothing is always written 0.

use std::fmt;

use super::bytes::{array, put};

/// 32 bits at a time: the sum of as many words as a packet can have stays far from the end of 64 bits.
const WORD: usize = 4;

/// A running one's complement sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    #[inline]
    pub const fn zero() -> Sum {
        Sum(0)
    }

    /// The sum of `bytes`; an odd last byte is followed by an imagined zero.
    #[inline]
    pub fn of(bytes: &[u8]) -> Sum {
        let (words, rest) = bytes.as_chunks::<WORD>();
        let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let (pairs, last) = rest.as_chunks::<2>();
        if let [pair] = pairs {
            sum += u64::from(u16::from_ne_bytes(*pair));
        }
        if let [byte] = last {
            sum += u64::from(u16::from_ne_bytes([*byte, 0]));
        }
        Sum(sum)
    }

    /// The sum of a header of fixed length, by words twice as long.
    #[inline(always)]
    pub(super) fn of_header<const N: usize>(header: &[u8; N]) -> Sum {
        let (words, rest) = header.as_chunks::<8>();
        words.iter().fold(Sum::of(rest), |sum, word| sum.plus(Sum(u64::from_ne_bytes(*word))))
    }

    /// This sum and that of `bytes`, which must start at an even offset of what is summed.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Sum {
        self.plus(Sum::of(bytes))
    }

    /// This sum and a 16-bit field with this value.
    #[inline]
    #[must_use]
    pub const fn add_u16_be(self, value: u16) -> Sum {
        self.plus(Sum(value.to_be() as u64))
    }

    /// This sum and a 32-bit field with this value.
    #[inline]
    #[must_use]
    pub const fn add_u32_be(self, value: u32) -> Sum {
        self.plus(Sum(value.to_be() as u64))
    }

    /// Both sums together.
    #[inline]
    #[must_use]
    pub const fn plus(self, other: Sum) -> Sum {
        let (sum, carry) = self.0.overflowing_add(other.0);
        Sum(sum + carry as u64)
    }

    /// What has to be stored so that the whole sums to 0xFFFF.
    #[inline]
    pub const fn checksum(self) -> Checksum {
        Checksum(!self.folded())
    }

    /// Whether bytes with their checksum among them sum to what they must.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.0 != 0 && self.folds_to_nothing()
    }

    /// Whether it folds to 0xFFFF, or to 0: it is a multiple of 0xFFFF then, and times the inverse of that is its share.
    /// Of a multiplication less than folding takes, by hand, since the compiler makes a division of it.
    #[inline(always)]
    pub(super) const fn folds_to_nothing(self) -> bool {
        const MODULUS: u64 = u16::MAX as u64;
        const INVERSE: u64 = 0u64.wrapping_sub(1 | 1 << 16 | 1 << 32 | 1 << 48);
        const { assert!(MODULUS.wrapping_mul(INVERSE) == 1) }
        self.0.wrapping_mul(INVERSE) <= u64::MAX / MODULUS
    }

    /// 64 bits to 16 with the carries brought round: each step adds the two halves to each other, and the carry out of
    /// the lower half arrives in the upper one.
    #[inline]
    const fn folded(self) -> u16 {
        let half = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        (half.wrapping_add(half.rotate_left(16)) >> 16) as u16
    }
}

impl PartialEq for Sum {
    /// Whether both fold to the same 16 bits.
    fn eq(&self, other: &Sum) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for Sum {}

/// A checksum as stored in a packet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Checksum(u16);

impl Checksum {
    /// The checksum at `offset`.
    #[inline]
    pub fn read(bytes: &[u8], offset: usize) -> Checksum {
        Checksum(u16::from_ne_bytes(array(bytes, offset)))
    }

    /// Stores it at `offset`.
    #[inline]
    pub fn write(self, bytes: &mut [u8], offset: usize) {
        put(bytes, offset, self.0.to_ne_bytes());
    }

    /// The checksum whose number in network order is `value`.
    #[inline]
    pub const fn from_be(value: u16) -> Checksum {
        Checksum(value.to_be())
    }

    /// Its number in network order, as RFCs and captures print it.
    #[inline]
    pub const fn to_be(self) -> u16 {
        u16::from_be(self.0)
    }

    /// Whether it is zero as it is stored.
    #[inline(always)]
    pub(super) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
    #[inline]
    #[must_use]
    pub const fn apply(self, delta: Delta) -> Checksum {
        Checksum(!add(!self.0, delta.0))
    }

    /// Applies `delta` to the checksum at `offset`, if `bytes` reach that far. They do not in many ICMP quotes.
    #[inline]
    pub(super) fn update(bytes: &mut [u8], offset: usize, delta: Delta) {
        if bytes.len() >= offset + size_of::<Checksum>() {
            Checksum::read(bytes, offset).apply(delta).write(bytes, offset);
        }
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({:#06x})", self.to_be())
    }
}

/// By how much a sum changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Delta(u16);

impl Delta {
    /// No change at all.
    pub const NONE: Delta = Delta(0);

    /// What replacing bytes that sum to `old` by bytes that sum to `new` does.
    #[inline]
    pub const fn between(old: Sum, new: Sum) -> Delta {
        Delta::canonical(add(!old.folded(), new.folded()))
    }

    /// As two bytes of a packet are, read as the machine does.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// The change whose [`bits`](Self::bits) these are.
    pub(crate) const fn from_bits(bits: u16) -> Delta {
        Delta::canonical(bits)
    }

    /// Both changes.
    #[inline]
    #[must_use]
    pub const fn plus(self, other: Delta) -> Delta {
        Delta::canonical(add(self.0, other.0))
    }

    /// The change back.
    #[inline]
    #[must_use]
    pub const fn negate(self) -> Delta {
        Delta::canonical(!self.0)
    }

    /// One form for "nothing", so that equal changes are equal and no change leaves a stored 0xFFFF alone.
    #[inline]
    const fn canonical(value: u16) -> Delta {
        Delta(if value == u16::MAX { 0 } else { value })
    }
}

/// One's complement addition: the carry comes round.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(value: u16) -> Sum {
        Sum::zero().add_u16_be(value)
    }

    /// RFC 1071 §4.1 as it stands there.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn rfc_1071_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::of(&bytes).checksum().to_be(), !0xddf2);
    }

    #[test]
    // S-198
    fn rfc_1624_vector_gives_zero() {
        let delta = Delta::between(word(0x5555), word(0x3285));
        assert_eq!(Checksum::from_be(0xdd2f).apply(delta), Checksum::from_be(0x0000));
    }

    #[test]
    fn delta_takes_two_bytes() {
        assert_eq!(size_of::<Delta>(), 2);
    }

    #[test]
    fn nothing_has_one_form_and_changes_nothing() {
        assert_eq!(Delta::between(word(0x1234), word(0x1234)), Delta::NONE);
        assert_eq!(Delta::between(word(0), word(0xffff)), Delta::NONE);
        for stored in [0x0000, 0x0001, 0xfffe, 0xffff] {
            assert_eq!(Checksum::from_be(stored).apply(Delta::NONE), Checksum::from_be(stored));
        }
    }

    proptest! {
        #[test]
        fn sum_is_that_of_the_rfc(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Sum::of(&bytes).checksum().to_be(), plain(&bytes));
        }

        #[test]
        fn sum_may_be_taken_in_even_pieces(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..100) {
            let (left, right) = bytes.split_at((2 * at).min(bytes.len()));
            prop_assert_eq!(Sum::of(left).add_bytes(right), Sum::of(&bytes));
        }

        #[test]
        fn fields_are_bytes(a in any::<u16>(), b in any::<u32>()) {
            let mut bytes = a.to_be_bytes().to_vec();
            bytes.extend(b.to_be_bytes());
            prop_assert_eq!(Sum::zero().add_u16_be(a).add_u32_be(b), Sum::of(&bytes));
        }

        #[test]
        fn carries_of_the_wide_sum_come_round(a in any::<u64>(), b in any::<u64>()) {
            let both = [a.to_ne_bytes(), b.to_ne_bytes()].concat();
            prop_assert_eq!(Sum(a).plus(Sum(b)), Sum::of(&both));
        }

        #[test]
        fn delta_is_a_recomputation(
            mut bytes in prop::collection::vec(any::<u8>(), 8..64),
            new in any::<[u8; 6]>(),
        ) {
            // All zero has a sum of its own (+0); no header with a checksum in it is all zero.
            prop_assume!(bytes[6..].iter().any(|byte| *byte != 0));
            let (old, stored) = (Sum::of(&bytes[..6]), Sum::of(&bytes).checksum());
            bytes[..6].copy_from_slice(&new);
            let delta = Delta::between(old, Sum::of(&new));
            prop_assert_eq!(stored.apply(delta), Sum::of(&bytes).checksum());
            prop_assert_eq!(stored.apply(delta).apply(delta.negate()), stored);
        }

        #[test]
        fn deltas_add_up(a in any::<u16>(), b in any::<u16>(), c in any::<u16>()) {
            let (ab, bc) = (Delta::between(word(a), word(b)), Delta::between(word(b), word(c)));
            prop_assert_eq!(ab.plus(bc), Delta::between(word(a), word(c)));
            prop_assert_eq!(ab.plus(ab.negate()), Delta::NONE);
        }
    }
}
