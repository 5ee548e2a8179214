//! Frames out of a few bytes: whole packets of the vectors' network, spoilt as the bytes say; or the bytes themselves.

use super::input::Input;
use crate::packets::{DNS, IcmpType, Net, Packet, SIGNALS, WEB, chunk};
use penstock_dataplane::io::PortId;
use std::sync::LazyLock;

/// Input bytes from here on are the number of a packet.
const PACKETS_FROM: u8 = 32;
/// The bits that say how a packet is spoilt; below them is the number of changed bytes.
const FIX_HEADER: u8 = 0x80;
const SEAL: u8 = 0x40;
const TAG: u8 = 0x20;
const CUT: u8 = 0x10;
const OTHER_PORT: u8 = 0x08;
const CHANGES: u8 = 0x07;

static PACKETS: LazyLock<Vec<Packet>> = LazyLock::new(|| Net::ALL.iter().flat_map(packets).collect());

/// The next frame and where it arrives.
pub(super) fn shot(input: &mut Input<'_>) -> (PortId, Vec<u8>) {
    let kind = input.byte();
    if kind < PACKETS_FROM {
        let len = usize::from(input.byte());
        return (PortId(kind % 3), input.take(len).to_vec());
    }
    let how = input.byte();
    let mut packet = PACKETS[usize::from(kind - PACKETS_FROM) % PACKETS.len()].clone();
    for _ in 0..how & CHANGES {
        let at = usize::from(input.byte());
        let value = input.byte();
        if let Some(byte) = packet.ip.get_mut(at) {
            *byte = value;
        }
    }
    if how & CUT != 0 {
        let len = packet.ip.len();
        packet.ip.truncate(len * usize::from(input.byte()) / 255);
    }
    if how & SEAL != 0 && packet.ip.len() >= packet.l4 {
        packet = packet.seal();
    }
    if how & FIX_HEADER != 0 {
        packet = packet.fix_header();
    }
    if how & TAG != 0 {
        let tag = input.word();
        packet = packet.tagged(if tag & 0x8000 != 0 { 0x88a8 } else { 0x8100 }, tag & 0x7fff);
    }
    (PortId(u8::from(how & OTHER_PORT != 0)), packet.frame())
}

/// One of each kind, from both sides.
fn packets(net: &Net) -> Vec<Packet> {
    let (client, gateway) = (net.client(), |port| net.gateway(port));
    let to_vip = |flags| Packet::tcp(client, net.vip(WEB), flags, b"");
    let to_client = |flags| Packet::tcp(net.backend(WEB), gateway(WEB), flags, b"");
    let query = Packet::udp(client, net.vip(DNS), &[0x61; 40]);
    let answer = Packet::udp(net.backend(DNS), gateway(DNS), &[0x62; 40]);
    let sctp = |tag, chunk| Packet::sctp(client, net.vip(SIGNALS), tag, &[chunk]);
    let sctp_back = |tag, chunk| Packet::sctp(net.backend(SIGNALS), gateway(SIGNALS), tag, &[chunk]);
    let sent = Packet::udp(gateway(DNS), net.backend(DNS), b"query");
    let segment = Packet::tcp(gateway(WEB), net.backend(WEB), "A", b"data");
    let answered = Packet::udp(net.vip(DNS), client, b"answer");
    let error = |about: &Packet, to, kind| about.error_about(net.router_ip, to, kind, 60);
    let mut all =
        vec![to_vip("S"), to_client("SA"), to_vip("A"), to_client("A"), to_vip("FA"), to_client("FA")];
    all.extend([to_vip("R"), query.clone(), answer.clone()]);
    all.extend([
        sctp(0, chunk(1, &[1; 16])),
        sctp_back(7, chunk(2, &[1; 16])),
        sctp(8, chunk(10, b"cookie")),
    ]);
    all.extend([sctp(8, chunk(0, &[0; 20])), sctp_back(7, chunk(6, b""))]);
    all.extend([query.fragment(7, 0, 24, true), query.fragment(7, 24, 48, false)]);
    all.extend([answer.fragment(7, 0, 24, true), answer.fragment(7, 24, 48, false)]);
    all.push(Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"ping"));
    all.push(error(&sent, net.gateway_ip, IcmpType::PortUnreachable));
    all.push(error(&segment, net.gateway_ip, IcmpType::TooBig(1300)));
    all.push(error(&answered, net.vip, IcmpType::TimeExceeded));
    all.push(Packet::tcp(client, (net.empty_ip, WEB.0).into(), "S", b""));
    all.push(Packet::udp(client, (net.vip, 81).into(), b"nobody"));
    all.push(Packet::udp(client, net.vip(DNS), &[0x63; 700]));
    all.push(Packet::udp(client, net.cluster_ip_at(DNS), b"query"));
    let options = if net.is_v4() { vec![1; 8] } else { vec![17, 0, 1, 4, 0, 0, 0, 0] };
    all.push(query.with_options(60, &options));
    all
}
