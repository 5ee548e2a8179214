//! Ethernet and its tags.

use etherparse::{PacketBuilder, VlanId};

use super::*;

fn ethernet() -> PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2(CLIENT_ETHER.0, GATEWAY_ETHER.0)
}

fn id(number: u16) -> VlanId {
    number.try_into().unwrap()
}

#[test]
fn tags_are_stepped_over() {
    let ip = ip_headers(V4::client().into(), V4::vip().into());
    let single = EtherType::VLAN;
    for (bytes, tags) in [
        (bytes!(ethernet().ip(ip.clone()).udp(1, 2), b"x"), vec![]),
        (bytes!(ethernet().single_vlan(id(7)).ip(ip.clone()).udp(1, 2), b"x"), vec![(single, 7)]),
        (
            bytes!(ethernet().double_vlan(id(100), id(7)).ip(ip).udp(1, 2), b"x"),
            vec![(EtherType::QINQ, 100), (single, 7)],
        ),
    ] {
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!((frame.source(), frame.destination()), (CLIENT_ETHER, GATEWAY_ETHER));
        assert_eq!(frame.ether_type(), EtherType::IPV4);
        assert_eq!(frame.payload_offset(), 14 + 4 * tags.len());
        assert_eq!((frame.vlan().len(), frame.vlan().is_empty()), (tags.len(), tags.is_empty()));
        let found: Vec<_> = frame.vlan().iter().map(|tag| (tag.tpid, tag.id())).collect();
        assert_eq!(found, tags);
        assert!(V4::parse(frame.payload()).is_ok());
        // Every cut inside the header is noticed.
        for len in 0..frame.payload_offset() {
            assert!(matches!(Ethernet::parse(&bytes[..len]), Err(ParseError::Truncated { .. })), "{len}");
        }
    }
}

#[test]
fn a_third_tag_is_refused() {
    let mut frame = vec![0; 12];
    for _ in 0..3 {
        frame.extend([0x81, 0x00, 0x00, 0x05]);
    }
    frame.extend([0x08, 0x00]);
    assert_eq!(Ethernet::parse(&frame).unwrap_err(), ParseError::TooManyTags);
}

#[test]
fn addresses_are_replaced_under_tags() {
    let ip = ip_headers(V6::client().into(), V6::vip().into());
    let mut bytes = bytes!(ethernet().single_vlan(id(7)).ip(ip).udp(1, 2), b"x");
    let before = bytes.clone();
    set_source(&mut bytes, GATEWAY_ETHER);
    set_destination(&mut bytes, CLIENT_ETHER);
    let frame = Ethernet::parse(&bytes).unwrap();
    assert_eq!((frame.source(), frame.destination()), (GATEWAY_ETHER, CLIENT_ETHER));
    assert_eq!(bytes[12..], before[12..]);
}

#[test]
fn addresses_as_text() {
    let address = EtherAddr([0x02, 0x42, 0xac, 0x11, 0, 0x0f]);
    assert_eq!(address.to_string(), "02:42:ac:11:00:0f");
    assert_eq!("02:42:AC:11:00:0f".parse(), Ok(address));
    assert_eq!("02-42-ac-11-00-0f".parse(), Ok(address));
    for wrong in [
        "",
        "02:42:ac:11:00",
        "02:42:ac:11:00:0f:01",
        "2:42:ac:11:0:f",
        "02:42:ac:11:00:+f",
        "02:42:ac:11:00:0g",
    ] {
        assert!(wrong.parse::<EtherAddr>().is_err(), "{wrong}");
    }
    assert!(EtherAddr::BROADCAST.is_multicast() && EtherAddr::BROADCAST.is_broadcast());
    assert!(address.is_unicast() && !EtherAddr::ZERO.is_unicast());
}
