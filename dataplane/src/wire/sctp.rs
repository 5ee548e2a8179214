//! The SCTP common header and its chunks (RFC 9260 §3).
//!
//! In: the upper layer of a packet. Out: a view; the chunks are iterated, not checked ahead. The checksum is a CRC-32C
//! over the whole packet without a pseudo-header, so a change of addresses leaves it alone and a change of ports is
//! repaired by the CRC of the difference ([`Sctp::apply_ports`]): a packet that came corrupt leaves corrupt.
//! Cost of that: 32 steps for each bit set in the length, well under half a microsecond.
//! Limits: a first fragment cannot be repaired, since its CRC depends on how many bytes follow in the others; addresses
//! inside chunks (multi-homing) are not translated.

use super::bytes::{array, be16, be32, put};
use super::crc32c::replacement;
use super::{Crc32c, Layer, ParseError};

mod field {
    pub(super) const SOURCE_PORT: usize = 0;
    pub(super) const DESTINATION_PORT: usize = 2;
    pub(super) const PORTS: usize = 0;
    pub(super) const VERIFICATION_TAG: usize = 4;
    pub(super) const CHECKSUM: usize = 8;
    pub(super) const LEN: usize = 12;
    pub(super) mod chunk {
        pub(in super::super) const TYPE: usize = 0;
        pub(in super::super) const FLAGS: usize = 1;
        pub(in super::super) const LENGTH: usize = 2;
        pub(in super::super) const LEN: usize = 4;
        /// Chunks start at multiples of this; the length field does not count the padding.
        pub(in super::super) const ALIGNMENT: usize = 4;
    }
}

/// An SCTP packet whose common header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a> {
    header: &'a [u8; field::LEN],
    chunks: &'a [u8],
}

impl<'a> Sctp<'a> {
    /// Bytes of the common header.
    pub const LEN: usize = field::LEN;

    /// Checks a packet.
    #[inline]
    pub fn parse(l4: &'a [u8]) -> Result<Sctp<'a>, ParseError> {
        match l4.split_first_chunk::<{ field::LEN }>() {
            Some((header, chunks)) => Ok(Sctp { header, chunks }),
            None => Err(ParseError::truncated(Layer::Sctp, field::LEN, l4.len())),
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

    /// The verification tag; 0 in an INIT.
    #[inline]
    pub fn verification_tag(&self) -> u32 {
        be32(self.header, field::VERIFICATION_TAG)
    }

    /// The checksum as it came.
    #[inline]
    pub fn checksum(&self) -> u32 {
        u32::from_le_bytes(array(self.header, field::CHECKSUM))
    }

    /// The chunks; the iterator ends at the first malformed one.
    #[inline]
    pub fn chunks(&self) -> SctpChunks<'a> {
        SctpChunks { rest: self.chunks }
    }

    /// Whether the checksum is right.
    pub fn checksum_is_valid(&self) -> bool {
        self.computed() == self.checksum()
    }

    /// The CRC of the packet with zero in the checksum's place.
    fn computed(&self) -> u32 {
        let before = &self.header[..field::CHECKSUM];
        Crc32c::new().update(before).update(&[0; 4]).update(self.chunks).finish()
    }

    /// Replaces both ports and repairs the checksum. `whole` is the packet's length, of which a quote that ICMP has cut
    /// off may show less: the CRC of the difference needs to know only how many bytes followed. One that is cut off
    /// before the checksum has none to repair.
    pub fn apply_ports(l4: &mut [u8], whole: usize, source: u16, destination: u16) {
        let old: [u8; 4] = array(l4, field::PORTS);
        super::set_ports(l4, source, destination);
        if l4.len() < field::LEN {
            return;
        }
        let change = replacement(old, array(l4, field::PORTS), whole.max(field::LEN) - old.len());
        let stored = u32::from_le_bytes(array(l4, field::CHECKSUM));
        put(l4, field::CHECKSUM, (stored ^ change).to_le_bytes());
    }

    /// Computes the checksum of a packet made here.
    pub fn fill_checksum(l4: &mut [u8]) {
        if let Ok(packet) = Sctp::parse(l4) {
            let computed = packet.computed();
            put(l4, field::CHECKSUM, computed.to_le_bytes());
        }
    }
}

/// One chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SctpChunk<'a> {
    /// Its type.
    pub chunk_type: u8,
    /// Its flags.
    pub flags: u8,
    /// What follows its header, without padding.
    pub value: &'a [u8],
}

impl SctpChunk<'_> {
    /// User data.
    pub const DATA: u8 = 0;
    /// Opens an association.
    pub const INIT: u8 = 1;
    /// Answers INIT.
    pub const INIT_ACK: u8 = 2;
    /// Asks whether the other side is there.
    pub const HEARTBEAT: u8 = 4;
    /// Answers HEARTBEAT.
    pub const HEARTBEAT_ACK: u8 = 5;
    /// Ends an association at once.
    pub const ABORT: u8 = 6;
    /// Ends an association.
    pub const SHUTDOWN: u8 = 7;
    /// Answers SHUTDOWN.
    pub const SHUTDOWN_ACK: u8 = 8;
    /// Sends back the cookie of INIT ACK.
    pub const COOKIE_ECHO: u8 = 10;
    /// Tells what went wrong.
    pub const ERROR: u8 = 9;
    /// Answers COOKIE ECHO.
    pub const COOKIE_ACK: u8 = 11;
    /// Answers SHUTDOWN ACK.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
}

/// Iterates over the chunks of a packet.
#[derive(Clone, Debug)]
pub struct SctpChunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for SctpChunks<'a> {
    type Item = SctpChunk<'a>;

    fn next(&mut self) -> Option<SctpChunk<'a>> {
        // Every chunk takes four bytes at least, which bounds the walk.
        let bytes = std::mem::take(&mut self.rest);
        let head = bytes.first_chunk::<{ field::chunk::LEN }>()?;
        let len = usize::from(be16(head, field::chunk::LENGTH));
        let value = bytes.get(field::chunk::LEN..len)?;
        self.rest = bytes.get(len.next_multiple_of(field::chunk::ALIGNMENT)..).unwrap_or_default();
        let (chunk_type, flags) = (head[field::chunk::TYPE], head[field::chunk::FLAGS]);
        Some(SctpChunk { chunk_type, flags, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(chunks: &[u8]) -> Vec<u8> {
        let mut l4 = vec![0x13, 0x88, 0x0b, 0x59, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0];
        l4.extend(chunks);
        Sctp::fill_checksum(&mut l4);
        l4
    }

    #[test]
    fn fields_and_chunks() {
        let l4 = packet(&[10, 0, 0, 5, 0x61, 0, 0, 0, 0, 3, 0, 6, 0x62, 0x63]);
        let sctp = Sctp::parse(&l4).unwrap();
        assert_eq!((sctp.source_port(), sctp.destination_port()), (5000, 2905));
        assert_eq!(sctp.verification_tag(), 0xdead_beef);
        let chunks: Vec<_> = sctp.chunks().collect();
        assert_eq!(
            chunks,
            [
                SctpChunk { chunk_type: SctpChunk::COOKIE_ECHO, flags: 0, value: b"a" },
                SctpChunk { chunk_type: SctpChunk::DATA, flags: 3, value: b"bc" },
            ]
        );
    }

    #[test]
    fn malformed_chunks_end_the_walk() {
        for chunks in [&[0, 0, 0][..], &[0, 0, 0, 0], &[0, 0, 0, 3], &[0, 0, 0, 5], &[0, 0, 0xff, 0xff]] {
            assert_eq!(Sctp::parse(&packet(chunks)).unwrap().chunks().count(), 0, "{chunks:?}");
        }
    }

    #[test]
    fn checksum_is_stored_lowest_byte_first() {
        let l4 = packet(&[]);
        let zeroed = [&l4[..8], &[0; 4]].concat();
        assert_eq!(l4[8..], super::super::crc32c(&zeroed).to_le_bytes());
    }

    proptest! {
        #[test]
        // S-200
        fn ports_are_repaired_and_errors_are_not(
            chunks in prop::collection::vec(any::<u8>(), 0..2000),
            (source, destination) in any::<(u16, u16)>(),
            flip in prop::option::of((0usize..2000, 1u8..)),
        ) {
            let mut l4 = packet(&chunks);
            if let Some((at, bits)) = flip {
                let at = 4 + at % (l4.len() - 4);
                l4[at] ^= bits;
            }
            prop_assert_eq!(Sctp::parse(&l4).unwrap().checksum_is_valid(), flip.is_none());
            let whole = l4.len();
            Sctp::apply_ports(&mut l4, whole, source, destination);
            let after = Sctp::parse(&l4).unwrap();
            prop_assert_eq!((after.source_port(), after.destination_port()), (source, destination));
            prop_assert_eq!(after.checksum_is_valid(), flip.is_none());
        }
    }
}
