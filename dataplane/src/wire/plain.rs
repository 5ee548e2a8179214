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

/// What the path wants to know of any plain packet. The rest it asks for when it needs it ([`Family::plain_head`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain<'f, F: Family> {
    /// Addresses and ports. Whether the source is a host nobody has asked.
    pub ends: &'f F::Ends,
    /// TCP or UDP.
    pub protocol: IpProtocol,
    /// TCP's flags; none for UDP.
    pub flags: TcpFlags,
    /// The bytes of IP.
    pub ip_bytes: u16,
}

/// What a plain packet leaves with.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'r, F: Family> {
    /// The ends of what answers it: its own the other way round.
    pub answer: &'r F::Ends,
    /// What that and the hop add to the header's checksum.
    pub header: Delta,
    /// What that adds to the checksum of TCP or UDP.
    pub transport: Delta,
}

/// Bytes of Ethernet's header, and those of TCP's, as far as they are read.
pub(super) const ETHERNET: usize = Ethernet::LEN;
pub(super) const TRANSPORT: usize = Tcp::MIN_HEADER;

/// By protocol: the least bytes of a header of TCP or UDP; of any other more than TCP's can have.
static LEAST: [u8; 256] = {
    let mut least = [u8::MAX; 256];
    least[IpProtocol::TCP.0 as usize] = Tcp::MIN_HEADER as u8;
    least[IpProtocol::UDP.0 as usize] = Udp::LEN as u8;
    least
};

/// Reads the first bytes of a TCP or UDP header, of `len` bytes with what follows, if there are any: TCP's flags, for UDP
/// none. `None`: it is neither, or contradicts itself. Both say how long something is that must fit: TCP's header, and UDP's
/// datagram.
#[inline(always)]
pub(super) fn transport(head: &[u8; TRANSPORT], protocol: IpProtocol, len: i32) -> Option<TcpFlags> {
    let is_udp = protocol == IpProtocol::UDP;
    let tcp_header = i32::from(head[Tcp::DATA_OFFSET] >> 4) * 4;
    let stated = select_unpredictable(is_udp, i32::from(be16(head, Udp::LENGTH)), tcp_header);
    if stated < i32::from(LEAST[usize::from(protocol.0)]) || stated > len {
        return None;
    }
    Some(TcpFlags(select_unpredictable(is_udp, 0, head[Tcp::FLAGS])))
}

/// What a segment with these flags acknowledges, or 0; of a datagram, which has none, 0.
#[inline(always)]
pub fn acknowledgement(head: &[u8; TRANSPORT], flags: TcpFlags) -> u32 {
    let acknowledged = u32::from(flags.contains(TcpFlags::ACK)).wrapping_neg();
    be32(head, Tcp::ACKNOWLEDGEMENT) & acknowledged
}

/// The EtherType and the first two bytes of IP, as the machine loads them.
#[inline(always)]
pub(super) fn type_and_version(head: &[u8]) -> u32 {
    u32::from_ne_bytes(array(head, ETHERNET - 2))
}
