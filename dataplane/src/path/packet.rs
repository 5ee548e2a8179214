//! What the stages know of a packet: offsets into its frame, and the values they decide by.

use super::fragment::FragmentPacket;
use crate::{
    io::{BATCH, Frame},
    state::{Entry, Tuple},
    table::Link,
    wire::{Ethernet, Family, NetworkHeader, TcpFlags, VlanTags},
};
use arrayvec::ArrayVec;

/// Where things are in a frame. All offsets are from its first byte and inside it.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The IP header.
    pub l3: u16,
    /// The header after it.
    pub l4: u16,
    /// The end of the IP packet; behind it may be padding.
    pub end: u16,
    /// The tags it came with.
    pub vlan: VlanTags,
}

/// A TCP, UDP or SCTP packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<F: Family> {
    /// Its place in the batch.
    pub index: u8,
    /// Its TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4: fragmenting is forbidden. IPv6: always.
    pub dont_fragment: bool,
    /// Which part of a datagram it is.
    pub part: Part,
    /// TCP's flags; empty for the others.
    pub flags: TcpFlags,
    /// What a TCP segment acknowledges; 0 if nothing, and for the others.
    pub acknowledgement: u32,
    /// Offsets.
    pub layout: Layout,
    /// Its tuple, as it came.
    pub tuple: Tuple<F>,
    /// Whether it is TCP or UDP behind a plain header ([`Family::plain`]); then it has its hash already.
    pub is_plain: bool,
    /// The hash of the tuple in the flow table; else set by the look-up stage.
    pub hash: u64,
    /// The flow it most likely belongs to; set by the look-up stage.
    pub likely: Entry,
}

/// Which part of a datagram a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its first fragment.
    First,
    /// A later fragment: the ports are those of the first, and there is no transport header.
    Later,
}

/// An ICMP packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct IcmpPacket<F: Family> {
    /// Its place in the batch.
    pub index: u8,
    /// Offsets.
    pub layout: Layout,
    /// Who sent it.
    pub source: F::Addr,
    /// Whom it was sent to.
    pub destination: F::Addr,
    /// Its TTL or hop limit.
    pub hop_limit: u8,
    /// What it is about.
    pub about: IcmpAbout<F>,
}

/// What an ICMP packet is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum IcmpAbout<F: Family> {
    /// An error about TCP, UDP or SCTP: the tuple of the packet it quotes, as *that* packet's sender sent it.
    Error(Tuple<F>),
    /// An echo request.
    Echo,
    /// None of our business.
    Other,
}

/// The packets of a batch that are of one family.
#[derive(Debug)]
pub(super) struct Arrivals<F: Family> {
    /// TCP, UDP and SCTP.
    pub(super) packets: ArrayVec<Packet<F>, BATCH>,
    /// Whether some of them are not plain.
    pub(super) some_unusual: bool,
    /// ICMP.
    pub(super) icmp: ArrayVec<IcmpPacket<F>, BATCH>,
    /// Fragments, until they are among the packets.
    pub(super) fragments: ArrayVec<FragmentPacket<F>, BATCH>,
}

impl<F: Family> Arrivals<F> {
    pub(super) const fn new() -> Self {
        Self {
            packets: ArrayVec::new_const(),
            some_unusual: false,
            icmp: ArrayVec::new_const(),
            fragments: ArrayVec::new_const(),
        }
    }

    /// Adds a packet that is not plain.
    pub(super) fn push_unusual(&mut self, packet: Packet<F>) {
        self.some_unusual = true;
        self.packets.push(packet);
    }
}

impl Layout {
    /// The layout of a plain frame.
    #[inline(always)]
    pub(super) fn of_plain<F: Family>(end: u16) -> Self {
        const L3: u16 = Ethernet::LEN as u16;
        Self { l3: L3, l4: L3 + F::MIN_HEADER as u16, end, vlan: VlanTags::NONE }
    }

    /// The layout of a frame with this Ethernet and IP header. `None`: it ends beyond 64 KiB, as captures of segments
    /// that a NIC was yet to cut may.
    #[inline]
    pub(super) fn of(ethernet: &Ethernet<'_>, header: &NetworkHeader) -> Option<Self> {
        let l3 = ethernet.payload_offset() as u16;
        let end = l3.checked_add(header.total_len)?;
        Some(Self { l3, l4: l3 + header.header_len, end, vlan: ethernet.vlan() })
    }

    /// From the IP header to the end of the IP packet.
    #[inline]
    pub fn l3<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        &frame[usize::from(self.l3)..usize::from(self.end)]
    }

    /// The same, to change.
    #[inline]
    pub fn l3_mut<'f>(&self, frame: &'f mut [u8]) -> &'f mut [u8] {
        &mut frame[usize::from(self.l3)..usize::from(self.end)]
    }

    /// From the header after IP's to the end of the IP packet.
    #[inline]
    pub fn l4<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        &frame[usize::from(self.l4)..usize::from(self.end)]
    }

    /// The same, to change.
    #[inline]
    pub fn l4_mut<'f>(&self, frame: &'f mut [u8]) -> &'f mut [u8] {
        &mut frame[usize::from(self.l4)..usize::from(self.end)]
    }

    /// Bytes of the IP header, with options or extension headers.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.l4 - self.l3)
    }

    /// Bytes of the IP packet.
    #[inline]
    pub fn ip_bytes(&self) -> u16 {
        self.end - self.l3
    }

    /// The way back to whoever sent this frame to us ("auto last hop").
    #[inline]
    pub fn way_back(&self, frame: &Frame) -> Link {
        let (destination, source) = (crate::wire::source(frame), crate::wire::destination(frame));
        Link { port: frame.port(), source, destination, vlan: self.vlan }
    }
}
