//! The IPv6 header and its extension headers (RFC 8200): the [`Family`] functions of [`V6`].
//!
//! Cost: without extension headers a few branches; each extension header is one more step, and a chain of more than
//! [`MAX_EXTENSIONS`] is refused. Hop-by-hop options are accepted in the first place only, a fragment header once.
//! Behind the fragment header of a later fragment nothing can be read, so the walk ends there.
//! Refused: jumbograms (RFC 2675), packets of more than 65,535 bytes in all, and routing headers with segments left,
//! whose destination address is not the one the checksum covers. ESP, mobility and unknown headers end the walk.

use std::hint::cold_path;
use std::net::{IpAddr, Ipv6Addr};

use super::bytes::{array, be16, be32, part, put, short};
use super::{
    Delta, EtherType, Family, Fragment, IcmpKind, IpProtocol, Layer, Leaving, NetworkHeader, icmpv6,
};
use super::{ParseError, Plain, Sum, Udp, V6, apply_checksum, plain};

/// The most extension headers walked.
const MAX_EXTENSIONS: usize = 8;

mod field {
    pub(super) const VERSION: usize = 0;
    pub(super) const PAYLOAD_LENGTH: usize = 4;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SOURCE: usize = 8;
    pub(super) const DESTINATION: usize = 24;
    pub(super) const LEN: usize = 40;

    /// What all extension headers have in common.
    pub(super) mod extension {
        pub(in super::super) const NEXT_HEADER: usize = 0;
        pub(in super::super) const LENGTH: usize = 1;
        /// All are at least so long.
        pub(in super::super) const MIN_LEN: usize = 8;
    }
    pub(super) mod routing {
        pub(in super::super) const SEGMENTS_LEFT: usize = 3;
    }
    pub(super) mod fragment {
        pub(in super::super) const OFFSET_MORE: usize = 2;
        pub(in super::super) const IDENTIFICATION: usize = 4;
        /// The offset sits three bits up, which is its unit of 8 bytes already.
        pub(in super::super) const OFFSET: u16 = 0xfff8;
        pub(in super::super) const MORE: u16 = 0x0001;
    }
}

/// Bytes of the headers of a plain packet.
const PLAIN_HEADERS: usize = plain::ETHERNET + field::LEN + plain::TRANSPORT;
/// Bytes of its addresses and ports, and where they start.
const PLAIN_ENDS: usize = 2 * ADDRESS + 2 * size_of::<u16>();
const PLAIN_SOURCE: usize = plain::ETHERNET + field::SOURCE;
const ADDRESS: usize = size_of::<Ipv6Addr>();
/// EtherType and version; beside the version is the traffic class, which may be any.
const PLAIN_START: u32 = u32::from_ne_bytes([0x86, 0xdd, 0x60, 0]);
const PLAIN_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xf0, 0]);

#[inline(always)]
fn read<const WHOLE: bool>(l3: &[u8]) -> Result<NetworkHeader, ParseError> {
    let Some(header) = l3.first_chunk::<{ field::LEN }>() else {
        return Err(ParseError::truncated(Layer::Ipv6, field::LEN, l3.len()));
    };
    let version = header[field::VERSION] >> 4;
    if version != 6 {
        return Err(ParseError::BadVersion { layer: Layer::Ipv6, found: version });
    }
    let payload_len = be16(header, field::PAYLOAD_LENGTH);
    let protocol = IpProtocol(header[field::NEXT_HEADER]);
    if payload_len == 0 && protocol == IpProtocol::HOP_BY_HOP {
        return Err(ParseError::Jumbogram);
    }
    let total_len = usize::from(payload_len) + field::LEN;
    if total_len > usize::from(u16::MAX) || (WHOLE && total_len > l3.len()) {
        let have = short(l3.len());
        return Err(ParseError::BadTotalLength { layer: Layer::Ipv6, stated: short(total_len), have });
    }
    let mut upper = Upper { protocol, offset: field::LEN as u16, fragment: None, has_options: false };
    if is_extension(protocol) {
        upper = walk(&l3[..total_len.min(l3.len())], total_len, protocol)?;
    }
    Ok(NetworkHeader {
        header_len: upper.offset,
        total_len: short(total_len),
        protocol: upper.protocol,
        fragment: upper.fragment,
        dont_fragment: true,
        has_options: upper.has_options,
        hop_limit: header[field::HOP_LIMIT],
    })
}

#[inline(always)]
const fn is_extension(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::HOP_BY_HOP
            | IpProtocol::ROUTING
            | IpProtocol::FRAGMENT
            | IpProtocol::AUTHENTICATION
            | IpProtocol::DESTINATION_OPTIONS
    )
}

/// What is behind the extension headers.
struct Upper {
    protocol: IpProtocol,
    offset: u16,
    fragment: Option<Fragment>,
    has_options: bool,
}

/// Follows the chain of extension headers to the upper layer. `l3` ends where the packet of `total_len` bytes does, or
/// before if it is a quote.
fn walk(l3: &[u8], total_len: usize, first: IpProtocol) -> Result<Upper, ParseError> {
    let mut upper = Upper { protocol: first, offset: field::LEN as u16, fragment: None, has_options: false };
    let (mut offset, mut seen_fragment) = (field::LEN, false);
    for step in 0..=MAX_EXTENSIONS {
        let kind = upper.protocol;
        if !is_extension(kind) {
            return Ok(upper);
        }
        if step == MAX_EXTENSIONS || (kind == IpProtocol::HOP_BY_HOP && step > 0) {
            break;
        }
        let rest = &l3[offset..];
        let Some(head) = rest.first_chunk::<{ field::extension::MIN_LEN }>() else {
            return Err(ParseError::truncated(Layer::Ipv6, offset + field::extension::MIN_LEN, l3.len()));
        };
        let len = extension_len(kind, head[field::extension::LENGTH]);
        if len > rest.len() {
            return Err(ParseError::truncated(Layer::Ipv6, offset + len, l3.len()));
        }
        offset += len;
        upper.offset = short(offset);
        upper.protocol = IpProtocol(head[field::extension::NEXT_HEADER]);
        match kind {
            IpProtocol::FRAGMENT if seen_fragment => break,
            IpProtocol::FRAGMENT => {
                seen_fragment = true;
                upper.fragment = fragment(head, total_len - offset)?;
                if upper.fragment.is_some_and(|fragment| !fragment.is_first()) {
                    return Ok(upper);
                }
            }
            IpProtocol::ROUTING if head[field::routing::SEGMENTS_LEFT] != 0 => {
                return Err(ParseError::SourceRoute);
            }
            _ => upper.has_options = true,
        }
    }
    Err(ParseError::ExtensionChain)
}

/// The bytes of an extension header, by its length field: 8-byte units without the first, but for AH (RFC 4302), which
/// counts 4-byte units without the first two, and the fragment header, which has a fixed length.
fn extension_len(kind: IpProtocol, field: u8) -> usize {
    match kind {
        IpProtocol::FRAGMENT => field::extension::MIN_LEN,
        // Eight bytes at least, whatever it says: a shorter one could not hold its own fixed part.
        IpProtocol::AUTHENTICATION => ((usize::from(field) + 2) * 4).max(field::extension::MIN_LEN),
        _ => (usize::from(field) + 1) * 8,
    }
}

/// The part that a fragment header with `len` bytes behind it describes.
fn fragment(head: &[u8], len: usize) -> Result<Option<Fragment>, ParseError> {
    let offset_more = be16(head, field::fragment::OFFSET_MORE);
    let part = Fragment {
        id: be32(head, field::fragment::IDENTIFICATION),
        offset_bytes: offset_more & field::fragment::OFFSET,
        more: offset_more & field::fragment::MORE != 0,
    };
    if !part.is_possible(len) {
        return Err(ParseError::BadFragment { layer: Layer::Ipv6 });
    }
    let atomic = part.is_first() && !part.more;
    Ok((!atomic).then_some(part))
}

impl Family for V6 {
    type Addr = Ipv6Addr;
    type Octets = [u8; 16];
    type Words = [std::sync::atomic::AtomicU32; 9];
    type PlainHead = [u8; PLAIN_HEADERS];
    type Ends = [u8; PLAIN_ENDS];

    const NAME: &'static str = "IPv6";
    const UNSPECIFIED: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
    const ETHER_TYPE: EtherType = EtherType::IPV6;
    const MIN_HEADER: usize = field::LEN;
    const ADDR_LEN: usize = 16;
    const ICMP: IpProtocol = IpProtocol::ICMPV6;
    const ECHO_REPLY: u8 = icmpv6::ECHO_REPLY;
    const ICMP_LAYER: Layer = Layer::Icmpv6;
    const UDP_CHECKSUM_REQUIRED: bool = true;
    const HOP: Delta = Delta::NONE;
    const MIN_MTU: u16 = 1280;

    #[inline(always)]
    fn parse(l3: &[u8]) -> Result<NetworkHeader, ParseError> {
        read::<true>(l3)
    }

    #[inline]
    fn parse_quoted(l3: &[u8]) -> Result<NetworkHeader, ParseError> {
        read::<false>(l3)
    }

    #[inline(always)]
    fn plain(frame: &[u8]) -> Option<Plain<'_, V6>> {
        let head = frame.first_chunk::<PLAIN_HEADERS>()?;
        if plain::type_and_version(head) & PLAIN_MASK != PLAIN_START {
            return None;
        }
        let (_, l3) = head.split_first_chunk::<{ plain::ETHERNET }>()?;
        let (header, l4) = l3.split_first_chunk::<{ field::LEN }>()?;
        let len = be16(header, field::PAYLOAD_LENGTH);
        // Near 64 KiB it is a small number again.
        let end = len.wrapping_add((plain::ETHERNET + field::LEN) as u16);
        if usize::from(end) > frame.len() || end < len {
            return None;
        }
        let protocol = IpProtocol(header[field::NEXT_HEADER]);
        let flags = plain::transport(l4.first_chunk()?, protocol, i32::from(len))?;
        // A datagram without a checksum. One test, for what segments have at that place anybody may choose.
        let checksum = be16(l4, Udp::CHECKSUM);
        if u32::from(protocol.0 ^ IpProtocol::UDP.0) | u32::from(checksum) == 0 {
            cold_path();
            return None;
        }
        Some(Plain { ends: Self::ends(head), protocol, flags, ip_bytes: end - plain::ETHERNET as u16 })
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
        head[plain::ETHERNET + field::HOP_LIMIT]
    }

    #[inline]
    fn plain_dont_fragment(_: &Self::PlainHead) -> bool {
        true
    }

    #[inline(always)]
    fn plain_upper(head: &Self::PlainHead) -> &[u8; plain::TRANSPORT] {
        part::<PLAIN_HEADERS, { plain::ETHERNET + field::LEN }, { plain::TRANSPORT }>(head)
    }

    #[inline(always)]
    fn translate_plain(head: &mut Self::PlainHead, is_udp: bool, leaving: Leaving<'_, Self>) {
        let Leaving { answer, transport, .. } = leaving;
        let ports: u32 = u32::from_ne_bytes(array(answer, 2 * ADDRESS));
        put(head, PLAIN_SOURCE, array::<ADDRESS>(answer, ADDRESS));
        put(head, PLAIN_SOURCE + ADDRESS, array::<ADDRESS>(answer, 0));
        put(head, PLAIN_SOURCE + 2 * ADDRESS, ports.rotate_left(u32::BITS / 2).to_ne_bytes());
        let Some((_, l3)) = head.split_first_chunk_mut::<{ plain::ETHERNET }>() else { return };
        let Some((header, l4)) = l3.split_first_chunk_mut::<{ field::LEN }>() else { return };
        header[field::HOP_LIMIT] = header[field::HOP_LIMIT].wrapping_sub(1);
        apply_checksum(l4, is_udp, transport);
    }

    #[inline(always)]
    fn are_same(a: &Self::Ends, b: &Self::Ends) -> bool {
        let address = |ends: &Self::Ends, at| u128::from_ne_bytes(array(ends, at));
        let ports = |ends: &Self::Ends| u128::from(u32::from_ne_bytes(array(ends, 2 * ADDRESS)));
        let addresses = (address(a, 0) ^ address(b, 0)) | (address(a, ADDRESS) ^ address(b, ADDRESS));
        addresses | (ports(a) ^ ports(b)) == 0
    }

    #[inline(always)]
    fn join([source, destination]: [Ipv6Addr; 2], [from, to]: [u16; 2]) -> Self::Ends {
        let mut ends = [0; PLAIN_ENDS];
        put(&mut ends, 0, source.octets());
        put(&mut ends, ADDRESS, destination.octets());
        put(&mut ends, 2 * ADDRESS, from.to_be_bytes());
        put(&mut ends, 2 * ADDRESS + size_of::<u16>(), to.to_be_bytes());
        ends
    }

    #[inline(always)]
    fn split(ends: &Self::Ends) -> ([Ipv6Addr; 2], [u16; 2]) {
        let ports = [be16(ends, 2 * ADDRESS), be16(ends, 2 * ADDRESS + size_of::<u16>())];
        ([array(ends, 0).into(), array(ends, ADDRESS).into()], ports)
    }

    #[inline(always)]
    fn words(ends: &Self::Ends, mix: impl Fn([u64; 4]) -> u64) -> (u64, u32) {
        let word = |at| u64::from_ne_bytes(array(ends, at * size_of::<u64>()));
        (mix([0, 1, 2, 3].map(word)), u32::from_ne_bytes(array(ends, 2 * ADDRESS)))
    }

    #[inline]
    fn source(l3: &[u8]) -> Ipv6Addr {
        array(l3, field::SOURCE).into()
    }

    #[inline]
    fn destination(l3: &[u8]) -> Ipv6Addr {
        array(l3, field::DESTINATION).into()
    }

    #[inline]
    fn set_source(l3: &mut [u8], address: Ipv6Addr) {
        put(l3, field::SOURCE, address.octets());
    }

    #[inline]
    fn set_destination(l3: &mut [u8], address: Ipv6Addr) {
        put(l3, field::DESTINATION, address.octets());
    }

    #[inline(always)]
    fn translate(l3: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr, _: Delta) {
        let Some(header) = l3.first_chunk_mut::<{ field::LEN }>() else { return };
        put(header, field::SOURCE, source.octets());
        put(header, field::DESTINATION, destination.octets());
        header[field::HOP_LIMIT] = header[field::HOP_LIMIT].saturating_sub(1);
    }

    #[inline]
    fn apply_header_delta(_: &mut [u8], _: Delta) {}

    #[inline]
    fn hop_limit(l3: &[u8]) -> u8 {
        l3[field::HOP_LIMIT]
    }

    #[inline]
    fn set_hop_limit(l3: &mut [u8], hops: u8) {
        l3[field::HOP_LIMIT] = hops;
    }

    #[inline]
    fn decrement_hop_limit(l3: &mut [u8]) {
        l3[field::HOP_LIMIT] = l3[field::HOP_LIMIT].saturating_sub(1);
    }

    #[inline]
    fn addr_sum(address: Ipv6Addr) -> Sum {
        Sum::of(&address.octets())
    }

    #[inline]
    fn pseudo_header_sum(source: Ipv6Addr, destination: Ipv6Addr, protocol: IpProtocol, len: u32) -> Sum {
        let addresses = Self::addr_sum(source).plus(Self::addr_sum(destination));
        addresses.add_u32_be(len).add_u16_be(u16::from(protocol.0))
    }

    #[inline]
    fn icmp_sum(source: Ipv6Addr, destination: Ipv6Addr, len: u32) -> Sum {
        Self::pseudo_header_sum(source, destination, IpProtocol::ICMPV6, len)
    }

    #[inline]
    fn icmp_kind(message_type: u8, code: u8, rest: u32) -> IcmpKind {
        icmpv6::kind(message_type, code, rest)
    }

    #[inline]
    fn from_ip(address: IpAddr) -> Option<Ipv6Addr> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }

    #[inline]
    fn octets(address: &Ipv6Addr) -> [u8; 16] {
        address.octets()
    }

    fn from_octets(octets: &[u8]) -> Option<Ipv6Addr> {
        <[u8; 16]>::try_from(octets).ok().map(Ipv6Addr::from)
    }

    #[inline]
    fn is_unicast_source(address: Ipv6Addr) -> bool {
        let mapped = address.to_ipv4_mapped().is_some();
        !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || mapped)
    }
}
