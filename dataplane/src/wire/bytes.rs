//! Big-endian loads and stores at a named offset.
//!
//! The offset comes from a `mod field`. Where the slice is a fixed-size header the compiler sees that the access is
//! inside it and leaves no check behind.

/// The `N` bytes at `offset`.
#[inline(always)]
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

/// The `LEN` bytes at `AT` of `N`, where they are.
#[inline(always)]
pub(super) fn part<const N: usize, const AT: usize, const LEN: usize>(bytes: &[u8; N]) -> &[u8; LEN] {
    const { assert!(AT + LEN <= N) }
    // The compiler sees that it is always there.
    bytes[AT..].first_chunk().unwrap_or(&[0; LEN])
}

/// The big-endian 16-bit number at `offset`.
#[inline(always)]
pub(super) fn be16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes(array(bytes, offset))
}

/// The big-endian 32-bit number at `offset`.
#[inline(always)]
pub(super) fn be32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(array(bytes, offset))
}

/// Stores `value` at `offset`.
#[inline(always)]
pub(super) fn put<const N: usize>(bytes: &mut [u8], offset: usize, value: [u8; N]) {
    bytes[offset..offset + N].copy_from_slice(&value);
}

/// A length as errors carry it.
#[inline(always)]
pub(super) const fn short(len: usize) -> u16 {
    if len > u16::MAX as usize { u16::MAX } else { len as u16 }
}
