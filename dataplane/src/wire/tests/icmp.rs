//! ICMP of both families.

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{Icmpv4Type, Icmpv6Type, icmpv6};

use super::*;

/// The message in a packet whose checksum the views agree with.
fn message<F: Family>(bytes: &[u8]) -> IcmpMessage<'_, F> {
    let network = F::parse(bytes).unwrap();
    assert_eq!(network.protocol, F::ICMP);
    let l4 = network.upper_layer(bytes);
    let message = IcmpMessage::<F>::parse(l4).unwrap();
    let sum = F::icmp_sum(F::source(bytes), F::destination(bytes), l4.len() as u32);
    assert!(message.checksum_is_valid(sum));
    assert!(!message.checksum_is_valid(sum.add_u16_be(1)));
    let mut own = l4.to_vec();
    own[2..4].fill(0x55);
    IcmpMessage::<F>::fill_checksum(&mut own, sum);
    assert_eq!(own, l4);
    message
}

#[test]
fn echoes() {
    let bytes = bytes!(packet::<V4>().icmpv4_echo_request(0xabcd, 7), b"ping");
    let request = message::<V4>(&bytes);
    assert_eq!((request.kind(), request.echo_id()), (IcmpKind::EchoRequest, 0xabcd));
    assert_eq!((request.body(), request.quoted()), (&b"ping"[..], &b""[..]));
    let bytes = bytes!(packet::<V4>().icmpv4_echo_reply(1, 2), b"");
    assert_eq!(message::<V4>(&bytes).kind(), IcmpKind::EchoReply);
    let bytes = bytes!(packet::<V6>().icmpv6_echo_request(0xabcd, 7), b"ping");
    let request = message::<V6>(&bytes);
    assert_eq!((request.kind(), request.echo_id()), (IcmpKind::EchoRequest, 0xabcd));
    let bytes = bytes!(packet::<V6>().icmpv6_echo_reply(1, 2), b"");
    assert_eq!(message::<V6>(&bytes).kind(), IcmpKind::EchoReply);
}

#[test]
fn errors_quote_a_packet() {
    let quote = &tcp_packet::<V4>(b"more than is quoted")[..28];
    let too_big = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let bytes = bytes!(packet::<V4>().icmpv4(Icmpv4Type::DestinationUnreachable(too_big)), quote);
    let error = message::<V4>(&bytes);
    assert_eq!(error.kind(), IcmpKind::Error(IcmpError::PacketTooBig { mtu: 1400 }));
    let quoted = V4::parse_quoted(error.quoted()).unwrap();
    assert_eq!(ports(quoted.upper_layer(error.quoted())), Some((40000, 443)));
    assert_eq!(usize::from(quoted.total_len), tcp_packet::<V4>(b"more than is quoted").len());

    let quote = &tcp_packet::<V6>(b"more than is quoted")[..48];
    let bytes = bytes!(packet::<V6>().icmpv6(Icmpv6Type::PacketTooBig { mtu: 1400 }), quote);
    let error = message::<V6>(&bytes);
    assert_eq!(error.kind(), IcmpKind::Error(IcmpError::PacketTooBig { mtu: 1400 }));
    let quoted = V6::parse_quoted(error.quoted()).unwrap();
    assert_eq!(ports(quoted.upper_layer(error.quoted())), Some((40000, 443)));

    let unreachable = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port);
    let bytes = bytes!(packet::<V6>().icmpv6(unreachable), quote);
    assert_eq!(message::<V6>(&bytes).kind(), IcmpKind::Error(IcmpError::Unreachable));
}

/// By the numbers of RFC 792 and RFC 4443.
#[test]
fn kinds_by_number() {
    use IcmpError::{ParameterProblem, SourceQuench, TimeExceeded, Unreachable};
    let kind = |v4: bool, message_type: u8| {
        let l4 = [message_type, 0, 0, 0, 0, 0, 0, 0];
        if v4 { Icmp::parse(&l4).unwrap().kind() } else { Icmpv6::parse(&l4).unwrap().kind() }
    };
    let known = [
        (0, IcmpKind::EchoReply),
        (3, IcmpKind::Error(Unreachable)),
        (4, IcmpKind::Error(SourceQuench)),
        (5, IcmpKind::Redirect),
        (8, IcmpKind::EchoRequest),
        (11, IcmpKind::Error(TimeExceeded)),
        (12, IcmpKind::Error(ParameterProblem)),
    ];
    let known_v6 = [
        (1, IcmpKind::Error(Unreachable)),
        (2, IcmpKind::Error(IcmpError::PacketTooBig { mtu: 0 })),
        (3, IcmpKind::Error(TimeExceeded)),
        (4, IcmpKind::Error(ParameterProblem)),
        (128, IcmpKind::EchoRequest),
        (129, IcmpKind::EchoReply),
        (137, IcmpKind::Redirect),
    ];
    for (v4, known) in [(true, known), (false, known_v6)] {
        for number in 0..=u8::MAX {
            let wanted =
                known.iter().find(|(known, _)| *known == number).map_or(IcmpKind::Other, |(_, kind)| *kind);
            assert_eq!(kind(v4, number), wanted, "type {number}");
        }
    }
    let short = Icmpv6::parse(&[1; 7]).unwrap_err();
    assert_eq!(short, ParseError::Truncated { layer: Layer::Icmpv6, need: 8, have: 7 });
}
