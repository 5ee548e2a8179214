//! Beside the road: fragments, of either family, in or out of order.
//!
//! The first fragment goes the way of any packet: its ports find or open its flow, and its checksum, which covers the
//! whole datagram, is repaired by the same delta. A later one has no ports; it takes those of its first from the table
//! that all workers share, goes to the same owner, and has its addresses translated. One that comes before its first is
//! kept ([`Verdict::Hold`]) until the first has come, and dropped after a second; so is one that comes by another worker
//! than the first, until its owner has that. Nothing is reassembled.
//!
//! Limits: SCTP and ICMP fragments are dropped, because their checksums can be handled over the whole only. The first
//! must hold the whole transport header (RFC 1858, RFC 7112), and no other may reach into it (RFC 5722, RFC 3128); that
//! later ones overlap each other is the receiver's to see.

use super::{
    DropReason, Half, PENDING, PathConfig, Verdict,
    packet::{Layout, Packet, Part},
};
use crate::{
    io::{Frame, PortId},
    state::{Datagram, Fate, First, FreePlaces, Millis, Tuple},
    table::{Tables, Transport},
    wire::{Ethernet, Family, Fragment, NetworkHeader, Tcp, TcpFlags, Udp},
};

/// A fragment. A later one's tuple has no ports yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct FragmentPacket<F: Family> {
    packet: Packet<F>,
    datagram: Datagram<F>,
    offset_bytes: u16,
    /// Whether its kind can be translated at all.
    translatable: bool,
}

/// Reads a fragment.
#[cold]
pub(super) fn classify<F: Family>(
    ethernet: &Ethernet<'_>,
    header: &NetworkHeader,
    part: Fragment,
    index: u8,
) -> Result<FragmentPacket<F>, DropReason> {
    let l3 = ethernet.payload();
    let layout = Layout::of(ethernet, header).ok_or(DropReason::TooBig)?;
    let (source, destination) = (F::source(l3), F::destination(l3));
    if !F::is_unicast_source(source) {
        return Err(DropReason::Martian);
    }
    let transport = match Transport::from_protocol(header.protocol) {
        Some(transport @ (Transport::Tcp | Transport::Udp)) => transport,
        // In a later IPv6 fragment this is the next header, which may be an extension: the first one knows better.
        None if F::ADDR_LEN == 16 && !part.is_first() && header.protocol != F::ICMP => Transport::Udp,
        Some(Transport::Sctp) => return Err(DropReason::Fragment),
        None if header.protocol == F::ICMP => Transport::Udp,
        None => return Err(DropReason::Protocol),
    };
    let translatable = header.protocol != F::ICMP;
    let (source_port, destination_port, flags) = match part.is_first() && translatable {
        true => first_header::<F>(transport, header.upper_layer(l3))?,
        false => (0, 0, TcpFlags::default()),
    };
    let packet = Packet {
        index,
        hop_limit: header.hop_limit,
        dont_fragment: header.dont_fragment,
        part: if part.is_first() { Part::First } else { Part::Later },
        flags,
        acknowledgement: 0,
        layout,
        tuple: Tuple { source, destination, source_port, destination_port, transport },
        hash: 0,
    };
    let protocol = if F::ADDR_LEN == 4 { header.protocol.0 } else { 0 };
    let datagram = Datagram { source, destination, id: part.id, protocol };
    Ok(FragmentPacket { packet, datagram, offset_bytes: part.offset_bytes, translatable })
}

fn first_header<F: Family>(transport: Transport, l4: &[u8]) -> Result<(u16, u16, TcpFlags), DropReason> {
    if transport == Transport::Udp {
        let udp = Udp::parse_first_fragment(l4).map_err(|_| DropReason::FragmentTiny)?;
        udp.require_checksum::<F>().map_err(|_| DropReason::UdpChecksumMissing)?;
        return Ok((udp.source_port(), udp.destination_port(), TcpFlags::default()));
    }
    let tcp = Tcp::parse(l4).map_err(|_| DropReason::FragmentTiny)?;
    Ok((tcp.source_port(), tcp.destination_port(), tcp.flags()))
}

/// Puts the fragments of a batch among its packets, in their order.
#[cold]
pub(super) fn batch<F: Family>(
    config: &PathConfig,
    tables: &Tables<F>,
    half: &mut Half<F>,
    frames: &[Frame],
    free: &mut FreePlaces,
    now: Millis,
    verdicts: &mut [Verdict],
) {
    for fragment in std::mem::take(&mut half.arrivals.fragments) {
        let at = usize::from(fragment.packet.index);
        verdicts[at] = admit(fragment, frames[at].port(), config, tables, half, free, now);
    }
}

/// Gives a fragment its ports, if they are known, and puts it among the packets.
fn admit<F: Family>(
    fragment: FragmentPacket<F>,
    port: PortId,
    config: &PathConfig,
    tables: &Tables<F>,
    half: &mut Half<F>,
    free: &mut FreePlaces,
    now: Millis,
) -> Verdict {
    let FragmentPacket { mut packet, datagram, offset_bytes, translatable } = fragment;
    // What a backend sends to others may be nothing of ours.
    let refuse = |reason| match tables.is_ours(datagram.destination) {
        true => Verdict::Drop(reason),
        false => Verdict::Pass,
    };
    if !translatable {
        return refuse(DropReason::Fragment);
    }
    let (l3, layout) = (packet.layout.l3, &packet.layout);
    let header_len = layout.l4 - l3;
    if packet.part == Part::First {
        let Tuple { source_port, destination_port, transport, .. } = packet.tuple;
        let total_len = layout.ip_bytes();
        let first = First { source_port, destination_port, transport, header_len, total_len };
        let fate = match config.steering.is_mine(&packet.tuple, port, tables, &half.flows.table) {
            true => Fate::Known(first),
            false => Fate::HandedOver(first, config.steering.worker()),
        };
        half.datagrams.learn(datagram, fate, now);
        half.arrivals.push_unusual(packet);
        return PENDING;
    }
    match half.datagrams.find(&datagram, config.steering.worker(), now) {
        Some(Fate::Known(first) | Fate::HandedOver(first, _)) => {
            // Options differ between IPv4's fragments; in IPv6 what is before the fragment header doesn't, while more
            // of the first's headers may be behind it.
            let before = if F::ADDR_LEN == 4 { first.header_len } else { header_len };
            if offset_bytes < first.total_len.saturating_sub(before) {
                return Verdict::Drop(DropReason::FragmentOverlap);
            }
            packet.tuple.source_port = first.source_port;
            packet.tuple.destination_port = first.destination_port;
            packet.tuple.transport = first.transport;
            half.arrivals.push_unusual(packet);
            PENDING
        }
        Some(Fate::Lost) => refuse(DropReason::FragmentLost),
        None => match half.waiting.hold(datagram, free, now) {
            Some(place) => Verdict::Hold(place),
            None => refuse(DropReason::FragmentsFull),
        },
    }
}
