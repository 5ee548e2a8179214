//! TCP and UDP, and the ports that all have in common.

use etherparse::TcpOptionElement;

use super::*;

/// The upper layer of a packet and the sum of its pseudo-header.
fn upper<F: Family>(bytes: &[u8]) -> (&[u8], Sum) {
    let network = F::parse(bytes).unwrap();
    let l4 = network.upper_layer(bytes);
    let sum =
        F::pseudo_header_sum(F::source(bytes), F::destination(bytes), network.protocol, l4.len() as u32);
    (l4, sum)
}

both_families! {
    fn tcp_fields<F>() {
        let bytes = tcp_packet::<F>(b"data");
        let (l4, pseudo_header) = upper::<F>(&bytes);
        let tcp = Tcp::parse(l4).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (40000, 443));
        assert_eq!((tcp.seq(), tcp.ack(), tcp.window()), (0x0102_0304, 0x0a0b_0c0d, 65000));
        assert_eq!(tcp.flags(), TcpFlags::ACK | TcpFlags::PSH);
        assert_eq!((tcp.header_len(), tcp.payload(), tcp.sequence_len()), (20, &b"data"[..], 4));
        assert!(tcp.checksum_is_valid(pseudo_header));
        let mut own = l4.to_vec();
        own[16..18].fill(0x55);
        Tcp::fill_checksum(&mut own, pseudo_header);
        assert_eq!(own, l4);
    }

    fn tcp_options<F>() {
        let options = [
            TcpOptionElement::MaximumSegmentSize(1460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Timestamp(7, 9),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(8),
        ];
        let bytes = bytes!(packet::<F>().tcp(1, 2, 3, 4).syn().options(&options).unwrap(), b"");
        let (l4, pseudo_header) = upper::<F>(&bytes);
        let tcp = Tcp::parse(l4).unwrap();
        let found: Vec<_> = tcp.options().collect();
        assert_eq!(found, [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 7, echo: 9 },
            TcpOption::WindowScale(8),
        ]);
        assert_eq!((tcp.mss(), tcp.header_len(), tcp.sequence_len()), (Some(1460), 40, 1));
        assert!(tcp.checksum_is_valid(pseudo_header));
    }

    fn udp_fields<F>() {
        let bytes = udp_packet::<F>(b"question");
        let (l4, pseudo_header) = upper::<F>(&bytes);
        let udp = Udp::parse(l4).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port(), udp.length()), (40000, 53, 16));
        assert_eq!(udp.payload(), b"question");
        assert!(udp.checksum_is_valid(pseudo_header));
        assert!(!udp.checksum_is_valid(pseudo_header.add_u16_be(1)));
        assert_eq!(udp.require_checksum::<F>(), Ok(()));
        let mut own = l4.to_vec();
        own[6..8].fill(0x55);
        Udp::fill_checksum(&mut own, pseudo_header);
        assert_eq!(own, l4);
    }

    fn ports_are_the_first_four_bytes<F>() {
        let mut bytes = tcp_packet::<F>(b"");
        let at = usize::from(F::parse(&bytes).unwrap().header_len);
        let l4 = &mut bytes[at..];
        assert_eq!(ports(l4), Some((40000, 443)));
        set_ports(l4, 61000, 8443);
        let tcp = Tcp::parse(l4).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (61000, 8443));
        assert_eq!(ports(&l4[..4]), Some((61000, 8443)));
        assert_eq!(ports(&l4[..3]), None);
    }
}

#[test]
fn tcp_header_lengths() {
    let mut l4 = [0; 24];
    for (data_offset, len, fits) in
        [(4, 24, false), (5, 20, true), (6, 24, true), (6, 23, false), (15, 24, false)]
    {
        l4[12] = data_offset << 4;
        assert_eq!(Tcp::parse(&l4[..len]).is_ok(), fits, "{data_offset} in {len}");
    }
    let refused = Tcp::parse(&l4[..19]).unwrap_err();
    assert_eq!(refused, ParseError::Truncated { layer: Layer::Tcp, need: 20, have: 19 });
}

#[test]
fn malformed_options_end_the_list() {
    for options in [[2, 0, 5, 180], [2, 1, 5, 180], [2, 5, 5, 180], [1, 1, 1, 2], [0, 2, 4, 1]] {
        let mut l4 = [0; 24];
        l4[12] = 6 << 4;
        l4[20..].copy_from_slice(&options);
        assert_eq!(Tcp::parse(&l4).unwrap().options().count(), 0, "{options:?}");
    }
}

/// The sets of §6.1 of the rules of Services; ECE, CWR and PSH may go with any.
#[test]
fn legal_flags() {
    let (fin, syn, rst, ack, urg) =
        (TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK, TcpFlags::URG);
    let sets = [syn, syn | urg, syn | ack, rst, rst | ack, fin | ack, fin | ack | urg, ack, ack | urg];
    let free = TcpFlags::ECE | TcpFlags::CWR | TcpFlags::PSH;
    for bits in 0..=u8::MAX {
        let wanted = sets.contains(&TcpFlags(bits & !free.0));
        assert_eq!(TcpFlags(bits).legal(), wanted, "{}", TcpFlags(bits));
    }
    assert_eq!((syn | ack).to_string(), "SYN+ACK");
    assert_eq!(TcpFlags(0).to_string(), "none");
}

#[test]
fn udp_lengths() {
    let mut l4 = [0; 16];
    for (stated, whole, first_fragment) in
        [(7, None, None), (8, Some(0), Some(0)), (16, Some(8), Some(8)), (17, None, Some(8)), (0, None, None)]
    {
        l4[5] = stated;
        assert_eq!(Udp::parse(&l4).ok().map(|udp| udp.payload().len()), whole, "{stated}");
        let first = Udp::parse_first_fragment(&l4).ok().map(|udp| udp.payload().len());
        assert_eq!(first, first_fragment, "{stated}, first fragment");
    }
}

#[test]
// S-199
fn udp_zero_rules() {
    let stored = |l4: &[u8]| Checksum::read(l4, 6).to_be();
    let raise = |by: u16| Delta::between(Sum::zero(), Sum::zero().add_u16_be(by));

    // None stays none, and is refused where the family requires one.
    let mut l4 = [0, 1, 0, 2, 0, 8, 0, 0];
    Udp::apply_checksum(&mut l4, raise(0x1234));
    assert_eq!(stored(&l4), 0);
    let udp = Udp::parse(&l4).unwrap();
    assert_eq!(udp.require_checksum::<V4>(), Ok(()));
    assert_eq!(udp.require_checksum::<V6>(), Err(ParseError::NoChecksum { layer: Layer::Udp }));
    assert!(udp.checksum_is_valid(Sum::zero()));

    // A sum raised by what was stored would be stored as 0.
    Checksum::from_be(0x1234).write(&mut l4, 6);
    Udp::apply_checksum(&mut l4, raise(0x1234));
    assert_eq!(stored(&l4), 0xffff);
    // And the way back is not lost.
    Udp::apply_checksum(&mut l4, raise(0x1234).negate());
    assert_eq!(stored(&l4), 0x1234);

    // A whole datagram that sums to 0xFFFF without its checksum.
    let mut made = [0, 1, 0, 2, 0, 8, 0, 0];
    Udp::fill_checksum(&mut made, Sum::zero().add_u16_be(!11));
    assert_eq!(stored(&made), 0xffff);
}
