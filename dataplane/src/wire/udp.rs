//! The UDP header (RFC 768).
//!
//! In: the upper layer of a packet. Out: a view whose length field has been checked against the bytes there are.
//! Checksums: 0 means "none" and is allowed over IPv4 only; such a packet stays without one. A computed 0 is
//! written 0xFFFF, which is the same number.

use super::bytes::be16;
use super::{Checksum, Delta, Family, Layer, ParseError, Sum};

mod field {
    pub(super) const SOURCE_PORT: usize = 0;
    pub(super) const DESTINATION_PORT: usize = 2;
    pub(super) const LENGTH: usize = 4;
    pub(super) const CHECKSUM: usize = 6;
    pub(super) const LEN: usize = 8;
}

/// "No checksum".
const NONE: Checksum = Checksum::from_be(0);
/// How a computed 0 is written.
const ZERO: Checksum = Checksum::from_be(0xffff);

/// A UDP datagram whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; field::LEN],
    payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Bytes of the header.
    pub const LEN: usize = field::LEN;
    pub(super) const CHECKSUM: usize = field::CHECKSUM;
    pub(super) const LENGTH: usize = field::LENGTH;
    pub(super) const ZERO_CHECKSUM: Checksum = ZERO;

    /// Checks a datagram. Bytes behind it are allowed and not part of it.
    #[inline]
    pub fn parse(l4: &'a [u8]) -> Result<Udp<'a>, ParseError> {
        Udp::read::<true>(l4)
    }

    /// Checks the first fragment of a datagram, whose length field speaks of the whole. The payload is what is there.
    #[inline]
    pub fn parse_first_fragment(l4: &'a [u8]) -> Result<Udp<'a>, ParseError> {
        Udp::read::<false>(l4)
    }

    #[inline(always)]
    fn read<const WHOLE: bool>(l4: &'a [u8]) -> Result<Udp<'a>, ParseError> {
        let Some((header, rest)) = l4.split_first_chunk::<{ field::LEN }>() else {
            return Err(ParseError::truncated(Layer::Udp, field::LEN, l4.len()));
        };
        let stated = be16(header, field::LENGTH);
        let wanted = usize::from(stated).checked_sub(field::LEN);
        let len = if WHOLE { wanted } else { wanted.map(|len| len.min(rest.len())) };
        match len.and_then(|len| rest.get(..len)) {
            Some(payload) => Ok(Udp { header, payload }),
            None => {
                let have = super::bytes::short(l4.len());
                Err(ParseError::BadTotalLength { layer: Layer::Udp, stated, have })
            }
        }
    }

    /// The source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        be16(self.header, field::SOURCE_PORT)
    }

    /// The destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        be16(self.header, field::DESTINATION_PORT)
    }

    /// The length field: header and payload.
    #[inline]
    pub fn length(&self) -> u16 {
        be16(self.header, field::LENGTH)
    }

    /// The checksum as it came.
    #[inline]
    pub fn checksum(&self) -> Checksum {
        Checksum::read(self.header, field::CHECKSUM)
    }

    /// The data.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether a header that has been checked has no checksum where the family requires one.
    #[inline]
    pub fn lacks_checksum<F: Family>(l4: &[u8]) -> bool {
        F::UDP_CHECKSUM_REQUIRED && Checksum::read(l4, field::CHECKSUM) == NONE
    }

    /// Refuses a datagram without a checksum where the family requires one.
    #[inline]
    pub fn require_checksum<F: Family>(&self) -> Result<(), ParseError> {
        if F::UDP_CHECKSUM_REQUIRED && self.checksum() == NONE {
            return Err(ParseError::NoChecksum { layer: Layer::Udp });
        }
        Ok(())
    }

    /// Whether the checksum is right, given [`Family::pseudo_header_sum`] over [`length`](Self::length). One that is
    /// not there is right.
    pub fn checksum_is_valid(&self, pseudo_header: Sum) -> bool {
        self.checksum() == NONE || pseudo_header.add_bytes(self.header).add_bytes(self.payload).is_valid()
    }

    /// Repairs the checksum after a change of addresses or ports. "None" stays; bytes too short to have it, as ICMP
    /// quotes may be, stay as they are.
    #[inline]
    pub fn apply_checksum(l4: &mut [u8], delta: Delta) {
        if l4.len() < field::LEN {
            return;
        }
        let stored = Checksum::read(l4, field::CHECKSUM);
        if stored != NONE {
            written(stored.apply(delta)).write(l4, field::CHECKSUM);
        }
    }

    /// Computes the checksum of a datagram made here.
    pub fn fill_checksum(l4: &mut [u8], pseudo_header: Sum) {
        NONE.write(l4, field::CHECKSUM);
        written(pseudo_header.add_bytes(l4).checksum()).write(l4, field::CHECKSUM);
    }
}

/// How a computed checksum is written.
#[inline]
fn written(computed: Checksum) -> Checksum {
    if computed == NONE { ZERO } else { computed }
}
