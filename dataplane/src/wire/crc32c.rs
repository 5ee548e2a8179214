//! CRC-32C (Castagnoli), the checksum of SCTP (RFC 9260 Appendix A).
//!
//! Cost: with SSE 4.2 about an eighth of a nanosecond a byte, otherwise eight table look-ups per eight bytes. The
//! tables are the oracle of the instruction in the tests.
//!
//! A CRC is linear: what changing bytes does to it depends on the difference of the bytes and on how many follow, not
//! on the rest. [`replacement`] computes that, so that SCTP too is repaired without looking at its payload.

/// The reflected polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Bytes a step.
const STEP: usize = 8;

/// `TABLES[k][b]` is the register after the byte `b` and `k` zero bytes.
static TABLES: [[u32; 256]; STEP] = tables();

const fn tables() -> [[u32; 256]; STEP] {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = times_x(register);
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut table = 1;
    while table < STEP {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// A polynomial times x, modulo [`POLYNOMIAL`]; the highest coefficient is the lowest bit.
const fn times_x(a: u32) -> u32 {
    a >> 1 ^ if a & 1 != 0 { POLYNOMIAL } else { 0 }
}

/// The product of two polynomials.
const fn times(mut a: u32, b: u32) -> u32 {
    let mut product = 0;
    let mut coefficient = 1 << 31;
    while coefficient != 0 {
        if b & coefficient != 0 {
            product ^= a;
        }
        a = times_x(a);
        coefficient >>= 1;
    }
    product
}

/// A checksum being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Of nothing yet.
    pub const fn new() -> Crc32c {
        Crc32c(!0)
    }

    /// And of these bytes too.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Crc32c {
        Crc32c(run(self.0, bytes))
    }

    /// The checksum; SCTP stores it with its lowest byte first.
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c::new()
    }
}

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().update(bytes).finish()
}

/// What to exclusive-or into a checksum when `old` is replaced by `new` and `following` bytes come behind.
pub(super) fn replacement(old: [u8; 4], new: [u8; 4], following: usize) -> u32 {
    let difference = u32::from_ne_bytes(old) ^ u32::from_ne_bytes(new);
    zeros(run_tables(0, &difference.to_ne_bytes()), following)
}

/// `POWERS[k]` is x to the 8 × 2^k: what 2^k zero bytes multiply the register by.
static POWERS: [u32; usize::BITS as usize] = powers();

const fn powers() -> [u32; usize::BITS as usize] {
    // x^8: the coefficient of x^0 is the highest bit.
    let mut powers = [1 << (31 - 8); usize::BITS as usize];
    let mut k = 1;
    while k < powers.len() {
        powers[k] = times(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
}

/// The register after `count` zero bytes, a multiplication for each bit set in it.
fn zeros(mut register: u32, mut count: usize) -> u32 {
    while count != 0 {
        register = times(register, POWERS[count.trailing_zeros() as usize]);
        count &= count - 1;
    }
    register
}

#[inline]
fn run(register: u32, bytes: &[u8]) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if is_x86_feature_detected!("sse4.2") {
        return sse42::run(register, bytes);
    }
    run_tables(register, bytes)
}

fn run_tables(mut register: u32, bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    for step in steps {
        let word = u64::from_le_bytes(*step) ^ u64::from(register);
        register = 0;
        for (byte, table) in word.to_le_bytes().iter().zip(TABLES.iter().rev()) {
            register ^= table[usize::from(*byte)];
        }
    }
    for byte in rest {
        register = register >> 8 ^ TABLES[0][usize::from(*byte ^ register.to_le_bytes()[0])];
    }
    register
}

#[cfg(target_arch = "x86_64")]
#[cfg_attr(miri, expect(dead_code, reason = "Miri runs the tables"))]
mod sse42 {
    //! The CRC instruction. Call only where the processor has SSE 4.2.
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};

    #[expect(unsafe_code, reason = "calls an instruction that not every processor has")]
    #[inline]
    pub(super) fn run(register: u32, bytes: &[u8]) -> u32 {
        debug_assert!(is_x86_feature_detected!("sse4.2"));
        // SAFETY: the only caller has just asked the processor for SSE 4.2; there is no other precondition.
        unsafe { with_instruction(register, bytes) }
    }

    #[target_feature(enable = "sse4.2")]
    fn with_instruction(register: u32, bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks::<8>();
        let register =
            words.iter().fold(u64::from(register), |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word)));
        rest.iter().fold(register as u32, |crc, byte| _mm_crc32_u8(crc, *byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3720 B.4 and the check value of the catalogue of CRCs.
    #[test]
    fn known_vectors() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        for (bytes, crc) in [
            (b"".as_slice(), 0),
            (b"123456789", 0xe306_9283),
            (&[0x00; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (&descending, 0x113f_db5c),
        ] {
            assert_eq!(crc32c(bytes), crc, "{bytes:02x?}");
            assert_eq!(!run_tables(!0, bytes), crc, "tables, {bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn instruction_agrees_with_tables(register in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(run(register, &bytes), run_tables(register, &bytes));
        }

        #[test]
        fn pieces_make_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..100) {
            let (left, right) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(Crc32c::new().update(left).update(right).finish(), crc32c(&bytes));
        }

        #[test]
        fn replacement_is_a_recomputation(
            before in prop::collection::vec(any::<u8>(), 0..40),
            (old, new) in any::<([u8; 4], [u8; 4])>(),
            after in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let whole = |middle: [u8; 4]| crc32c(&[&before[..], &middle, &after].concat());
            prop_assert_eq!(whole(old) ^ replacement(old, new, after.len()), whole(new));
        }
    }
}
