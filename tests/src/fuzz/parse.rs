//! Any bytes, to every parser; what one accepts must be inside of the bytes, and be what `etherparse` reads there too.

use crate::packets::crc32c;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice};
use penstock_dataplane::{
    path::pieces,
    wire::{
        self, Arp, Delta, Ethernet, Family, Icmp, IcmpMessage, Icmpv6, NeighbourAdvertisement,
        NeighbourSolicitation, NetworkHeader, Sctp, Tcp, Udp, V4, V6,
    },
};

/// The bytes as a frame, and as each header by itself.
pub fn parse(data: &[u8]) {
    if let Ok(ethernet) = Ethernet::parse(data) {
        assert_eq!(ethernet.payload(), &data[ethernet.payload_offset()..]);
        assert!(ethernet.payload_offset() == 14 + 4 * ethernet.vlan().len());
        network::<V4>(ethernet.payload());
        network::<V6>(ethernet.payload());
        cut(data, ethernet.payload());
    }
    network::<V4>(data);
    network::<V6>(data);
    transport(data);
    let _ = Arp::parse(data);
}

/// What is cut is a packet, and in all as long as the whole.
fn cut(frame: &[u8], l3: &[u8]) {
    // The path drops packets with options that would have to be cut.
    let Ok(header) = V4::parse(l3) else { return };
    if header.has_options {
        return;
    }
    for mtu in [68, 600, 1500] {
        let mut len = 0;
        pieces(frame, mtu, |head, payload| {
            let piece = [head, payload].concat();
            let is_packet = Ethernet::parse(&piece).map(|piece| V4::parse(piece.payload()).is_ok());
            assert_eq!(is_packet, Ok(true), "a piece that is no packet");
            len += payload.len();
        });
        assert_eq!(len, usize::from(header.upper_len()), "pieces are missing");
    }
}

fn network<F: Family>(l3: &[u8]) {
    if let Ok(header) = F::parse(l3) {
        inside::<F>(&header);
        assert!(usize::from(header.total_len) <= l3.len());
        let l4 = header.upper_layer(l3);
        assert_eq!(l4.len(), usize::from(header.upper_len()));
        as_etherparse_reads::<F>(&header, l3);
        transport(l4);
        changes_are_undone::<F>(l3);
    }
    if let Ok(header) = F::parse_quoted(l3) {
        inside::<F>(&header);
        assert!(header.upper_layer(l3).len() <= usize::from(header.upper_len()));
    }
}

fn inside<F: Family>(header: &NetworkHeader) {
    assert!(usize::from(header.header_len) >= F::MIN_HEADER);
    assert!(header.header_len <= header.total_len);
}

fn as_etherparse_reads<F: Family>(header: &NetworkHeader, l3: &[u8]) {
    if F::ADDR_LEN == 4 {
        let Ok(other) = Ipv4HeaderSlice::from_slice(l3) else { panic!("etherparse refuses it: {l3:02x?}") };
        assert_eq!(other.total_len(), header.total_len);
        assert_eq!(usize::from(other.ihl()) * 4, usize::from(header.header_len));
        assert_eq!((other.ttl(), other.protocol().0), (header.hop_limit, header.protocol.0));
        assert_eq!(other.is_fragmenting_payload(), header.fragment.is_some());
    } else {
        let Ok(other) = Ipv6HeaderSlice::from_slice(l3) else { panic!("etherparse refuses it: {l3:02x?}") };
        assert_eq!(usize::from(other.payload_length()) + 40, usize::from(header.total_len));
        assert_eq!(other.hop_limit(), header.hop_limit);
    }
}

/// Another address and back again leaves no trace, but for the two ways that zero is written in a checksum.
fn changes_are_undone<F: Family>(l3: &[u8]) {
    let mut packet = l3.to_vec();
    let (source, destination) = (F::source(l3), F::destination(l3));
    let sum = F::addr_sum(source);
    let delta = Delta::between(sum, F::addr_sum(F::UNSPECIFIED));
    F::set_source(&mut packet, F::UNSPECIFIED);
    F::apply_header_delta(&mut packet, delta);
    assert!(F::parse(&packet).is_ok(), "the checksum was not repaired");
    F::set_source(&mut packet, source);
    F::apply_header_delta(&mut packet, delta.negate());
    assert!(F::parse(&packet).is_ok(), "the checksum was not repaired");
    if F::hop_limit(l3) > 0 {
        F::translate(&mut packet, source, destination, F::HOP);
        assert!(F::parse(&packet).is_ok(), "the hop broke the checksum");
    }
    F::set_hop_limit(&mut packet, F::hop_limit(l3));
    assert!(F::parse(&packet).is_ok(), "the hop broke the checksum");
    assert_eq!((F::source(&packet), F::destination(&packet)), (source, destination));
}

fn transport(l4: &[u8]) {
    let by_view = Tcp::parse(l4).ok().map(|tcp| (tcp.source_port(), tcp.destination_port(), tcp.flags()));
    let at_once = wire::ports_and_flags(l4, false).map(|tcp| (tcp.source, tcp.destination, tcp.flags));
    assert_eq!(by_view, at_once, "two readers of TCP");
    if let Ok(tcp) = Tcp::parse(l4) {
        let Ok(other) = TcpHeaderSlice::from_slice(l4) else { panic!("etherparse refuses it: {l4:02x?}") };
        assert_eq!(
            (other.source_port(), other.destination_port()),
            (tcp.source_port(), tcp.destination_port())
        );
        assert_eq!(other.slice().len(), tcp.header_len());
        assert_eq!((other.syn(), other.rst()), (tcp.flags().syn(), tcp.flags().rst()));
        let _ = (tcp.options().count(), tcp.mss(), tcp.sequence_len(), tcp.payload().len());
    }
    let by_view = Udp::parse(l4).ok().map(|udp| (udp.source_port(), udp.destination_port()));
    let at_once = wire::ports_and_flags(l4, true).map(|udp| (udp.source, udp.destination));
    assert_eq!(by_view, at_once, "two readers of UDP");
    if let Ok(udp) = Udp::parse(l4) {
        let Ok(other) = UdpHeaderSlice::from_slice(l4) else { panic!("etherparse refuses it: {l4:02x?}") };
        assert_eq!((other.source_port(), other.length()), (udp.source_port(), udp.length()));
        assert!(udp.payload().len() + Udp::LEN == usize::from(udp.length()));
    }
    let _ = Udp::parse_first_fragment(l4);
    if let Ok(sctp) = Sctp::parse(l4) {
        assert!(sctp.chunks().count() <= l4.len() / 4);
        let expected = crc32c(&[&l4[..8], &[0; 4], &l4[12..]].concat());
        assert_eq!(sctp.checksum_is_valid(), sctp.checksum() == expected);
        let mut changed = l4.to_vec();
        Sctp::apply_ports(&mut changed, l4.len(), 1, 2);
        let is_valid = Sctp::parse(&changed).map(|sctp| sctp.checksum_is_valid());
        assert_eq!(is_valid, Ok(sctp.checksum_is_valid()), "a change of ports changed what the CRC says");
    }
    icmp(Icmp::parse(l4).ok());
    icmp(Icmpv6::parse(l4).ok());
    let _ = (NeighbourSolicitation::parse(l4), NeighbourAdvertisement::parse(l4));
}

fn icmp<F: Family>(message: Option<IcmpMessage<'_, F>>) {
    let Some(message) = message else { return };
    let _ = message.kind();
    if let Ok(header) = F::parse_quoted(message.quoted()) {
        inside::<F>(&header);
    }
}
