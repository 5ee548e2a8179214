//! Bad input, a class each: its verdict, its counter, and nothing else that moves.

use super::super::{DropReason, ReplyKind, Verdict, world::*};
use crate::{table::Transport, wire::SctpChunk};

both_families! {
    a_packet_cut_anywhere_is_dropped,
    lengths_that_lie,
    wrong_versions_and_header_lengths,
    a_wrong_header_checksum,
    martians,
    land,
    an_answer_that_comes_as_a_question,
    a_vip_as_source_is_a_client_like_others,
    unknown_protocols,
    options_and_extension_headers,
    fragments_that_cannot_be,
}

const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

fn packet<F: Net>(world: &mut World<F>, transport: Transport) -> Spec<F> {
    let mut tuple = world.client(0).who.original;
    tuple.transport = transport;
    let mut spec = Spec::new(tuple, SYN);
    if transport == Transport::Sctp {
        (spec.payload, spec.seq) =
            (vec![SctpChunk::INIT, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 1, 0, 0, 0, 7], 0);
    }
    spec
}

/// The packet's verdict.
fn verdict<F: Net>(world: &mut World<F>, ip: &[u8]) -> Verdict {
    let link = world.client(0).who.client_link;
    world.send_unchecked(&[(CLIENT_PORT, frame(&link, F::ETHER_TYPE.0, ip))]).remove(0).verdict
}

#[track_caller]
fn dropped<F: Net>(world: &mut World<F>, ip: &[u8], reason: DropReason) {
    assert_eq!(verdict(world, ip), Verdict::Drop(reason), "{ip:02x?}");
    let mut moved = [reason.name(), "received"];
    moved.sort_unstable();
    world.moved(&moved.join(" "));
}

/// Cut off by the network: the headers promise more than is there.
fn a_packet_cut_anywhere_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    for transport in TRANSPORTS {
        let whole = packet(&mut world, transport).bytes();
        for len in 0..whole.len() {
            let outcome = world.send_unchecked(&[(CLIENT_PORT, whole[..len].to_vec())]).remove(0);
            assert_eq!(outcome.verdict, Verdict::Drop(DropReason::Malformed), "{len} bytes");
            world.moved("malformed received");
        }
    }
}

/// Sets the length of an IP packet.
fn set_len<F: Net>(ip: &mut [u8], len: usize) {
    if F::ADDR_LEN == 4 {
        ip[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        fix_ipv4(ip);
    } else {
        ip[4..6].copy_from_slice(&(len.saturating_sub(40) as u16).to_be_bytes());
    }
}

fn lengths_that_lie<F: Net>() {
    let mut world = World::<F>::new();
    for transport in TRANSPORTS {
        let whole = packet(&mut world, transport).ip();
        let header = match transport {
            Transport::Tcp => 20,
            Transport::Udp => 8,
            Transport::Sctp => 12,
        };
        // Too short for the headers in it, or longer than the frame.
        for len in (F::MIN_HEADER..F::MIN_HEADER + header).chain([whole.len() + 1, 65_535]) {
            let mut ip = whole.clone();
            set_len::<F>(&mut ip, len);
            dropped(&mut world, &ip, DropReason::Malformed);
        }
    }
    // A datagram's own length, and a segment's header length.
    let l4 = F::MIN_HEADER;
    for len in [0u16, 7, 9, 65_535] {
        let mut ip = packet(&mut world, Transport::Udp).ip();
        ip[l4 + 4..l4 + 6].copy_from_slice(&len.to_be_bytes());
        dropped(&mut world, &ip, DropReason::Malformed);
    }
    for words in [0u8, 4, 6, 15] {
        let mut ip = packet(&mut world, Transport::Tcp).ip();
        ip[l4 + 12] = words << 4;
        dropped(&mut world, &ip, DropReason::Malformed);
    }
}

fn wrong_versions_and_header_lengths<F: Net>() {
    let mut world = World::<F>::new();
    let whole = packet(&mut world, Transport::Tcp).ip();
    let others = if F::ADDR_LEN == 4 { [0x05, 0x65, 0x44, 0x4f] } else { [0x00, 0x40, 0x50, 0xf0] };
    for first in others {
        let mut ip = whole.clone();
        ip[0] = first;
        dropped(&mut world, &ip, DropReason::Malformed);
    }
}

fn a_wrong_header_checksum<F: Net>() {
    if F::ADDR_LEN == 16 {
        return;
    }
    let mut world = World::<F>::new();
    let whole = packet(&mut world, Transport::Tcp).ip();
    for at in [1, 4, 8, 10, 11, 12, 19] {
        let mut ip = whole.clone();
        ip[at] ^= 4;
        dropped(&mut world, &ip, DropReason::HeaderChecksum);
    }
}

fn martians<F: Net>() {
    let mut world = World::<F>::new();
    let sources = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "239.9.9.9",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.1",
    ];
    for source in sources.iter().filter_map(|text| F::from_ip(text.parse().unwrap())) {
        for transport in TRANSPORTS {
            let mut spec = packet(&mut world, transport);
            spec.tuple.source = source;
            spec.payload.extend([0; 16]);
            dropped(&mut world, &spec.ip(), DropReason::Martian);
            let parts = cut::<F>(&spec.ip(), 1, 16);
            dropped(&mut world, &parts[1], DropReason::Martian);
        }
    }
}

/// Source and destination are one, served or not.
fn land<F: Net>() {
    let mut world = World::<F>::new();
    for port in [SERVICE_PORT, 81] {
        for transport in TRANSPORTS {
            let mut spec = packet(&mut world, transport);
            spec.tuple.source = spec.tuple.destination;
            (spec.tuple.source_port, spec.tuple.destination_port) = (port, port);
            dropped(&mut world, &spec.ip(), DropReason::Martian);
        }
    }
}

/// From a VIP's served port: two Services would answer each other for ever.
fn an_answer_that_comes_as_a_question<F: Net>() {
    let mut world = World::<F>::new();
    for (address, port) in [
        (F::addr(Network::Vips, CLUSTER_IP), SERVICE_PORT),
        (F::addr(Network::Vips, EXTERNAL_IP), SERVICE_PORT),
        (F::addr(Network::Node, NODE), NODE_PORT),
    ] {
        for transport in TRANSPORTS {
            let mut spec = packet(&mut world, transport);
            (spec.tuple.source, spec.tuple.source_port) = (address, port);
            dropped(&mut world, &spec.ip(), DropReason::Martian);
        }
    }
}

/// External and load-balancer IPs may be addresses of nodes, whose own traffic is to be served.
fn a_vip_as_source_is_a_client_like_others<F: Net>() {
    let mut world = World::<F>::new();
    world.client(0).from(F::addr(Network::Vips, EXTERNAL_IP), 40_000).syn().expect_at_backend();
}

fn unknown_protocols<F: Net>() {
    let mut world = World::<F>::new();
    let at = if F::ADDR_LEN == 4 { 9 } else { 6 };
    for protocol in [2, 4, 41, 47, 50, 115, 255] {
        let mut ip = packet(&mut world, Transport::Tcp).ip();
        ip[at] = protocol;
        if F::ADDR_LEN == 4 {
            fix_ipv4(&mut ip);
        }
        dropped(&mut world, &ip, DropReason::Protocol);
    }
    let link = world.client(0).who.client_link;
    let arp = frame(&link, 0x0806, &[0; 46]);
    assert_eq!(world.send(CLIENT_PORT, &arp).verdict, Verdict::Drop(DropReason::NotIp));
    world.moved("not_ip received");
}

/// The packet with `options` between its IP header and what follows, which the header names `next`.
fn with_options<F: Net>(ip: &[u8], next: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = [&ip[..F::MIN_HEADER], options, &ip[F::MIN_HEADER..]].concat();
    let len = bytes.len();
    if F::ADDR_LEN == 4 {
        bytes[0] = 0x40 | ((20 + options.len()) / 4) as u8;
    } else {
        bytes[6] = next;
    }
    set_len::<F>(&mut bytes, len);
    bytes
}

/// Ports are looked for behind them, and behind no more of them than there may be.
// S-203
fn options_and_extension_headers<F: Net>() {
    let mut world = World::<F>::new();
    for transport in TRANSPORTS {
        let spec = packet(&mut world, transport);
        let (ip, protocol) = (spec.ip(), transport.protocol().0);
        // Padding options of each kind; hop-by-hop, destination options, a spent routing header, an authentication header.
        let chains: &[(u8, Vec<u8>)] = &if F::ADDR_LEN == 4 {
            vec![(0, vec![1, 1, 1, 0]), (0, vec![0x94, 4, 0, 0]), (0, vec![1; 40])]
        } else {
            let padding = |next| vec![next, 0, 1, 4, 0, 0, 0, 0];
            let routing = |next| vec![next, 0, 4, 0, 0, 0, 0, 0];
            let authentication = |next| vec![next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
            vec![
                (0, padding(protocol)),
                (60, padding(protocol)),
                (43, routing(protocol)),
                (51, authentication(protocol)),
                (0, [padding(43), routing(60), padding(protocol)].concat()),
                (60, [padding(60).repeat(7), padding(protocol)].concat()),
            ]
        };
        for (next, options) in chains {
            let bytes = with_options::<F>(&ip, *next, options);
            let link = spec.link;
            let outcome =
                world.send_unchecked(&[(CLIENT_PORT, frame(&link, F::ETHER_TYPE.0, &bytes))]).remove(0);
            assert_eq!(outcome.verdict, Verdict::Forward(BACKEND_PORT), "{options:?}");
            let left = outcome.frame.unwrap().1;
            let l4 = 14 + F::MIN_HEADER + options.len();
            assert_eq!(left[14 + F::MIN_HEADER..l4], options[..], "they stay as they are");
            let plain = [&left[14..14 + F::MIN_HEADER], &left[l4..]].concat();
            let mut plain = plain;
            if F::ADDR_LEN == 4 {
                plain[0] = 0x45;
            } else {
                plain[6] = protocol;
            }
            let len = plain.len();
            set_len::<F>(&mut plain, len);
            let seen = Ip::read(&plain);
            seen.check();
            assert_eq!(seen.tuple::<F>(), world.flow(&spec.tuple).unwrap().reply.reversed());
        }
    }
    if F::ADDR_LEN == 4 {
        return;
    }
    let ip = packet(&mut world, Transport::Udp).ip();
    let bad: [(u8, Vec<u8>); 6] = [
        // Hop-by-hop options in the second place, too many headers, a route to go on, longer than the packet,
        // a chain that ends within the header, two fragment headers.
        (60, [vec![0, 0, 1, 4, 0, 0, 0, 0], vec![17, 0, 1, 4, 0, 0, 0, 0]].concat()),
        (60, [[60, 0, 1, 4, 0, 0, 0, 0].repeat(8), vec![17, 0, 1, 4, 0, 0, 0, 0]].concat()),
        (43, vec![17, 0, 0, 1, 0, 0, 0, 0]),
        (60, vec![17, 200, 1, 4, 0, 0, 0, 0]),
        (60, vec![60, 1, 1, 4, 0, 0, 0, 0]),
        (44, [[44, 0, 0, 0, 0, 0, 0, 1], [17, 0, 0, 0, 0, 0, 0, 1]].concat()),
    ];
    for (next, options) in bad {
        dropped(&mut world, &with_options::<F>(&ip, next, &options), DropReason::Malformed);
    }
    // Behind ESP nothing can be read; behind "no next header" there is nothing.
    dropped(&mut world, &with_options::<F>(&ip, 50, &[0; 8]), DropReason::Protocol);
    dropped(&mut world, &with_options::<F>(&ip, 59, &[0; 8]), DropReason::Protocol);
}

/// Parts that are no multiple of eight bytes, empty, or beyond the largest packet.
fn fragments_that_cannot_be<F: Net>() {
    let mut world = World::<F>::new();
    let spec = packet(&mut world, Transport::Udp);
    let ip = spec.ip();
    let head = &ip[..F::MIN_HEADER];
    for (offset, more, len) in
        [(0, true, 13), (64, true, 7), (64, true, 0), (65_528, false, 64), (65_528, true, 8)]
    {
        dropped(&mut world, &part(head, 1, offset, more, &vec![1; len]), DropReason::Malformed);
    }
    // An unserved port is answered as ever: none of this has left a trace.
    let vip = spec.tuple.destination;
    world
        .client(0)
        .to(vip, 81)
        .datagram()
        .expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable);
    assert_eq!(world.flows_by_worker(), [0]);
}
