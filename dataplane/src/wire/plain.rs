//! Packets as nearly all are: untagged Ethernet, IP without options or extension headers, whole, TCP or UDP.
//!
//! The headers of such a packet are at fixed places in its first bytes, so they are read and changed there without asking
//! for the place of anything ([`Family::plain`], [`Family::translate_plain`]). In doubt a packet is not plain: then the
//! views of the other modules decide what it is, which say the same of a plain one, and properties in `tests/` hold
//! them against each other. Frames are often longer than what is read here (64 bytes less FCS); a UDP datagram in a
//! shorter one, as virtual interfaces have them, is not plain.
//!
//! No branch depends on which of TCP and UDP it is: in a mix of both a processor can't guess.

use super::bytes::{array, be16, be32};
use super::{Delta, Ethernet, Family, IpProtocol, Tcp, TcpFlags, Udp};
use std::hint::select_unpredictable;

/// What the path wants to know of a plain packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain<F: Family> {
    /// The source address, which is a host's.
    pub source: F::Addr,
    /// The destination address.
    pub destination: F::Addr,
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// Whether it is UDP, else TCP.
    pub is_udp: bool,
    /// TCP's flags; none for UDP.
    pub flags: TcpFlags,
    /// What a TCP segment acknowledges, or 0.
    pub acknowledgement: u32,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4's DF bit; always true in IPv6.
    pub dont_fragment: bool,
    /// Where the IP packet ends in the frame.
    pub end: u16,
}

/// What a plain packet leaves with, by reference: addresses that are passed on go by the stack, and IPv6's come back from
/// there slowly.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'r, F: Family> {
    /// Source address.
    pub source: &'r F::Addr,
    /// Destination address.
    pub destination: &'r F::Addr,
    /// Source and destination port.
    pub ports: [u16; 2],
    /// What that and the hop add to the header's checksum.
    pub header: Delta,
    /// What that adds to the checksum of TCP or UDP.
    pub transport: Delta,
}

/// Bytes of Ethernet's header, and those of TCP's, as far as they are read.
pub(super) const ETHERNET: usize = Ethernet::LEN;
pub(super) const TRANSPORT: usize = Tcp::MIN_HEADER;

/// Bits for TCP and UDP: one test for both.
const EITHER: u32 = 1 << IpProtocol::TCP.0 | 1 << IpProtocol::UDP.0;

/// Where the ports are, and what is beside them.
pub(super) struct Transport {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) is_udp: bool,
    pub(super) flags: TcpFlags,
    pub(super) acknowledgement: u32,
}

/// Reads the first bytes of a TCP or UDP header, of `len` bytes with what follows. `None`: it is neither, or contradicts
/// itself. Both have a word with the length that must fit: TCP's data offset, beside its flags, and UDP's length.
#[inline(always)]
pub(super) fn transport(head: &[u8; TRANSPORT], protocol: u8, len: usize) -> Option<Transport> {
    let is_udp = protocol == IpProtocol::UDP.0;
    let select = |udp: usize, tcp: usize| select_unpredictable(is_udp, udp, tcp);
    let word =
        usize::from(select_unpredictable(is_udp, be16(head, Udp::LENGTH), be16(head, Tcp::DATA_OFFSET)));
    let (least, stated) = (select(Udp::LEN, Tcp::MIN_HEADER), select(word, word >> 10 & 0x3c));
    let is_either = EITHER.checked_shr(u32::from(protocol)).is_some_and(|bits| bits & 1 != 0);
    if !is_either || stated < least || stated > len {
        return None;
    }
    let flags = TcpFlags(select(0, word) as u8);
    let acknowledged = u32::from(flags.contains(TcpFlags::ACK)).wrapping_neg();
    Some(Transport {
        source_port: be16(head, 0),
        destination_port: be16(head, 2),
        is_udp,
        flags,
        acknowledgement: be32(head, Tcp::ACKNOWLEDGEMENT) & acknowledged,
    })
}

/// The EtherType and the first two bytes of IP, as the machine loads them.
#[inline(always)]
pub(super) fn type_and_version(head: &[u8]) -> u32 {
    u32::from_ne_bytes(array(head, ETHERNET - 2))
}
