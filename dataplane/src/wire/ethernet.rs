//! Ethernet II frames with at most two VLAN tags (IEEE 802.1Q, 802.1ad).
//!
//! In: a frame without preamble and FCS. Out: the addresses, the tags as they were (to be sent back out unchanged), the
//! inner EtherType, and where the payload starts. Cost: one 14-byte check, and a step a tag.
//! Limits: a third tag is refused; 802.3 frames with a length field are seen as an [`EtherType`] below 0x0600.

use std::fmt;
use std::str::FromStr;

use super::bytes::{array, be16, put};
use super::{Layer, ParseError};

mod field {
    pub(super) const DESTINATION: usize = 0;
    pub(super) const SOURCE: usize = 6;
    pub(super) const ETHER_TYPE: usize = 12;
    pub(super) const LEN: usize = 14;
    /// From the EtherType that is its TPID.
    pub(super) mod tag {
        pub(in super::super) const TCI: usize = 2;
        pub(in super::super) const LEN: usize = 4;
    }
}

/// A link-layer address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EtherAddr(pub [u8; 6]);

impl EtherAddr {
    /// To all.
    pub const BROADCAST: EtherAddr = EtherAddr([0xff; 6]);
    /// No address at all.
    pub const ZERO: EtherAddr = EtherAddr([0; 6]);

    /// Whether it is a group address; broadcast is one.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 != 0
    }

    /// Whether it is the address of all.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == EtherAddr::BROADCAST
    }

    /// Whether a single interface can have it: neither a group address nor all zero.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != EtherAddr::ZERO
    }
}

impl fmt::Display for EtherAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for EtherAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a link-layer address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a link-layer address: write six pairs of hexadecimal digits, such as 02:00:5e:10:00:01"
)]
pub struct EtherAddrParseError(String);

impl FromStr for EtherAddr {
    type Err = EtherAddrParseError;

    fn from_str(text: &str) -> Result<EtherAddr, EtherAddrParseError> {
        let wrong = || EtherAddrParseError(text.to_owned());
        let mut octets = [0; 6];
        let mut pairs = text.split([':', '-']);
        for octet in &mut octets {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *octet = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        if pairs.next().is_some() { Err(wrong()) } else { Ok(EtherAddr(octets)) }
    }
}

impl serde::Serialize for EtherAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EtherAddr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<EtherAddr, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: EtherType = EtherType(0x0800);
    /// ARP.
    pub const ARP: EtherType = EtherType(0x0806);
    /// A VLAN tag (802.1Q).
    pub const VLAN: EtherType = EtherType(0x8100);
    /// IPv6.
    pub const IPV6: EtherType = EtherType(0x86dd);
    /// A service VLAN tag (802.1ad).
    pub const QINQ: EtherType = EtherType(0x88a8);

    /// Bytes that a VLAN tag adds to a frame.
    pub const TAG_LEN: usize = field::tag::LEN;

    #[inline]
    const fn is_tag(self) -> bool {
        matches!(self, EtherType::VLAN | EtherType::QINQ)
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EtherType::IPV4 => f.pad("IPv4"),
            EtherType::ARP => f.pad("ARP"),
            EtherType::IPV6 => f.pad("IPv6"),
            EtherType(number) => write!(f, "EtherType {number:#06x}"),
        }
    }
}

/// One VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct VlanTag {
    /// [`EtherType::VLAN`] or [`EtherType::QINQ`].
    pub tpid: EtherType,
    /// Priority, drop eligibility and VLAN id.
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN id; 0 means a tag for the priority's sake only.
    #[inline]
    pub const fn id(self) -> u16 {
        self.tci & 0x0fff
    }
}

/// The tags of a frame, the outer one first. One word, because a flow keeps them and every packet compares them: from
/// the low end TPID and TCI of the outer tag, then of the inner one. A place without a tag has the TPID 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VlanTags(u64);

impl VlanTags {
    /// The most tags of a frame.
    pub const MAX: usize = 2;
    /// No tag.
    pub const NONE: VlanTags = VlanTags(0);
    const BITS: usize = 32;

    /// How many there are.
    #[inline]
    pub const fn len(&self) -> usize {
        (self.0 != 0) as usize + (self.0 >> Self::BITS != 0) as usize
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Zero if they are the same.
    #[inline]
    pub const fn difference(self, other: VlanTags) -> u64 {
        self.0 ^ other.0
    }

    /// The tags, the outer one first.
    pub fn iter(&self) -> impl Iterator<Item = VlanTag> + use<> {
        let word = self.0;
        (0..self.len()).map(move |place| {
            let tag = word >> (place * Self::BITS);
            VlanTag { tpid: EtherType(tag as u16), tci: (tag >> 16) as u16 }
        })
    }

    /// Adds an inner tag; false if there are two already, or if it has no TPID.
    #[inline]
    pub fn push(&mut self, tag: VlanTag) -> bool {
        let len = self.len();
        if len == Self::MAX || tag.tpid.0 == 0 {
            return false;
        }
        self.0 |= (u64::from(tag.tpid.0) | u64::from(tag.tci) << 16) << (len * Self::BITS);
        true
    }
}

impl fmt::Debug for VlanTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A frame whose Ethernet header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    frame: &'a [u8],
    header: &'a [u8; field::LEN],
    ether_type: EtherType,
    vlan: VlanTags,
    payload_offset: usize,
}

impl<'a> Ethernet<'a> {
    /// Bytes of the header without tags.
    pub const LEN: usize = field::LEN;

    /// Checks a frame.
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Ethernet<'a>, ParseError> {
        let Some(header) = frame.first_chunk::<{ field::LEN }>() else {
            return Err(ParseError::truncated(Layer::Ethernet, field::LEN, frame.len()));
        };
        let mut ether_type = EtherType(be16(header, field::ETHER_TYPE));
        let (mut vlan, mut payload_offset) = (VlanTags::NONE, field::LEN);
        if ether_type.is_tag() {
            (ether_type, vlan) = tags(frame, ether_type)?;
            payload_offset += vlan.len() * field::tag::LEN;
        }
        Ok(Ethernet { frame, header, ether_type, vlan, payload_offset })
    }

    /// Who sent it.
    #[inline]
    pub fn source(&self) -> EtherAddr {
        EtherAddr(array(self.header, field::SOURCE))
    }

    /// Whom it is for.
    #[inline]
    pub fn destination(&self) -> EtherAddr {
        EtherAddr(array(self.header, field::DESTINATION))
    }

    /// Its tags.
    #[inline]
    pub fn vlan(&self) -> VlanTags {
        self.vlan
    }

    /// What it carries, behind the tags.
    #[inline]
    pub fn ether_type(&self) -> EtherType {
        self.ether_type
    }

    /// Where the payload starts.
    #[inline]
    pub fn payload_offset(&self) -> usize {
        self.payload_offset
    }

    /// The payload, with whatever padding there is.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.frame[self.payload_offset()..]
    }
}

/// Writes these tags behind the addresses of a frame, and behind them the type of what follows.
pub fn write_tags(frame: &mut [u8], vlan: VlanTags, ether_type: EtherType) {
    let mut at = field::ETHER_TYPE;
    for tag in vlan.iter() {
        put(frame, at, tag.tpid.0.to_be_bytes());
        put(frame, at + field::tag::TCI, tag.tci.to_be_bytes());
        at += field::tag::LEN;
    }
    put(frame, at, ether_type.0.to_be_bytes());
}

/// The source of a frame whose header has been checked.
#[inline]
pub fn source(frame: &[u8]) -> EtherAddr {
    EtherAddr(array(frame, field::SOURCE))
}

/// The destination of a frame whose header has been checked.
#[inline]
pub fn destination(frame: &[u8]) -> EtherAddr {
    EtherAddr(array(frame, field::DESTINATION))
}

/// Steps over the tags, of which the first has this TPID, to the inner EtherType.
fn tags(frame: &[u8], mut ether_type: EtherType) -> Result<(EtherType, VlanTags), ParseError> {
    let mut vlan = VlanTags::NONE;
    let mut tpid_at = field::ETHER_TYPE;
    while ether_type.is_tag() {
        let need = tpid_at + field::tag::LEN + size_of::<EtherType>();
        let Some(tag) = frame.get(tpid_at..need) else {
            return Err(ParseError::truncated(Layer::Ethernet, need, frame.len()));
        };
        if !vlan.push(VlanTag { tpid: ether_type, tci: be16(tag, field::tag::TCI) }) {
            return Err(ParseError::TooManyTags);
        }
        ether_type = EtherType(be16(tag, field::tag::LEN));
        tpid_at += field::tag::LEN;
    }
    Ok((ether_type, vlan))
}

/// Replaces the source of a frame.
#[inline]
pub fn set_source(frame: &mut [u8], address: EtherAddr) {
    put(frame, field::SOURCE, address.0);
}

/// Replaces the destination of a frame.
#[inline]
pub fn set_destination(frame: &mut [u8], address: EtherAddr) {
    put(frame, field::DESTINATION, address.0);
}

/// Replaces both addresses of a frame whose header has been checked; by words, where they lie one behind the other.
#[inline(always)]
pub fn set_addresses(frame: &mut [u8], destination: &EtherAddr, source: &EtherAddr) {
    let Some(head) = frame.first_chunk_mut::<{ field::ETHER_TYPE }>() else { return };
    let ([a, b, c, d, e, f], [g, h, rest @ ..]) = (destination.0, source.0);
    put(head, field::DESTINATION, u64::from_ne_bytes([a, b, c, d, e, f, g, h]).to_ne_bytes());
    put(head, field::DESTINATION + size_of::<u64>(), u32::from_ne_bytes(rest).to_ne_bytes());
}
