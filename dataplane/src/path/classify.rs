//! First stage: what is this frame?
//!
//! In: the bytes of a frame. Out: offsets and tuple of a TCP or UDP packet, or of an ICMP message and what it
//! quotes, among the arrivals of its family; or the reason to drop it. Checks everything later stages rely on: lengths, versions, header lengths, the
//! IPv4 header checksum. Costs a few nanoseconds; reads the first lines of the packet only.

use super::{
    DropReason, Verdict,
    packet::{Arrivals, IcmpPacket, Layout, Packet},
};
use crate::{
    io::Frame,
    prefetch::prefetch_header,
    state::{Entry, Tuple},
    table::Transport,
    wire::{
        EtherType, Ethernet, Family, IcmpKind, IcmpMessage, NetworkHeader, ParseError, Tcp, TcpFlags, Udp,
        V4, V6, ports,
    },
};

/// How many frames ahead of the one being classified the headers are asked for.
const PREFETCH_AHEAD: usize = 6;

/// Classifies a batch. The verdicts of arrivals stay as they are.
#[inline(never)]
pub(super) fn batch(
    frames: &[Frame],
    v4: &mut Arrivals<V4>,
    v6: &mut Arrivals<V6>,
    verdicts: &mut [Verdict],
) {
    for (index, (frame, verdict)) in frames.iter().zip(verdicts).enumerate() {
        if let Some(ahead) = frames.get(index + PREFETCH_AHEAD) {
            prefetch_header(ahead);
        }
        if let Err(reason) = classify(frame, index as u8, v4, v6) {
            *verdict = Verdict::Drop(reason);
        }
    }
}

/// Classifies the frame at place `index` of its batch, and puts it where it belongs. A packet is built in the place
/// where later stages read it: moving it through return values costs more than all the checks.
#[inline]
fn classify(
    frame: &Frame,
    index: u8,
    v4: &mut Arrivals<V4>,
    v6: &mut Arrivals<V6>,
) -> Result<(), DropReason> {
    let ethernet = Ethernet::parse(frame).map_err(|_| DropReason::Malformed)?;
    match ethernet.ether_type() {
        EtherType::IPV4 => network(&ethernet, index, v4),
        EtherType::IPV6 => network(&ethernet, index, v6),
        _ => Err(DropReason::NotIp),
    }
}

#[inline]
fn network<F: Family>(
    ethernet: &Ethernet<'_>,
    index: u8,
    arrivals: &mut Arrivals<F>,
) -> Result<(), DropReason> {
    let l3 = ethernet.payload();
    let header = F::parse(l3).map_err(parse_error)?;
    if header.fragment.is_some() {
        return Err(DropReason::Fragment);
    }
    let layout = || Layout::of(ethernet, &header).ok_or(DropReason::TooBig);
    let (source, destination) = (F::source(l3), F::destination(l3));
    if !F::is_unicast_source(source) {
        return Err(DropReason::Martian);
    }
    let l4 = header.upper_layer(l3);
    match Transport::from_protocol(header.protocol) {
        Some(transport @ (Transport::Tcp | Transport::Udp)) => {
            let (source_port, destination_port, flags) = transport_header::<F>(transport, l4)?;
            arrivals.packets.push(Packet {
                index,
                hop_limit: header.hop_limit,
                dont_fragment: header.dont_fragment,
                flags,
                layout: layout()?,
                tuple: Tuple { source, destination, source_port, destination_port, transport },
                hash: 0,
                likely: Entry::default(),
            });
        }
        None if header.protocol == F::ICMP => {
            arrivals.icmp.push(icmp(l4, layout()?, &header, source, destination, index)?);
        }
        Some(Transport::Sctp) | None => return Err(DropReason::Protocol),
    }
    Ok(())
}

#[inline]
fn transport_header<F: Family>(transport: Transport, l4: &[u8]) -> Result<(u16, u16, TcpFlags), DropReason> {
    if transport == Transport::Tcp {
        let tcp = Tcp::parse(l4).map_err(parse_error)?;
        Ok((tcp.source_port(), tcp.destination_port(), tcp.flags()))
    } else {
        let udp = Udp::parse(l4).map_err(parse_error)?;
        udp.require_checksum::<F>().map_err(|_| DropReason::UdpChecksumMissing)?;
        Ok((udp.source_port(), udp.destination_port(), TcpFlags::default()))
    }
}

/// ICMP is rare and forged easily: the whole message must be right before anything is believed.
#[cold]
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
    let quoted = match message.kind() {
        IcmpKind::Error(_) => Some(quotation::<F>(message.quoted())?),
        IcmpKind::EchoRequest | IcmpKind::EchoReply | IcmpKind::Redirect | IcmpKind::Other => None,
    };
    Ok(IcmpPacket { index, layout, source, destination, hop_limit: header.hop_limit, quoted })
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
