//! The ports of TCP, UDP and SCTP, which all three keep in their first four bytes.
//!
//! The quote in an ICMP error has at least eight bytes of the upper layer (RFC 792), so these work there too, where
//! the full views cannot.

use super::bytes::{be16, put};

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
