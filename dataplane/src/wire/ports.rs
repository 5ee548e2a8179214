//! The ports of TCP, UDP and SCTP, which all three keep in their first four bytes.
//!
//! The quote in an ICMP error has at least eight bytes of the upper layer (RFC 792), so these work there too, where
//! the full views cannot.

use super::bytes::{be16, put};
use super::{Checksum, Delta, Tcp, Udp};

mod field {
    pub(super) const SOURCE: usize = 0;
    pub(super) const DESTINATION: usize = 2;
    pub(super) const LEN: usize = 4;
}

/// The source and the destination port, if the bytes reach that far.
#[inline]
pub fn ports(l4: &[u8]) -> Option<(u16, u16)> {
    let head = l4.first_chunk::<{ field::LEN }>()?;
    Some((be16(head, field::SOURCE), be16(head, field::DESTINATION)))
}

/// Repairs the checksum of a TCP or UDP header after a change, as `Tcp::apply_checksum` and `Udp::apply_checksum` do,
/// without a branch on which it is: in a mix of both a processor can't guess.
#[inline]
pub fn apply_checksum(l4: &mut [u8], is_udp: bool, delta: Delta) {
    let at = if is_udp { Udp::CHECKSUM } else { Tcp::CHECKSUM };
    if l4.len() < at + size_of::<Checksum>() {
        return;
    }
    let stored = Checksum::read(l4, at);
    // UDP without a checksum (RFC 768); to TCP zero means zero, and what is compared with is no checksum at all.
    let none = u32::from(is_udp).wrapping_sub(1);
    let is_none = |checksum: Checksum| u32::from(checksum.to_be()) == none;
    if is_none(stored) {
        return;
    }
    let computed = stored.apply(delta);
    let written = if is_none(computed) { Udp::ZERO_CHECKSUM } else { computed };
    written.write(l4, at);
}

/// Replaces the source port, and no checksum.
#[inline]
pub fn set_source_port(l4: &mut [u8], port: u16) {
    put(l4, field::SOURCE, port.to_be_bytes());
}

/// Replaces the destination port, and no checksum.
#[inline]
pub fn set_destination_port(l4: &mut [u8], port: u16) {
    put(l4, field::DESTINATION, port.to_be_bytes());
}

/// Replaces both ports, and no checksum. Bytes too short to have them stay as they are.
#[inline]
pub fn set_ports(l4: &mut [u8], source: u16, destination: u16) {
    if let Some(head) = l4.first_chunk_mut::<{ field::LEN }>() {
        *head = (u32::from(source) << 16 | u32::from(destination)).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Sum;
    use proptest::prelude::*;

    proptest! {
        /// The two that it stands for are the oracle.
        #[test]
        fn both_checksums_are_repaired_alike(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), zero: bool, is_udp: bool, old: u16, new: u16,
        ) {
            let mut bytes = bytes;
            if zero && let Some(field) = bytes.get_mut(6..8) {
                field.fill(0);
            }
            let delta = Delta::between(Sum::zero().add_u16_be(old), Sum::zero().add_u16_be(new));
            let mut expected = bytes.clone();
            if is_udp { Udp::apply_checksum(&mut expected, delta) } else { Tcp::apply_checksum(&mut expected, delta) }
            apply_checksum(&mut bytes, is_udp, delta);
            prop_assert_eq!(bytes, expected);
        }
    }
}
