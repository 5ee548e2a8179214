//! Answers of our own, written over the packet they answer: TCP resets and ICMP errors.
//!
//! An answer comes from the address the packet was sent to (the VIP), which reaches whoever could send to it. Only that
//! a packet has made too many hops is said by the gateway under its own name, so that traceroute shows which one it is
//! (RFC 1812 §4.3.2.4, RFC 4443 §2.2(c)). Answers go back over the link the packet came by, with its tags. They are
//! rate-limited, and never sent to a multicast or broadcast frame or from one, nor to a reset; ICMP messages never get
//! here (RFC 1122 §3.2.2, RFC 4443 §2.4(e), RFC 9293 §3.10.7.1). An IPv4 error quotes as much as fits in 576 bytes
//! (RFC 1812 §4.3.2.3), an IPv6 one in 1280 (RFC 4443 §2.4(c)).

use super::{
    Answer, DropReason, Packet, ReplyKind, Stage, TcpReject, Verdict,
    packet::{Layout, Part},
};
use crate::{
    io::{Frame, FrameTooSmall},
    table::Transport,
    wire::{
        Family, IcmpMessage, IpProtocol, Tcp, TcpFlags, destination, set_destination, set_source, source,
    },
};
use arrayvec::ArrayVec;
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, icmpv4,
    icmpv6,
};
use std::net::IpAddr;

/// TTL and hop limit of our own packets (the default of RFC 1700 and of Linux).
pub(super) const HOP_LIMIT: u8 = 64;

/// Turns `frame` into the answer to the packet in it.
#[cold]
pub(super) fn answer<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
    answer: Answer,
) -> Verdict {
    // RFC 1122 §3.2.2; in IPv6 a packet too big is told whichever part it is (RFC 4443 §2.4).
    let told = F::ADDR_LEN == 16 && matches!(answer, Answer::TooBig { .. });
    let silent = packet.part == Part::Later && !told;
    let by_group = source(frame).is_multicast() || destination(frame).is_multicast();
    if by_group || packet.flags.rst() || silent {
        return Verdict::Drop(DropReason::ReplyForbidden);
    }
    if !stage.replies.take(stage.now) {
        return Verdict::Drop(DropReason::ReplyLimited);
    }
    let Packet { layout, tuple, .. } = packet;
    let (from, to) = (tuple.destination, tuple.source);
    let by_reset = packet.tuple.transport == Transport::Tcp && stage.config.tcp_reject == TcpReject::Reset;
    let (kind, written) = match answer {
        Answer::Reject if by_reset => (ReplyKind::Reset, reset(packet, frame)),
        Answer::Reject => (ReplyKind::PortUnreachable, icmp::<F>(layout, from, to, frame, answer)),
        Answer::TimeExceeded => {
            let own = stage.tables.port_address(layout.way_back(frame).port).unwrap_or(from);
            (ReplyKind::TimeExceeded, icmp::<F>(layout, own, to, frame, answer))
        }
        Answer::TooBig { .. } => (ReplyKind::TooBig, icmp::<F>(layout, from, to, frame, answer)),
    };
    if written.is_err() {
        return Verdict::Drop(DropReason::ReplyForbidden);
    }
    send_back(layout, frame, kind)
}

/// Sends an answer where the packet came from.
pub(super) fn send_back(layout: &Layout, frame: &mut Frame, kind: ReplyKind) -> Verdict {
    let link = layout.way_back(frame);
    set_source(frame, link.source);
    set_destination(frame, link.destination);
    Verdict::Reply(link.port, kind)
}

/// A reset as a closed port sends it (RFC 9293 §3.10.7.1).
fn reset<F: Family>(packet: &Packet<F>, frame: &mut Frame) -> Result<(), FrameTooSmall> {
    let answered = Tcp::parse(packet.layout.l4(frame));
    let (seq, ack, len) = answered.map_or((0, 0, 0), |tcp| (tcp.seq(), tcp.ack(), tcp.sequence_len()));
    let mut header = TcpHeader::new(packet.tuple.destination_port, packet.tuple.source_port, 0, 0);
    header.rst = true;
    if packet.flags.contains(TcpFlags::ACK) {
        header.sequence_number = ack;
    } else {
        header.ack = true;
        header.acknowledgment_number = seq.wrapping_add(len);
    }
    let header = header.to_bytes();
    let (from, to) = (packet.tuple.destination, packet.tuple.source);
    let l4 = write_packet::<F>(&packet.layout, from, to, frame, IpProtocol::TCP, &header, 0)?;
    Tcp::fill_checksum(l4, F::pseudo_header_sum(from, to, IpProtocol::TCP, header.len() as u32));
    Ok(())
}

/// An ICMP error that quotes the packet.
pub(super) fn icmp<F: Family>(
    layout: &Layout,
    from: F::Addr,
    to: F::Addr,
    frame: &mut Frame,
    answer: Answer,
) -> Result<(), FrameTooSmall> {
    let header = icmp_header::<F>(answer);
    let most = usize::from(F::MIN_MTU.max(576)) - F::MIN_HEADER - header.len();
    let quoted = usize::from(layout.ip_bytes()).min(most);
    let l4 = write_packet::<F>(layout, from, to, frame, F::ICMP, &header, quoted)?;
    let sum = F::icmp_sum(from, to, l4.len() as u32);
    IcmpMessage::<F>::fill_checksum(l4, sum);
    Ok(())
}

fn icmp_header<F: Family>(answer: Answer) -> ArrayVec<u8, 20> {
    let mut bytes = ArrayVec::new();
    if F::ADDR_LEN == 4 {
        let unreachable = Icmpv4Type::DestinationUnreachable;
        let kind = match answer {
            Answer::Reject => unreachable(icmpv4::DestUnreachableHeader::Port),
            Answer::TimeExceeded => Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::TtlExceededInTransit),
            Answer::TooBig { mtu } => {
                unreachable(icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu })
            }
        };
        bytes.extend(Icmpv4Header::new(kind).to_bytes());
    } else {
        let kind = match answer {
            Answer::Reject => Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port),
            Answer::TimeExceeded => Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded),
            Answer::TooBig { mtu } => Icmpv6Type::PacketTooBig { mtu: u32::from(mtu) },
        };
        bytes.extend(Icmpv6Header::new(kind).to_bytes());
    }
    bytes
}

/// Writes an IP packet from the VIP (`from`) to the sender over the frame: `header`, then the first `quoted` bytes of the packet
/// that was there. Returns what follows the IP header.
fn write_packet<'f, F: Family>(
    layout: &Layout,
    from: F::Addr,
    to: F::Addr,
    frame: &'f mut Frame,
    protocol: IpProtocol,
    header: &[u8],
    quoted: usize,
) -> Result<&'f mut [u8], FrameTooSmall> {
    let l3 = usize::from(layout.l3);
    let payload_len = header.len() + quoted;
    let network = network_header::<F>(from, to, protocol, payload_len as u16);
    let l4 = l3 + network.len();
    let len = l4 + payload_len;
    if len > frame.len() {
        frame.resize(len)?;
    }
    frame.copy_within(l3..l3 + quoted, l4 + header.len());
    frame.resize(len)?;
    frame[l3..l4].copy_from_slice(&network);
    frame[l4..l4 + header.len()].copy_from_slice(header);
    Ok(&mut frame[l4..])
}

fn network_header<F: Family>(
    from: F::Addr,
    to: F::Addr,
    protocol: IpProtocol,
    payload_len: u16,
) -> ArrayVec<u8, 60> {
    let mut bytes = ArrayVec::new();
    let next = IpNumber(protocol.0);
    match (F::to_ip(from), F::to_ip(to)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            if let Ok(mut header) = Ipv4Header::new(payload_len, HOP_LIMIT, next, from.octets(), to.octets())
            {
                header.dont_fragment = true;
                header.header_checksum = header.calc_header_checksum();
                bytes.extend(header.to_bytes());
            }
        }
        (from, to) => {
            let octets = |addr: IpAddr| match addr {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            let header = Ipv6Header {
                payload_length: payload_len,
                next_header: next,
                hop_limit: HOP_LIMIT,
                source: octets(from),
                destination: octets(to),
                ..Ipv6Header::default()
            };
            bytes.extend(header.to_bytes());
        }
    }
    bytes
}
