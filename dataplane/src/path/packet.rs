//! What the stages know of a packet: offsets into its frame, and the values they decide by.

use super::fragment::FragmentPacket;
use crate::{
    io::{BATCH, Frame},
    state::Tuple,
    table::{Link, Transport},
    wire::{Ethernet, Family, IpProtocol, NetworkHeader, TcpFlags, VlanTags, acknowledgement},
};
use arrayvec::ArrayVec;
use std::ops::{Deref, DerefMut};

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
    /// The hash of the tuple in the flow table; set by the look-up stage.
    pub hash: u64,
}

/// A TCP, UDP or SCTP packet as the stages pass it on. Of a plain one ([`Family::plain`]) that is all there is, and the rest
/// is read from the frame again: few plain packets need a [`Packet`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The hash of its tuple in the flow table; of one that is not plain, set by the look-up stage.
    pub(super) hash: u64,
    /// The bucket of that; likewise.
    pub(super) bucket: u32,
    /// Bytes of the IP packet.
    pub(super) ip_bytes: u16,
    /// Its place in the batch.
    pub(super) index: u8,
    /// TCP's flags; empty for the others.
    pub(super) flags: TcpFlags,
    /// Its protocol: TCP or UDP. [`UNUSUAL`](Self::UNUSUAL) if it is not plain.
    pub(super) protocol: IpProtocol,
    /// If it is not plain, its place among [`Arrivals::unusual`].
    pub(super) number: u8,
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
    /// TCP, UDP and SCTP, in their order.
    pub(super) queue: Queue,
    /// Those of them that are not plain.
    pub(super) unusual: ArrayVec<Packet<F>, BATCH>,
    /// ICMP.
    pub(super) icmp: ArrayVec<IcmpPacket<F>, BATCH>,
    /// Fragments, until they are among the packets.
    pub(super) fragments: ArrayVec<FragmentPacket<F>, BATCH>,
}

impl<F: Family> Arrivals<F> {
    pub(super) const fn new() -> Self {
        Self {
            queue: Queue::new(),
            unusual: ArrayVec::new_const(),
            icmp: ArrayVec::new_const(),
            fragments: ArrayVec::new_const(),
        }
    }

    /// Adds a packet that is not plain.
    pub(super) fn push_unusual(&mut self, packet: Packet<F>) {
        self.queue.push(Arrival {
            hash: 0,
            bucket: 0,
            ip_bytes: packet.layout.ip_bytes(),
            index: packet.index,
            flags: packet.flags,
            protocol: Arrival::UNUSUAL,
            number: self.unusual.len() as u8,
        });
        self.unusual.push(packet);
    }
}

/// Arrivals, at most a batch of them. Like an `ArrayVec`, but for [`room`](Self::room).
#[derive(Debug)]
pub(super) struct Queue {
    places: [Arrival; BATCH],
    len: usize,
}

impl Queue {
    const fn new() -> Self {
        Self { places: [Arrival::NONE; BATCH], len: 0 }
    }

    /// The free places. What is written to the first ones is [`take`](Self::take)n at once.
    #[inline]
    pub(super) fn room(&mut self) -> &mut [Arrival] {
        let (_, free) = self.places.split_at_mut(self.len.min(BATCH));
        free
    }

    /// Takes the first `count` of the free places.
    #[inline]
    pub(super) fn take(&mut self, count: usize) {
        self.len = (self.len + count).min(BATCH);
    }

    /// Adds one. There is room: no frame of a batch is more than one packet.
    fn push(&mut self, arrival: Arrival) {
        if let Some(place) = self.room().first_mut() {
            *place = arrival;
            self.take(1);
        }
    }

    /// Keeps those that are to `stay`, in their order.
    pub(super) fn retain(&mut self, mut stay: impl FnMut(&Arrival) -> bool) {
        let mut kept = 0;
        for at in 0..self.len {
            let arrival = self.places[at];
            if stay(&arrival) {
                self.places[kept] = arrival;
                kept += 1;
            }
        }
        self.len = kept;
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}

impl Deref for Queue {
    type Target = [Arrival];

    #[inline]
    fn deref(&self) -> &[Arrival] {
        &self.places[..self.len]
    }
}

impl DerefMut for Queue {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Arrival] {
        &mut self.places[..self.len]
    }
}

impl Arrival {
    const NONE: Self = Self {
        hash: 0,
        bucket: 0,
        ip_bytes: 0,
        index: 0,
        flags: TcpFlags(0),
        protocol: IpProtocol::TCP,
        number: 0,
    };

    /// Stands for the protocol of a packet that is not plain: no flow has this one, so that it is no known flow's packet to
    /// those who know only plain ones.
    pub(super) const UNUSUAL: IpProtocol = IpProtocol::HOP_BY_HOP;

    /// If it is not plain, its place among [`Arrivals::unusual`].
    #[inline]
    pub(super) fn unusual(&self) -> Option<usize> {
        (self.protocol == Self::UNUSUAL).then_some(usize::from(self.number))
    }

    /// The protocol of a plain one.
    fn transport(&self) -> Transport {
        if self.protocol == IpProtocol::UDP { Transport::Udp } else { Transport::Tcp }
    }

    /// All about this packet. `unusual` are the packets of its batch that are not plain. `None`: its frame is another's.
    pub(super) fn packet<F: Family>(&self, unusual: &[Packet<F>], frame: &[u8]) -> Option<Packet<F>> {
        if let Some(number) = self.unusual() {
            return unusual.get(number).copied();
        }
        let head = F::plain_head(frame)?;
        Some(Packet {
            index: self.index,
            hop_limit: F::plain_hop_limit(head),
            dont_fragment: F::plain_dont_fragment(head),
            part: Part::Whole,
            flags: self.flags,
            acknowledgement: acknowledgement(F::plain_upper(head), self.flags),
            layout: Layout::of_plain::<F>(self.ip_bytes),
            tuple: Tuple::between(F::ends(head), self.transport()),
            hash: self.hash,
        })
    }

    /// Its tuple.
    pub(super) fn tuple<F: Family>(&self, unusual: &[Packet<F>], frame: &[u8]) -> Option<Tuple<F>> {
        match self.unusual() {
            Some(number) => unusual.get(number).map(|packet| packet.tuple),
            None => Some(Tuple::between(F::ends(F::plain_head(frame)?), self.transport())),
        }
    }
}

impl Layout {
    /// The layout of a plain frame.
    #[inline(always)]
    pub(super) fn of_plain<F: Family>(ip_bytes: u16) -> Self {
        const L3: u16 = Ethernet::LEN as u16;
        Self { l3: L3, l4: L3 + F::MIN_HEADER as u16, end: L3 + ip_bytes, vlan: VlanTags::NONE }
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
