//! Whatever bytes come, no parser, accessor or iterator panics.

use proptest::prelude::*;

use super::*;

/// Calls everything that can be called on bytes of unknown content.
fn read_all(bytes: &[u8]) {
    if let Ok(frame) = Ethernet::parse(bytes) {
        let _ = (frame.source(), frame.destination(), frame.vlan(), frame.ether_type());
        assert_eq!(frame.payload().len() + frame.payload_offset(), bytes.len());
        read_network(frame.payload());
    }
    read_network(bytes);
    read_upper(bytes);
}

fn read_network(l3: &[u8]) {
    let _ = Arp::parse(l3);
    read_family::<V4>(l3);
    read_family::<V6>(l3);
}

fn read_family<F: Family>(l3: &[u8]) {
    if let Ok(network) = F::parse(l3) {
        assert!(usize::from(network.header_len) >= F::MIN_HEADER);
        assert!(network.header_len <= network.total_len && usize::from(network.total_len) <= l3.len());
        assert_eq!(F::parse_quoted(l3), Ok(network));
        let upper = network.upper_layer(l3);
        assert_eq!(upper.len(), usize::from(network.upper_len()));
        read_upper(upper);
        let mut rewritten = l3.to_vec();
        F::set_source(&mut rewritten, F::destination(l3));
        F::set_destination(&mut rewritten, F::source(l3));
        F::decrement_hop_limit(&mut rewritten);
        // Exchanging the addresses leaves the sum as it was, and the hop repairs it.
        assert!(F::parse(&rewritten).is_ok());
        assert_eq!(F::hop_limit(&rewritten), network.hop_limit.saturating_sub(1));
    }
    if let Ok(network) = F::parse_quoted(l3) {
        read_upper(network.upper_layer(l3));
    }
}

fn read_upper(l4: &[u8]) {
    let _ = ports(l4);
    if let Ok(tcp) = Tcp::parse(l4) {
        assert_eq!(tcp.header_len() + tcp.payload().len(), l4.len());
        assert!(tcp.options().count() <= 40);
        let _ = (tcp.mss(), tcp.flags().legal(), tcp.sequence_len(), tcp.flags().to_string());
    }
    if let Ok(udp) = Udp::parse(l4) {
        assert_eq!(usize::from(udp.length()), Udp::LEN + udp.payload().len());
    }
    let _ = Udp::parse_first_fragment(l4).map(|udp| udp.payload().len());
    if let Ok(sctp) = Sctp::parse(l4) {
        assert!(sctp.chunks().count() <= l4.len() / 4);
        let _ = sctp.checksum_is_valid();
    }
    let _ = Icmp::parse(l4).map(|icmp| (icmp.kind(), icmp.quoted().len()));
    let _ = Icmpv6::parse(l4).map(|icmp| (icmp.kind(), icmp.quoted().len()));
    let _ = (NeighbourSolicitation::parse(l4), NeighbourAdvertisement::parse(l4));
    let mut quote = l4.to_vec();
    Tcp::apply_checksum(&mut quote, Delta::NONE);
    Udp::apply_checksum(&mut quote, Delta::NONE);
    Icmp::apply_checksum(&mut quote, Delta::NONE);
    assert_eq!(quote, l4);
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// Bytes that say 4 or 6 and a header length, so that the parsers get further.
    #[test]
    fn arbitrary_headers(
        mut bytes in prop::collection::vec(any::<u8>(), 1..200),
        version in prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60]),
        next in prop::sample::select(vec![0u8, 6, 17, 43, 44, 51, 58, 60, 132]),
    ) {
        bytes[0] = version;
        if let Some(protocol) = bytes.get_mut(6) {
            *protocol = next;
        }
        if let [_, _, total_high, total_low, v6_high, v6_low, ..] = &mut bytes[..] {
            (*total_high, *v6_high) = (0, 0);
            (*total_low, *v6_low) = (*total_low % 200, *v6_low % 160);
        }
        read_all(&bytes);
    }

    /// Real packets with a few bytes changed, or cut off.
    #[test]
    fn damaged_packets(
        damage in prop::collection::vec((0usize..90, any::<u8>()), 0..4),
        keep in 0usize..140,
        which in 0usize..4,
    ) {
        let mut bytes = match which {
            0 => udp_packet::<V4>(b"a question"),
            1 => tcp_packet::<V4>(b"some data"),
            2 => udp_packet::<V6>(b"a question"),
            _ => tcp_packet::<V6>(b"some data"),
        };
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(keep);
        read_all(&bytes);
    }

    /// Chains of extension headers of any kind, order and length.
    #[test]
    fn arbitrary_extension_chains(
        kinds in prop::collection::vec(prop::sample::select(vec![0u8, 43, 44, 51, 60]), 0..12),
        body in prop::collection::vec(any::<u8>(), 0..300),
        keep in 0usize..340,
    ) {
        let mut bytes = udp_packet::<V6>(&body);
        let mut at = (6, 40);
        for kind in kinds {
            bytes[at.0] = kind;
            if at.1 + 2 > bytes.len() {
                break;
            }
            bytes[at.1 + 1] %= 3;
            at = (at.1, at.1 + 8 * (1 + usize::from(bytes[at.1 + 1])));
        }
        bytes.truncate(keep);
        read_all(&bytes);
    }
}
