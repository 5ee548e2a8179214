//! Moving bytes between slices of one length, and the sums of 16-bit words.

/// Copies all of `from`, as far as there is room.
#[inline(always)]
pub(crate) fn put(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The first `N` bytes; missing ones are zero.
#[inline(always)]
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    put(&mut array, bytes);
    array
}

/// The sum of 16-bit words in the order of the machine (RFC 1071 §2 (B)): not folded, so that more can be added.
#[inline(always)]
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |last| u16::from_ne_bytes([*last, 0]));
    words.iter().map(|word| u32::from(u16::from_ne_bytes(*word))).sum::<u32>() + u32::from(last)
}

/// The checksum of a sum, ready to be stored.
#[inline(always)]
pub(crate) fn checksum(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_ne_bytes()
}
