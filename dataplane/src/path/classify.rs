//! First stage: what is this frame?
//!
//! In: the bytes of a frame. Out: offsets and tuple of a TCP, UDP or SCTP packet, or of an ICMP message and what it
//! quotes, or of a fragment, among the arrivals of its family; or the reason to drop it. Checks everything later stages
//! rely on: lengths, versions, header lengths, the IPv4 header checksum. Costs a few nanoseconds; reads the first lines
//! of the packet only.

use super::{
    DropReason, Half, Verdict, fragment,
    packet::{Arrival, Arrivals, IcmpAbout, IcmpPacket, Layout, Packet, Part},
};
use crate::{
    io::Frame,
    prefetch::prefetch_start,
    state::Tuple,
    table::Transport,
    wire::{
        EtherType, Ethernet, Family, IcmpKind, IcmpMessage, IpProtocol, NetworkHeader, ParseError, Plain,
        PortsAndFlags, Sctp, TcpFlags, Udp, V4, V6, ports, ports_and_flags,
    },
};
use std::hint::select_unpredictable;

/// How many frames ahead of the one being classified the headers are asked for.
const PREFETCH_AHEAD: usize = 6;

/// Classifies a batch. The verdicts of arrivals stay as they are.
pub(super) fn batch(frames: &[Frame], v4: &mut Half<V4>, v6: &mut Half<V6>, verdicts: &mut [Verdict]) {
    let mut at = 0;
    while at < frames.len() {
        let before = at;
        at = plain(frames, at, v4);
        at = plain(frames, at, v6);
        if at == before {
            if let Err(reason) = classify(&frames[at], at as u8, &mut v4.arrivals, &mut v6.arrivals) {
                verdicts[at] = Verdict::Drop(reason);
            }
            at += 1;
        }
    }
}

/// Takes plain packets of this family from place `from` on, as long as they come, and returns the place of the one that is
/// something else. A loop of its own for each family: what it needs of the half then fits in registers. The hash is made
/// while the tuple is at hand, and the bucket that is looked at first asked for.
#[inline(never)]
fn plain<F: Family>(frames: &[Frame], from: usize, half: &mut Half<F>) -> usize {
    let Half { flows, arrivals, .. } = half;
    let (frames, room) = (&frames[from..], arrivals.queue.room());
    let most = frames.len().min(room.len());
    // Of one length, so that one counter does for both.
    let (frames, room) = (&frames[..most], &mut room[..most]);
    let mut taken = 0;
    while taken < most {
        let frame = &frames[taken];
        if let Some(ahead) = frames.get(taken + PREFETCH_AHEAD) {
            prefetch_start(ahead, size_of::<F::PlainHead>());
        }
        let Some(Plain { ends, protocol, flags, ip_bytes }) = F::plain(frame) else { break };
        let hash = flows.table.hash_of(ends, protocol);
        let bucket = flows.table.prefetch_bucket(hash);
        let index = (from + taken) as u8;
        room[taken] = Arrival { hash, bucket, ip_bytes, index, flags, protocol, number: 0 };
        taken += 1;
    }
    arrivals.queue.take(taken);
    from + taken
}

/// Classifies the frame at place `index` of its batch, and puts it where it belongs. A packet is built in the place
/// where later stages read it: moving it through return values costs more than all the checks.
#[inline(never)]
pub(super) fn classify(
    frame: &Frame,
    index: u8,
    v4: &mut Arrivals<V4>,
    v6: &mut Arrivals<V6>,
) -> Result<(), DropReason> {
    let ethernet = Ethernet::parse(frame).map_err(|_| DropReason::Malformed)?;
    match ethernet.ether_type() {
        EtherType::IPV4 => network(frame, ethernet, index, v4),
        EtherType::IPV6 => network(frame, ethernet, index, v6),
        _ => Err(DropReason::NotIp),
    }
}

/// Whole packets of TCP and UDP, which nearly all are. Nothing that was parsed is lent to a function that is not
/// inlined, so that all of it stays in registers.
#[inline(always)]
fn network<F: Family>(
    frame: &Frame,
    ethernet: Ethernet<'_>,
    index: u8,
    arrivals: &mut Arrivals<F>,
) -> Result<(), DropReason> {
    let l3 = ethernet.payload();
    let header = F::parse(l3).map_err(parse_error)?;
    if header.fragment.is_some() || !is_tcp_or_udp(header.protocol) {
        return others(frame, index, arrivals);
    }
    let (source, destination) = (F::source(l3), F::destination(l3));
    if !F::is_unicast_source(source) {
        return Err(DropReason::Martian);
    }
    let is_udp = header.protocol == IpProtocol::UDP;
    let l4 = &l3[usize::from(header.header_len)..usize::from(header.total_len)];
    let head = ports_and_flags(l4, is_udp).ok_or(DropReason::Malformed)?;
    if is_udp & Udp::lacks_checksum::<F>(l4) {
        return Err(DropReason::UdpChecksumMissing);
    }
    let PortsAndFlags { source: source_port, destination: destination_port, flags, acknowledgement } = head;
    let transport = select_unpredictable(is_udp, Transport::Udp, Transport::Tcp);
    arrivals.push_unusual(Packet {
        index,
        hop_limit: header.hop_limit,
        dont_fragment: header.dont_fragment,
        part: Part::Whole,
        flags,
        acknowledgement,
        layout: Layout::of(&ethernet, &header).ok_or(DropReason::TooBig)?,
        tuple: Tuple { source, destination, source_port, destination_port, transport },
        hash: 0,
    });
    Ok(())
}

/// Fragments, ICMP and SCTP, read once more from the start.
#[cold]
#[inline(never)]
fn others<F: Family>(frame: &Frame, index: u8, arrivals: &mut Arrivals<F>) -> Result<(), DropReason> {
    let ethernet = Ethernet::parse(frame).map_err(|_| DropReason::Malformed)?;
    let l3 = ethernet.payload();
    let header = F::parse(l3).map_err(parse_error)?;
    if let Some(part) = header.fragment {
        arrivals.fragments.push(fragment::classify(&ethernet, &header, part, index)?);
        return Ok(());
    }
    let (source, destination) = (F::source(l3), F::destination(l3));
    if !F::is_unicast_source(source) {
        return Err(DropReason::Martian);
    }
    let l4 = header.upper_layer(l3);
    let layout = Layout::of(&ethernet, &header).ok_or(DropReason::TooBig)?;
    match header.protocol {
        protocol if protocol == F::ICMP => {
            arrivals.icmp.push(icmp(l4, layout, &header, source, destination, index)?);
        }
        IpProtocol::SCTP => {
            let sctp = Sctp::parse(l4).map_err(parse_error)?;
            let (source_port, destination_port) = (sctp.source_port(), sctp.destination_port());
            let transport = Transport::Sctp;
            arrivals.push_unusual(Packet {
                index,
                hop_limit: header.hop_limit,
                dont_fragment: header.dont_fragment,
                acknowledgement: 0,
                part: Part::Whole,
                flags: TcpFlags::default(),
                layout,
                tuple: Tuple { source, destination, source_port, destination_port, transport },
                hash: 0,
            });
        }
        _ => return Err(DropReason::Protocol),
    }
    Ok(())
}

/// One test for both: which of them it is, a processor can't guess.
#[inline]
fn is_tcp_or_udp(protocol: IpProtocol) -> bool {
    const EITHER: u32 = 1 << IpProtocol::TCP.0 | 1 << IpProtocol::UDP.0;
    EITHER.checked_shr(u32::from(protocol.0)).is_some_and(|bits| bits & 1 != 0)
}

/// ICMP is rare and forged easily: the whole message must be right before anything is believed.
fn icmp<F: Family>(
    l4: &[u8],
    layout: Layout,
    header: &NetworkHeader,
    source: F::Addr,
    destination: F::Addr,
    index: u8,
) -> Result<IcmpPacket<F>, DropReason> {
    let message = IcmpMessage::<F>::parse(l4).map_err(|_| DropReason::IcmpMalformed)?;
    if !message.checksum_is_valid(F::icmp_sum(source, destination, l4.len() as u32)) {
        return Err(DropReason::IcmpMalformed);
    }
    let about = match message.kind() {
        IcmpKind::Error(_) => IcmpAbout::Error(quotation::<F>(message.quoted())?),
        IcmpKind::EchoRequest => IcmpAbout::Echo,
        IcmpKind::EchoReply | IcmpKind::Redirect | IcmpKind::Other => IcmpAbout::Other,
    };
    Ok(IcmpPacket { index, layout, source, destination, hop_limit: header.hop_limit, about })
}

/// The tuple of the packet that an ICMP error is about.
fn quotation<F: Family>(quoted: &[u8]) -> Result<Tuple<F>, DropReason> {
    let header = F::parse_quoted(quoted).map_err(|_| DropReason::IcmpMalformed)?;
    let later = header.fragment.is_some_and(|fragment| !fragment.is_first());
    let transport =
        Transport::from_protocol(header.protocol).filter(|_| !later).ok_or(DropReason::IcmpUnrelated)?;
    let l4 = quoted.get(usize::from(header.header_len)..).ok_or(DropReason::IcmpMalformed)?;
    let (source_port, destination_port) = ports(l4).ok_or(DropReason::IcmpMalformed)?;
    let (source, destination) = (F::source(quoted), F::destination(quoted));
    Ok(Tuple { source, destination, source_port, destination_port, transport })
}

fn parse_error(error: ParseError) -> DropReason {
    match error {
        ParseError::BadChecksum { .. } => DropReason::HeaderChecksum,
        _ => DropReason::Malformed,
    }
}
