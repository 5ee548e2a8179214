//! The ports of TCP, UDP and SCTP, which all three keep in their first four bytes.
//!
//! The quote in an ICMP error has at least eight bytes of the upper layer (RFC 792), so these work there too, where
//! the full views cannot.

use super::bytes::{be16, be32};
use super::{Checksum, Delta, Tcp, TcpFlags, Udp};
use std::hint::{cold_path, select_unpredictable};

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

/// Replaces both ports of a TCP or UDP header and repairs its checksum, as far as the bytes reach.
#[inline(always)]
pub fn translate_ports(l4: &mut [u8], is_udp: bool, source: u16, destination: u16, delta: Delta) {
    set_ports(l4, source, destination);
    apply_checksum(l4, is_udp, delta);
}

/// Repairs the checksum of a TCP or UDP header after a change, as `Tcp::apply_checksum` and `Udp::apply_checksum` do,
/// without a branch on which it is: in a mix of both a processor can't guess.
#[inline(always)]
pub fn apply_checksum(l4: &mut [u8], is_udp: bool, delta: Delta) {
    let at = if is_udp { Udp::CHECKSUM } else { Tcp::CHECKSUM };
    if l4.len() < at + size_of::<Checksum>() {
        return;
    }
    let stored = Checksum::read(l4, at);
    let mut written = stored.apply(delta);
    if stored.is_zero() | written.is_zero() {
        cold_path();
        // To TCP zero is a number, to UDP that there is no checksum (RFC 768).
        match is_udp {
            true if stored.is_zero() => return,
            true => written = Udp::ZERO_CHECKSUM,
            false => {}
        }
    }
    written.write(l4, at);
}

/// What the path wants to know of a TCP or UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortsAndFlags {
    /// The source port.
    pub source: u16,
    /// The destination port.
    pub destination: u16,
    /// TCP's flags; none for UDP.
    pub flags: TcpFlags,
    /// What a TCP segment acknowledges, or 0.
    pub acknowledgement: u32,
}

/// Checks a TCP or UDP header as [`Tcp::parse`] and [`Udp::parse`] do, without a branch on which it is. Both have a
/// word with the length that must fit: TCP's data offset, beside its flags, and UDP's length.
#[inline]
pub fn ports_and_flags(l4: &[u8], is_udp: bool) -> Option<PortsAndFlags> {
    let select = |udp: usize, tcp: usize| select_unpredictable(is_udp, udp, tcp);
    let min = select(Udp::LEN, Tcp::MIN_HEADER);
    if l4.len() < min {
        return None;
    }
    let word = be16(l4, select(Udp::LENGTH, Tcp::DATA_OFFSET));
    let len = select(usize::from(word), usize::from(word >> 12) * 4);
    if len < min || len > l4.len() {
        return None;
    }
    let (source, destination) = ports(l4)?;
    let flags = TcpFlags(select(0, usize::from(word)) as u8);
    let acknowledged = u32::from(flags.contains(TcpFlags::ACK)).wrapping_neg();
    let acknowledgement = be32(l4, select(0, Tcp::ACKNOWLEDGEMENT)) & acknowledged;
    Some(PortsAndFlags { source, destination, flags, acknowledgement })
}

/// Replaces both ports, and no checksum. Bytes too short to have them stay as they are.
#[inline(always)]
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
        /// Again the two are the oracle.
        #[test]
        fn both_headers_are_checked_alike(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), word in 0u16..0x60, short: bool, is_udp: bool,
        ) {
            let mut bytes = bytes;
            if short && let Some(field) = bytes.get_mut(4..6) {
                field.copy_from_slice(&word.to_be_bytes());
            }
            let acked = |tcp: &Tcp<'_>| if tcp.flags().ack() { tcp.ack() } else { 0 };
            let tcp = |tcp: Tcp<'_>| (tcp.source_port(), tcp.destination_port(), tcp.flags(), acked(&tcp));
            let udp = |udp: Udp<'_>| (udp.source_port(), udp.destination_port(), TcpFlags::default(), 0);
            let expected =
                if is_udp { Udp::parse(&bytes).ok().map(udp) } else { Tcp::parse(&bytes).ok().map(tcp) };
            let found = ports_and_flags(&bytes, is_udp)
                .map(|found| (found.source, found.destination, found.flags, found.acknowledgement));
            prop_assert_eq!(found, expected);
        }

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
