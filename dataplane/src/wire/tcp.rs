//! The TCP header (RFC 9293).
//!
//! In: the upper layer of a packet or of a first fragment. Out: a view; the data offset is checked against the bytes
//! there are. The checksum is not verified: the path repairs it by a [`Delta`] and leaves errors in place.

use std::fmt;
use std::ops::BitOr;

use super::bytes::{be16, be32};
use super::tcp_options::TcpOptions;
use super::{Checksum, Delta, Layer, ParseError, Sum, TcpOption};

mod field {
    pub(super) const SOURCE_PORT: usize = 0;
    pub(super) const DESTINATION_PORT: usize = 2;
    pub(super) const SEQUENCE: usize = 4;
    pub(super) const ACKNOWLEDGEMENT: usize = 8;
    pub(super) const DATA_OFFSET: usize = 12;
    pub(super) const FLAGS: usize = 13;
    pub(super) const WINDOW: usize = 14;
    pub(super) const CHECKSUM: usize = 16;
    /// Bytes without options.
    pub(super) const LEN: usize = 20;
}

/// The flags of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data.
    pub const FIN: TcpFlags = TcpFlags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: TcpFlags = TcpFlags(0x02);
    /// Reset.
    pub const RST: TcpFlags = TcpFlags(0x04);
    /// Push.
    pub const PSH: TcpFlags = TcpFlags(0x08);
    /// The acknowledgement field counts.
    pub const ACK: TcpFlags = TcpFlags(0x10);
    /// The urgent pointer counts.
    pub const URG: TcpFlags = TcpFlags(0x20);
    /// ECN echo.
    pub const ECE: TcpFlags = TcpFlags(0x40);
    /// Congestion window reduced.
    pub const CWR: TcpFlags = TcpFlags(0x80);

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn contains(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub const fn intersects(self, flags: TcpFlags) -> bool {
        self.0 & flags.0 != 0
    }

    /// SYN.
    #[inline]
    pub const fn syn(self) -> bool {
        self.contains(TcpFlags::SYN)
    }

    /// ACK.
    #[inline]
    pub const fn ack(self) -> bool {
        self.contains(TcpFlags::ACK)
    }

    /// FIN.
    #[inline]
    pub const fn fin(self) -> bool {
        self.contains(TcpFlags::FIN)
    }

    /// RST.
    #[inline]
    pub const fn rst(self) -> bool {
        self.contains(TcpFlags::RST)
    }

    /// Whether a TCP can mean this combination. ECE, CWR and PSH may go with any.
    #[inline]
    pub const fn legal(self) -> bool {
        const LEGAL: u64 = {
            let (fin, syn, rst) = (TcpFlags::FIN.0, TcpFlags::SYN.0, TcpFlags::RST.0);
            let (ack, urg) = (TcpFlags::ACK.0, TcpFlags::URG.0);
            (1 << syn)
                | (1 << (syn | urg))
                | (1 << (syn | ack))
                | (1 << rst)
                | (1 << (rst | ack))
                | (1 << (fin | ack))
                | (1 << (fin | ack | urg))
                | (1 << ack)
                | (1 << (ack | urg))
        };
        let ignored = TcpFlags::ECE.0 | TcpFlags::CWR.0 | TcpFlags::PSH.0;
        LEGAL >> (self.0 & !ignored) & 1 != 0
    }
}

impl BitOr for TcpFlags {
    type Output = TcpFlags;

    fn bitor(self, other: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let mut separator = "";
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 >> bit & 1 != 0 {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        if self.0 == 0 { f.write_str("none") } else { Ok(()) }
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpFlags({self})")
    }
}

/// A TCP segment whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    header: &'a [u8; field::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Bytes of the header without options.
    pub const MIN_HEADER: usize = field::LEN;
    pub(super) const CHECKSUM: usize = field::CHECKSUM;
    pub(super) const DATA_OFFSET: usize = field::DATA_OFFSET;
    pub(super) const FLAGS: usize = field::FLAGS;
    pub(super) const ACKNOWLEDGEMENT: usize = field::ACKNOWLEDGEMENT;

    /// Checks a segment.
    #[inline]
    pub fn parse(l4: &'a [u8]) -> Result<Tcp<'a>, ParseError> {
        let Some((header, rest)) = l4.split_first_chunk::<{ field::LEN }>() else {
            return Err(ParseError::truncated(Layer::Tcp, field::LEN, l4.len()));
        };
        let header_len = u16::from(header[field::DATA_OFFSET] >> 4) * 4;
        let options_len = usize::from(header_len).checked_sub(field::LEN);
        match options_len.and_then(|len| rest.split_at_checked(len)) {
            Some((options, payload)) => Ok(Tcp { header, options, payload }),
            None => Err(ParseError::BadHeaderLength { layer: Layer::Tcp, bytes: header_len }),
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

    /// The sequence number of the first byte, or of the SYN.
    #[inline]
    pub fn seq(&self) -> u32 {
        be32(self.header, field::SEQUENCE)
    }

    /// The acknowledgement number; it counts only with [`TcpFlags::ACK`].
    #[inline]
    pub fn ack(&self) -> u32 {
        be32(self.header, field::ACKNOWLEDGEMENT)
    }

    /// The flags.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(self.header[field::FLAGS])
    }

    /// The window, unscaled.
    #[inline]
    pub fn window(&self) -> u16 {
        be16(self.header, field::WINDOW)
    }

    /// The checksum as it came.
    #[inline]
    pub fn checksum(&self) -> Checksum {
        Checksum::read(self.header, field::CHECKSUM)
    }

    /// Bytes of the header, options included.
    #[inline]
    pub fn header_len(&self) -> usize {
        field::LEN + self.options.len()
    }

    /// The data.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// How far the segment moves the sequence number: its data, and one each for SYN and FIN.
    #[inline]
    pub fn sequence_len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.flags().syn()) + u32::from(self.flags().fin())
    }

    /// The options; the iterator ends at the first malformed one.
    #[inline]
    pub fn options(&self) -> TcpOptions<'a> {
        TcpOptions::new(self.options)
    }

    /// The maximum segment size, if the segment states one.
    pub fn mss(&self) -> Option<u16> {
        self.options().find_map(|option| match option {
            TcpOption::MaximumSegmentSize(mss) => Some(mss),
            _ => None,
        })
    }

    /// Whether the checksum is right, given [`Family::pseudo_header_sum`](super::Family::pseudo_header_sum) over the
    /// whole segment.
    pub fn checksum_is_valid(&self, pseudo_header: Sum) -> bool {
        let header = pseudo_header.add_bytes(self.header).add_bytes(self.options);
        header.add_bytes(self.payload).is_valid()
    }

    /// Repairs the checksum after a change of addresses or ports. Bytes too short to have it, as ICMP quotes may be,
    /// stay as they are.
    #[inline]
    pub fn apply_checksum(l4: &mut [u8], delta: Delta) {
        Checksum::update(l4, field::CHECKSUM, delta);
    }

    /// Computes the checksum of a segment made here.
    pub fn fill_checksum(l4: &mut [u8], pseudo_header: Sum) {
        Checksum::default().write(l4, field::CHECKSUM);
        pseudo_header.add_bytes(l4).checksum().write(l4, field::CHECKSUM);
    }
}
