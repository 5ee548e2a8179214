//! The IPv4 header (RFC 791): the [`Family`] functions of [`V4`].
//!
//! Cost: a header without options is two branches and five 32-bit loads for the checksum, about 2 ns. Options are
//! checksummed and stepped over, never interpreted.

use std::net::{IpAddr, Ipv4Addr};

use super::bytes::{array, be16, part, put, short};
use super::{Checksum, Delta, EtherType, Family, Fragment, IcmpKind, IpProtocol, Layer, Leaving, icmp};
use super::{NetworkHeader, ParseError, Plain, Sum, V4, apply_checksum, plain};

mod field {
    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TOTAL_LENGTH: usize = 2;
    pub(super) const IDENTIFICATION: usize = 4;
    pub(super) const FLAGS_OFFSET: usize = 6;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: usize = 10;
    pub(super) const SOURCE: usize = 12;
    pub(super) const DESTINATION: usize = 16;
    /// Bytes without options.
    pub(super) const LEN: usize = 20;
    /// Version 4 and no options.
    pub(super) const PLAIN: u8 = 0x45;

    pub(super) const DONT_FRAGMENT: u16 = 0x4000;
    pub(super) const MORE_FRAGMENTS: u16 = 0x2000;
    pub(super) const OFFSET: u16 = 0x1fff;
    /// The offset and lengths of fragments are counted in these.
    pub(super) const OFFSET_UNIT: u16 = 8;
}

/// Bytes of the headers of a plain packet.
const PLAIN_HEADERS: usize = plain::ETHERNET + field::LEN + plain::TRANSPORT;
/// Bytes of its addresses and ports, and where they start.
const PLAIN_ENDS: usize = 2 * size_of::<Ipv4Addr>() + 2 * size_of::<u16>();
const PLAIN_SOURCE: usize = plain::ETHERNET + field::SOURCE;
/// EtherType, version and header length of a plain packet; behind them is the type of service, which may be any.
const PLAIN_START: u32 = u32::from_ne_bytes([0x08, 0x00, field::PLAIN, 0]);
const PLAIN_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);

/// The length of a header that is not [`field::PLAIN`].
#[cold]
fn unusual(version_ihl: u8, have: usize) -> Result<usize, ParseError> {
    if version_ihl >> 4 != 4 {
        return Err(ParseError::BadVersion { layer: Layer::Ipv4, found: version_ihl >> 4 });
    }
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if header_len < field::LEN || header_len > have {
        return Err(ParseError::BadHeaderLength { layer: Layer::Ipv4, bytes: short(header_len) });
    }
    Ok(header_len)
}

#[inline(always)]
fn read<const WHOLE: bool>(l3: &[u8]) -> Result<NetworkHeader, ParseError> {
    let Some(header) = l3.first_chunk::<{ field::LEN }>() else {
        return Err(ParseError::truncated(Layer::Ipv4, field::LEN, l3.len()));
    };
    let mut header_len = field::LEN;
    if header[field::VERSION_IHL] != field::PLAIN {
        header_len = unusual(header[field::VERSION_IHL], l3.len())?;
    }
    let total_len = be16(header, field::TOTAL_LENGTH);
    if usize::from(total_len) < header_len || (WHOLE && usize::from(total_len) > l3.len()) {
        let have = short(l3.len());
        return Err(ParseError::BadTotalLength { layer: Layer::Ipv4, stated: total_len, have });
    }
    if WHOLE {
        let mut sum = Sum::of_header(header);
        if header_len > field::LEN {
            sum = sum.add_bytes(&l3[field::LEN..header_len]);
        }
        if !sum.is_valid() {
            return Err(ParseError::BadChecksum { layer: Layer::Ipv4 });
        }
    }
    let flags = be16(header, field::FLAGS_OFFSET);
    let mut fragment = None;
    if flags & (field::MORE_FRAGMENTS | field::OFFSET) != 0 {
        let part = Fragment {
            id: u32::from(be16(header, field::IDENTIFICATION)),
            offset_bytes: (flags & field::OFFSET) * field::OFFSET_UNIT,
            more: flags & field::MORE_FRAGMENTS != 0,
        };
        if !part.is_possible(usize::from(total_len) - header_len) {
            return Err(ParseError::BadFragment { layer: Layer::Ipv4 });
        }
        fragment = Some(part);
    }
    Ok(NetworkHeader {
        header_len: short(header_len),
        total_len,
        protocol: IpProtocol(header[field::PROTOCOL]),
        fragment,
        dont_fragment: flags & field::DONT_FRAGMENT != 0,
        has_options: header_len > field::LEN,
        hop_limit: header[field::TTL],
    })
}

impl V4 {
    /// Makes a header without options that of a fragment of `total_len` bytes, may it be fragmented further or not, and
    /// computes its checksum. Everything else stays.
    pub fn set_fragment(l3: &mut [u8], total_len: u16, part: Fragment) {
        let more = if part.more { field::MORE_FRAGMENTS } else { 0 };
        put(l3, field::TOTAL_LENGTH, total_len.to_be_bytes());
        put(l3, field::FLAGS_OFFSET, (more | (part.offset_bytes / field::OFFSET_UNIT)).to_be_bytes());
        Checksum::default().write(l3, field::CHECKSUM);
        Sum::of(&l3[..field::LEN]).checksum().write(l3, field::CHECKSUM);
    }
}

impl Family for V4 {
    type Addr = Ipv4Addr;
    type Octets = [u8; 4];
    type Words = [std::sync::atomic::AtomicU32; 3];
    type PlainHead = [u8; PLAIN_HEADERS];
    type Ends = [u8; PLAIN_ENDS];

    const NAME: &'static str = "IPv4";
    const UNSPECIFIED: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
    const ETHER_TYPE: EtherType = EtherType::IPV4;
    const MIN_HEADER: usize = field::LEN;
    const ADDR_LEN: usize = 4;
    const ICMP: IpProtocol = IpProtocol::ICMP;
    const ECHO_REPLY: u8 = icmp::ECHO_REPLY;
    const ICMP_LAYER: Layer = Layer::Icmp;
    const UDP_CHECKSUM_REQUIRED: bool = false;
    /// The TTL is the upper byte of its word.
    const HOP: Delta = Delta::between(Sum::zero().add_u16_be(0x0100), Sum::zero());
    const MIN_MTU: u16 = 68;

    #[inline(always)]
    fn parse(l3: &[u8]) -> Result<NetworkHeader, ParseError> {
        read::<true>(l3)
    }

    #[inline]
    fn parse_quoted(l3: &[u8]) -> Result<NetworkHeader, ParseError> {
        read::<false>(l3)
    }

    #[inline(always)]
    fn plain(frame: &[u8]) -> Option<Plain<'_, V4>> {
        let head = frame.first_chunk::<PLAIN_HEADERS>()?;
        if plain::type_and_version(head) & PLAIN_MASK != PLAIN_START {
            return None;
        }
        let (_, l3) = head.split_first_chunk::<{ plain::ETHERNET }>()?;
        let (header, l4) = l3.split_first_chunk::<{ field::LEN }>()?;
        let flags = be16(header, field::FLAGS_OFFSET);
        let ip_bytes = be16(header, field::TOTAL_LENGTH);
        // Near 64 KiB it is a small number again.
        let end = ip_bytes.wrapping_add(plain::ETHERNET as u16);
        if flags & (field::MORE_FRAGMENTS | field::OFFSET) != 0
            || !Sum::of_header(header).folds_to_nothing()
            || usize::from(end) > frame.len()
        {
            return None;
        }
        let len = i32::from(end) - (plain::ETHERNET + field::LEN) as i32;
        let protocol = IpProtocol(header[field::PROTOCOL]);
        let flags = plain::transport(l4.first_chunk()?, protocol, len)?;
        Some(Plain { ends: Self::ends(head), protocol, flags, ip_bytes })
    }

    #[inline(always)]
    fn plain_head(frame: &[u8]) -> Option<&Self::PlainHead> {
        frame.first_chunk()
    }

    #[inline(always)]
    fn plain_head_mut(frame: &mut [u8]) -> Option<&mut Self::PlainHead> {
        frame.first_chunk_mut()
    }

    #[inline(always)]
    fn ends(head: &Self::PlainHead) -> &Self::Ends {
        part::<PLAIN_HEADERS, PLAIN_SOURCE, PLAIN_ENDS>(head)
    }

    #[inline(always)]
    fn plain_hop_limit(head: &Self::PlainHead) -> u8 {
        head[plain::ETHERNET + field::TTL]
    }

    #[inline]
    fn plain_dont_fragment(head: &Self::PlainHead) -> bool {
        be16(head, plain::ETHERNET + field::FLAGS_OFFSET) & field::DONT_FRAGMENT != 0
    }

    #[inline(always)]
    fn plain_upper(head: &Self::PlainHead) -> &[u8; plain::TRANSPORT] {
        part::<PLAIN_HEADERS, { plain::ETHERNET + field::LEN }, { plain::TRANSPORT }>(head)
    }

    #[inline(always)]
    fn translate_plain(head: &mut Self::PlainHead, is_udp: bool, leaving: Leaving<'_, Self>) {
        let Leaving { answer, header: header_delta, transport } = leaving;
        let addresses: u64 = u64::from_ne_bytes(array(answer, 0));
        let ports: u32 = u32::from_ne_bytes(array(answer, size_of::<u64>()));
        put(head, PLAIN_SOURCE, addresses.rotate_left(u64::BITS / 2).to_ne_bytes());
        put(head, PLAIN_SOURCE + size_of::<u64>(), ports.rotate_left(u32::BITS / 2).to_ne_bytes());
        let Some((_, l3)) = head.split_first_chunk_mut::<{ plain::ETHERNET }>() else { return };
        let Some((header, l4)) = l3.split_first_chunk_mut::<{ field::LEN }>() else { return };
        header[field::TTL] = header[field::TTL].wrapping_sub(1);
        Checksum::read(header, field::CHECKSUM).apply(header_delta).write(header, field::CHECKSUM);
        apply_checksum(l4, is_udp, transport);
    }

    #[inline(always)]
    fn are_same(a: &Self::Ends, b: &Self::Ends) -> bool {
        a == b
    }

    #[inline(always)]
    fn join([source, destination]: [Ipv4Addr; 2], [from, to]: [u16; 2]) -> Self::Ends {
        let mut ends = [0; PLAIN_ENDS];
        put(&mut ends, 0, source.octets());
        put(&mut ends, size_of::<Ipv4Addr>(), destination.octets());
        put(&mut ends, 8, from.to_be_bytes());
        put(&mut ends, 10, to.to_be_bytes());
        ends
    }

    #[inline(always)]
    fn split(ends: &Self::Ends) -> ([Ipv4Addr; 2], [u16; 2]) {
        ([array(ends, 0).into(), array(ends, 4).into()], [be16(ends, 8), be16(ends, 10)])
    }

    #[inline(always)]
    fn words(ends: &Self::Ends, _: impl Fn([u64; 4]) -> u64) -> (u64, u32) {
        (u64::from_ne_bytes(array(ends, 0)), u32::from_ne_bytes(array(ends, 8)))
    }

    #[inline]
    fn source(l3: &[u8]) -> Ipv4Addr {
        array(l3, field::SOURCE).into()
    }

    #[inline]
    fn destination(l3: &[u8]) -> Ipv4Addr {
        array(l3, field::DESTINATION).into()
    }

    #[inline]
    fn set_source(l3: &mut [u8], address: Ipv4Addr) {
        put(l3, field::SOURCE, address.octets());
    }

    #[inline]
    fn set_destination(l3: &mut [u8], address: Ipv4Addr) {
        put(l3, field::DESTINATION, address.octets());
    }

    #[inline(always)]
    fn translate(l3: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr, delta: Delta) {
        let Some(header) = l3.first_chunk_mut::<{ field::LEN }>() else { return };
        put(header, field::SOURCE, source.octets());
        put(header, field::DESTINATION, destination.octets());
        header[field::TTL] = header[field::TTL].saturating_sub(1);
        Checksum::read(header, field::CHECKSUM).apply(delta).write(header, field::CHECKSUM);
    }

    #[inline]
    fn apply_header_delta(l3: &mut [u8], delta: Delta) {
        Checksum::read(l3, field::CHECKSUM).apply(delta).write(l3, field::CHECKSUM);
    }

    #[inline]
    fn hop_limit(l3: &[u8]) -> u8 {
        l3[field::TTL]
    }

    #[inline]
    fn set_hop_limit(l3: &mut [u8], hops: u8) {
        let word = |hops: u8| Sum::zero().add_u16_be(u16::from(hops) << 8);
        let delta = Delta::between(word(l3[field::TTL]), word(hops));
        l3[field::TTL] = hops;
        Self::apply_header_delta(l3, delta);
    }

    #[inline]
    fn decrement_hop_limit(l3: &mut [u8]) {
        if let Some(ttl) = l3[field::TTL].checked_sub(1) {
            l3[field::TTL] = ttl;
            Self::apply_header_delta(l3, Self::HOP);
        }
    }

    #[inline]
    fn addr_sum(address: Ipv4Addr) -> Sum {
        Sum::of(&address.octets())
    }

    #[inline]
    fn pseudo_header_sum(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol, len: u32) -> Sum {
        let addresses = Self::addr_sum(source).plus(Self::addr_sum(destination));
        addresses.add_u16_be(u16::from(protocol.0)).add_u32_be(len)
    }

    #[inline]
    fn icmp_sum(_: Ipv4Addr, _: Ipv4Addr, _: u32) -> Sum {
        Sum::zero()
    }

    #[inline]
    fn icmp_kind(message_type: u8, code: u8, rest: u32) -> IcmpKind {
        icmp::kind(message_type, code, rest)
    }

    #[inline]
    fn from_ip(address: IpAddr) -> Option<Ipv4Addr> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    #[inline]
    fn octets(address: &Ipv4Addr) -> [u8; 4] {
        address.octets()
    }

    fn from_octets(octets: &[u8]) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
    }

    #[inline]
    fn is_unicast_source(address: Ipv4Addr) -> bool {
        // The whole of 0/8 is "this network" (RFC 6890), no source on a wire but for DHCP's 0.0.0.0.
        match address.octets() {
            [first @ 1..224, ..] => first != 127,
            [first, ..] => first >= 240 && !address.is_broadcast(),
        }
    }
}
