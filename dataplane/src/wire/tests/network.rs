//! IPv4 and IPv6 headers: what is read, and what is refused and why.

use etherparse::{Ipv6FragmentHeader, Ipv6RawExtHeader};

use super::*;

/// The header in Wikipedia's "IPv4 header checksum" example, padded to its total length.
const KNOWN_V4: [u8; 20] = [
    0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
    0xa8, 0x00, 0xc7,
];

fn known_v4() -> Vec<u8> {
    let mut bytes = KNOWN_V4.to_vec();
    bytes.resize(0x73, 0);
    bytes
}

/// The header of `bytes` with its checksum made right again.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    let header_len = usize::from(bytes[0] & 0x0f) * 4;
    bytes[10..12].fill(0);
    Sum::of(&bytes[..header_len]).checksum().write(&mut bytes, 10);
    bytes
}

#[test]
fn known_v4_header() {
    let bytes = known_v4();
    let expected = NetworkHeader {
        header_len: 20,
        total_len: 0x73,
        protocol: IpProtocol::UDP,
        fragment: None,
        dont_fragment: true,
        has_options: false,
        hop_limit: 64,
    };
    assert_eq!(V4::parse(&bytes), Ok(expected));
    assert_eq!(V4::source(&bytes).to_string(), "192.168.0.1");
    assert_eq!(V4::destination(&bytes).to_string(), "192.168.0.199");
    // Padding is not part of the packet.
    let padded = [&bytes[..], &[0xff; 9]].concat();
    assert_eq!(V4::parse(&padded), Ok(expected));
    assert_eq!(expected.upper_layer(&padded).len(), 0x73 - 20);
}

#[test]
fn v4_defects_are_told_apart() {
    let layer = Layer::Ipv4;
    let with = |at: usize, value: u8| {
        let mut bytes = known_v4();
        bytes[at] = value;
        bytes
    };
    assert_eq!(V4::parse(&known_v4()[..19]), Err(ParseError::Truncated { layer, need: 20, have: 19 }));
    assert_eq!(V4::parse(&with(0, 0x65)), Err(ParseError::BadVersion { layer, found: 6 }));
    assert_eq!(V4::parse(&with(0, 0x44)), Err(ParseError::BadHeaderLength { layer, bytes: 16 }));
    assert_eq!(
        V4::parse(&known_v4()[..114]),
        Err(ParseError::BadTotalLength { layer, stated: 115, have: 114 })
    );
    assert_eq!(V4::parse(&with(3, 19)), Err(ParseError::BadTotalLength { layer, stated: 19, have: 115 }));
    for at in [1, 4, 8, 9, 10, 11, 12, 19] {
        let mut bytes = known_v4();
        bytes[at] ^= 0x10;
        assert_eq!(V4::parse(&bytes), Err(ParseError::BadChecksum { layer }), "byte {at}");
        assert!(V4::parse_quoted(&bytes).is_ok(), "a quote's checksum is not checked");
    }
}

#[test]
// S-203
fn v4_options_are_stepped_over() {
    let IpHeaders::Ipv4(mut header, extensions) = ip_headers(V4::client().into(), V4::vip().into()) else {
        unreachable!()
    };
    header.options = [0x94, 0x04, 0, 0, 1, 1, 1, 0].into();
    let bytes = bytes!(PacketBuilder::ip(IpHeaders::Ipv4(header, extensions)).udp(40000, 53), b"question");
    let network = V4::parse(&bytes).unwrap();
    assert_eq!((network.header_len, network.has_options), (28, true));
    assert_eq!(ports(network.upper_layer(&bytes)), Some((40000, 53)));
    let mut wrong = bytes.clone();
    wrong[24] ^= 1;
    assert_eq!(V4::parse(&wrong), Err(ParseError::BadChecksum { layer: Layer::Ipv4 }));
    wrong.truncate(27);
    assert_eq!(V4::parse_quoted(&wrong), Err(ParseError::BadHeaderLength { layer: Layer::Ipv4, bytes: 28 }));
}

#[test]
fn v4_fragments() {
    let fragment = |flags_offset: u16, len: u8| {
        let mut bytes = known_v4();
        bytes[3] = 20 + len;
        bytes[4..6].copy_from_slice(&[0xab, 0xcd]);
        bytes[6..8].copy_from_slice(&flags_offset.to_be_bytes());
        V4::parse(&repaired(bytes))
    };
    let part = |offset_bytes, more| Some(Fragment { id: 0xabcd, offset_bytes, more });
    assert_eq!(fragment(0x2000, 64).unwrap().fragment, part(0, true));
    assert_eq!(fragment(0x2003, 64).unwrap().fragment, part(24, true));
    assert_eq!(fragment(0x0003, 13).unwrap().fragment, part(24, false));
    assert!(fragment(0x2000, 64).unwrap().has_upper_header());
    assert!(!fragment(0x0003, 13).unwrap().has_upper_header());
    let impossible = Err(ParseError::BadFragment { layer: Layer::Ipv4 });
    assert_eq!(fragment(0x2003, 13), impossible, "a part before the last is a multiple of 8");
    assert_eq!(fragment(0x2003, 0), impossible, "nor is it empty");
    assert_eq!(fragment(0x1fff, 8), impossible, "beyond the largest datagram");
    assert!(fragment(0x1fff, 7).is_ok());
}

/// An IPv6 packet whose upper layer is `extensions` (the first of kind `first`) and a UDP header.
fn v6_with(first: u8, extensions: &[&[u8]]) -> Vec<u8> {
    let plain = udp_packet::<V6>(b"question");
    let middle = extensions.concat();
    let mut bytes = [&plain[..40], &middle, &plain[40..]].concat();
    bytes[4..6].copy_from_slice(&((middle.len() + 16) as u16).to_be_bytes());
    bytes[6] = first;
    bytes
}

#[test]
// S-203
fn v6_extensions_are_stepped_over() {
    let IpHeaders::Ipv6(header, mut extensions) = ip_headers(V6::client().into(), V6::vip().into()) else {
        unreachable!()
    };
    let raw = |len| Ipv6RawExtHeader::new_raw(0.into(), &vec![0; len]).unwrap();
    extensions.hop_by_hop_options = Some(raw(6));
    extensions.destination_options = Some(raw(14));
    extensions.fragment = Some(Ipv6FragmentHeader::new(0.into(), 0.try_into().unwrap(), true, 0xdead_beef));
    let bytes = bytes!(PacketBuilder::ip(IpHeaders::Ipv6(header, extensions)).udp(40000, 53), b"question");
    let network = V6::parse(&bytes).unwrap();
    assert_eq!((network.header_len, network.has_options, network.protocol), (72, true, IpProtocol::UDP));
    assert_eq!(network.fragment, Some(Fragment { id: 0xdead_beef, offset_bytes: 0, more: true }));
    assert_eq!(ports(network.upper_layer(&bytes)), Some((40000, 53)));

    let authenticated =
        v6_with(51, &[&[17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]]);
    assert_eq!(V6::parse(&authenticated).unwrap().header_len, 64);
}

#[test]
fn v6_fragments() {
    let later = v6_with(44, &[&[17, 0, 0x00, 0x19, 0, 0, 0, 7]]);
    let network = V6::parse(&later).unwrap();
    assert_eq!(network.fragment, Some(Fragment { id: 7, offset_bytes: 24, more: true }));
    assert_eq!((network.header_len, network.has_options), (48, false));
    assert!(!network.has_upper_header());
    // Behind a later fragment's header there is data, whatever it says it is.
    let hidden = v6_with(44, &[&[60, 0, 0x00, 0x19, 0, 0, 0, 7]]);
    assert_eq!(V6::parse(&hidden).unwrap().protocol, IpProtocol::DESTINATION_OPTIONS);
    let atomic = v6_with(44, &[&[17, 0, 0, 0, 0, 0, 0, 7]]);
    assert_eq!(V6::parse(&atomic).unwrap().fragment, None);
    let beyond = v6_with(44, &[&[17, 0, 0xff, 0xf8, 0, 0, 0, 7]]);
    assert_eq!(V6::parse(&beyond), Err(ParseError::BadFragment { layer: Layer::Ipv6 }));
}

#[test]
fn v6_chains_that_are_refused() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain = |count: usize| {
        let mut headers = vec![options(60); count];
        *headers.last_mut().unwrap() = options(17);
        let slices: Vec<&[u8]> = headers.iter().map(|header| &header[..]).collect();
        V6::parse(&v6_with(60, &slices))
    };
    assert_eq!(chain(8).unwrap().header_len, 104);
    assert_eq!(chain(9), Err(ParseError::ExtensionChain));
    let hop_by_hop_second = v6_with(60, &[&options(0), &options(17)]);
    assert_eq!(V6::parse(&hop_by_hop_second), Err(ParseError::ExtensionChain));
    let twice = v6_with(44, &[&[44, 0, 0, 1, 0, 0, 0, 7], &[17, 0, 0, 1, 0, 0, 0, 7]]);
    assert_eq!(V6::parse(&twice), Err(ParseError::ExtensionChain));
    let routed = |segments_left| V6::parse(&v6_with(43, &[&[17, 0, 0, segments_left, 0, 0, 0, 0]]));
    assert_eq!(routed(1), Err(ParseError::SourceRoute));
    assert!(routed(0).unwrap().has_options);
    let beyond = v6_with(60, &[&[17, 9, 1, 4, 0, 0, 0, 0]]);
    assert!(matches!(V6::parse(&beyond), Err(ParseError::Truncated { layer: Layer::Ipv6, need: 120, .. })));
    let mut jumbo = v6_with(0, &[&[17, 0, 0xc2, 4, 0, 1, 0, 0]]);
    jumbo[4..6].fill(0);
    assert_eq!(V6::parse(&jumbo), Err(ParseError::Jumbogram));
}

#[test]
fn v6_defects_are_told_apart() {
    let layer = Layer::Ipv6;
    let bytes = udp_packet::<V6>(b"question");
    assert_eq!(V6::parse(&bytes[..39]), Err(ParseError::Truncated { layer, need: 40, have: 39 }));
    assert_eq!(V6::parse(&bytes[..55]), Err(ParseError::BadTotalLength { layer, stated: 56, have: 55 }));
    assert_eq!(V6::parse_quoted(&bytes[..48]).unwrap().total_len, 56);
    let mut other = bytes.clone();
    other[0] = 0x45;
    assert_eq!(V6::parse(&other), Err(ParseError::BadVersion { layer, found: 4 }));
    other[..6].copy_from_slice(&[0x60, 0, 0, 0, 0xff, 0xff]);
    other.resize(70_000, 0);
    let refused = V6::parse(&other);
    assert_eq!(refused, Err(ParseError::BadTotalLength { layer, stated: u16::MAX, have: u16::MAX }));
}

both_families! {
    fn addresses_are_read_and_replaced<F>() {
        let mut bytes = udp_packet::<F>(b"question");
        assert_eq!((F::source(&bytes), F::destination(&bytes)), (F::client(), F::vip()));
        F::set_source(&mut bytes, F::vip());
        F::set_destination(&mut bytes, F::client());
        assert_eq!((F::source(&bytes), F::destination(&bytes)), (F::vip(), F::client()));
        assert_eq!(F::octets(&F::vip()).as_ref().len(), F::ADDR_LEN);
        assert_eq!(F::from_ip(F::to_ip(F::vip())), Some(F::vip()));
    }

    // S-204
    fn hop_limit_goes_down_by_one<F>() {
        let mut bytes = udp_packet::<F>(b"question");
        for left in (0..64).rev() {
            F::decrement_hop_limit(&mut bytes);
            assert_eq!(F::parse(&bytes).unwrap().hop_limit, left);
        }
        F::decrement_hop_limit(&mut bytes);
        assert_eq!(F::parse(&bytes).unwrap().hop_limit, 0);
    }
}

#[test]
fn sources_that_no_machine_has() {
    for address in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255"] {
        assert!(!V4::is_unicast_source(V4::address(address)), "{address}");
    }
    for address in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        assert!(!V6::is_unicast_source(V6::address(address)), "{address}");
    }
    assert!(V4::is_unicast_source(V4::client()) && V6::is_unicast_source(V6::client()));
    assert!(V6::is_unicast_source(V6::address("fe80::1")));
}

#[test]
fn results_fit_in_two_registers() {
    assert_eq!(size_of::<Result<NetworkHeader, ParseError>>(), 16);
    assert!(size_of::<ParseError>() <= 8);
}
