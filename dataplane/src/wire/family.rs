//! The two IP families behind one trait, so that everything above is written once.
//!
//! [`Family`] is sealed and implemented by two types without values, [`V4`] and [`V6`]; the code is in `ipv4.rs` and
//! `ipv6.rs`. What takes `l3` wants the bytes from the network header on, and everything but the two parsers wants
//! bytes that a parser has accepted. Setters touch no checksum unless they say so: the caller holds the
//! [`Delta`] and applies it once.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::AtomicU32;

use super::{
    Delta, EtherType, IcmpKind, IpProtocol, Layer, Leaving, NetworkHeader, ParseError, Plain, Sum, Tcp,
};

/// An IP family.
pub trait Family: sealed::Sealed + Copy + Eq + Hash + Debug + Send + Sync + 'static {
    /// Its address.
    type Addr: Copy
        + Eq
        + Ord
        + Hash
        + Debug
        + Display
        + Send
        + Sync
        + Into<IpAddr>
        + serde::Serialize
        + 'static;
    /// The bytes of an address.
    type Octets: Copy + Eq + AsRef<[u8]> + Send + Sync + 'static;
    /// Two addresses and two ports, as memory keeps them that others read meanwhile.
    type Words: Default + Debug + AsRef<[AtomicU32]> + Send + Sync + 'static;

    /// "IPv4" or "IPv6".
    const NAME: &'static str;
    /// The address of nobody, for places that have none yet.
    const UNSPECIFIED: Self::Addr;
    /// What Ethernet calls it.
    const ETHER_TYPE: EtherType;
    /// Bytes of its header without options or extensions.
    const MIN_HEADER: usize;
    /// Bytes of an address.
    const ADDR_LEN: usize;
    /// Its ICMP.
    const ICMP: IpProtocol;
    /// The type of its echo reply.
    const ECHO_REPLY: u8;
    /// How errors name it.
    const ICMP_LAYER: Layer;
    /// Whether UDP must have a checksum (RFC 8200 §8.1).
    const UDP_CHECKSUM_REQUIRED: bool;
    /// What one hop less adds to the header's checksum: nothing in IPv6, which has none.
    const HOP: Delta;
    /// The least MTU of a link (RFC 791, RFC 8200 §5).
    const MIN_MTU: u16;

    /// Checks version, lengths, fragment fields and IPv4's header checksum, walks IPv6's extension headers, and says
    /// what is there. Bytes after the packet (padding of short Ethernet frames) are allowed.
    fn parse(l3: &[u8]) -> Result<NetworkHeader, ParseError>;

    /// The same for a packet quoted by an ICMP error: it may end anywhere behind its header, and its header checksum
    /// is not checked, since routers on the way back may have left anything there. `total_len` is what the packet had.
    fn parse_quoted(l3: &[u8]) -> Result<NetworkHeader, ParseError>;

    /// The bytes of a frame that the headers of a plain packet are in (`plain.rs`).
    type PlainHead: AsRef<[u8]> + AsMut<[u8]> + 'static;
    /// Source and destination address, source and destination port, as they lie there: one behind the other.
    type Ends: Copy + Eq + Debug + Send + Sync + 'static;

    /// What is in a frame, if it is plain. `None` says nothing: the parsers know.
    fn plain(frame: &[u8]) -> Option<Plain<'_, Self>>;
    /// The headers of a frame that is known to be plain.
    fn plain_head(frame: &[u8]) -> Option<&Self::PlainHead>;
    /// The same, to change.
    fn plain_head_mut(frame: &mut [u8]) -> Option<&mut Self::PlainHead>;
    /// The ends of a plain packet.
    fn ends(head: &Self::PlainHead) -> &Self::Ends;
    /// Its TTL or hop limit.
    fn plain_hop_limit(head: &Self::PlainHead) -> u8;
    /// IPv4's DF bit; always true in IPv6.
    fn plain_dont_fragment(head: &Self::PlainHead) -> bool;
    /// Its transport header, as far as it is sure to reach.
    fn plain_upper(head: &Self::PlainHead) -> &[u8; Tcp::MIN_HEADER];
    /// Gives a plain packet, which has a hop left, what it leaves with, takes a hop, and repairs its checksums.
    fn translate_plain(head: &mut Self::PlainHead, is_udp: bool, leaving: Leaving<'_, Self>);
    /// Whether both are the same, by few and long words, and without a call.
    fn are_same(a: &Self::Ends, b: &Self::Ends) -> bool;
    /// The ends with these addresses and ports, of which the source's is the first.
    fn join(addresses: [Self::Addr; 2], ports: [u16; 2]) -> Self::Ends;
    /// The addresses and ports of both ends.
    fn split(ends: &Self::Ends) -> ([Self::Addr; 2], [u16; 2]);
    /// Words of the addresses and of the ports, for hashing: `mix` makes one of the halves of IPv6's addresses.
    fn words(ends: &Self::Ends, mix: impl Fn([u64; 4]) -> u64) -> (u64, u32);

    /// The source address.
    fn source(l3: &[u8]) -> Self::Addr;
    /// The destination address.
    fn destination(l3: &[u8]) -> Self::Addr;
    /// Replaces the source address.
    fn set_source(l3: &mut [u8], address: Self::Addr);
    /// Replaces the destination address.
    fn set_destination(l3: &mut [u8], address: Self::Addr);
    /// Sets both addresses, takes one hop, of which there must be one, and repairs the header's checksum; `delta` is what
    /// the addresses and [`HOP`](Self::HOP) add to it.
    fn translate(l3: &mut [u8], source: Self::Addr, destination: Self::Addr, delta: Delta);
    /// Repairs the header checksum after a change of addresses; IPv6 has none.
    fn apply_header_delta(l3: &mut [u8], delta: Delta);

    /// TTL or hop limit.
    fn hop_limit(l3: &[u8]) -> u8;
    /// Another number of hops, and IPv4's checksum with it.
    fn set_hop_limit(l3: &mut [u8], hops: u8);
    /// One hop less, and IPv4's checksum with it. Zero stays zero.
    fn decrement_hop_limit(l3: &mut [u8]);

    /// The sum of an address.
    fn addr_sum(address: Self::Addr) -> Sum;
    /// The sum that TCP, UDP and ICMPv6 include (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1).
    fn pseudo_header_sum(source: Self::Addr, destination: Self::Addr, protocol: IpProtocol, len: u32) -> Sum;
    /// The sum that this family's ICMP includes: nothing in IPv4, the pseudo-header in IPv6.
    fn icmp_sum(source: Self::Addr, destination: Self::Addr, len: u32) -> Sum;
    /// What an ICMP message of this type, code and second word is.
    fn icmp_kind(message_type: u8, code: u8, rest: u32) -> IcmpKind;

    /// The address with its family at run time.
    fn to_ip(address: Self::Addr) -> IpAddr {
        address.into()
    }
    /// The address, if it is of this family.
    fn from_ip(address: IpAddr) -> Option<Self::Addr>;
    /// Its bytes in network order.
    fn octets(address: &Self::Addr) -> Self::Octets;
    /// The address whose bytes these are, if they are as many.
    fn from_octets(octets: &[u8]) -> Option<Self::Addr>;
    /// Whether a packet from another machine may come from it: not the unspecified address, a multicast, broadcast or
    /// loopback one, nor an IPv4-mapped one.
    fn is_unicast_source(address: Self::Addr) -> bool;
}

/// IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum V4 {}

/// IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum V6 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::V4 {}
    impl Sealed for super::V6 {}
}
