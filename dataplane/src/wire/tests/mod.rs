//! Tests of the views together. Packets are built by `etherparse`, which shares no code with the views and so is the
//! oracle of what they read and of every checksum they repair.

mod robustness;
mod link;
mod network;
mod transport;
mod icmp;
mod translation;

use std::net::IpAddr;

use etherparse::{IpHeaders, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder, PacketBuilderStep};

use super::*;

const CLIENT_ETHER: EtherAddr = EtherAddr([0x02, 0, 0, 0, 0, 0x01]);
const GATEWAY_ETHER: EtherAddr = EtherAddr([0x02, 0, 0, 0, 0, 0x02]);

/// A family with three addresses to send from and to.
trait Addresses: Family {
    const CLIENT: &'static str;
    const VIP: &'static str;
    const BACKEND: &'static str;

    fn address(text: &str) -> Self::Addr {
        Self::from_ip(text.parse().unwrap()).unwrap()
    }

    fn client() -> Self::Addr {
        Self::address(Self::CLIENT)
    }

    fn vip() -> Self::Addr {
        Self::address(Self::VIP)
    }
}

impl Addresses for V4 {
    const CLIENT: &'static str = "198.51.100.7";
    const VIP: &'static str = "203.0.113.80";
    const BACKEND: &'static str = "10.244.1.23";
}

impl Addresses for V6 {
    const CLIENT: &'static str = "2001:db8:c::7";
    const VIP: &'static str = "2001:db8:ffff::80";
    const BACKEND: &'static str = "fd00:10:244:1::23";
}

/// The IP headers of a packet from `source` to `destination`.
fn ip_headers(source: IpAddr, destination: IpAddr) -> IpHeaders {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = Ipv4Header::new(0, 64, 0.into(), source.octets(), destination.octets()).unwrap();
            IpHeaders::Ipv4(header, Default::default())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: 0,
                next_header: 0.into(),
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
            };
            IpHeaders::Ipv6(header, Default::default())
        }
        _ => panic!("a packet has one family"),
    }
}

/// A packet from the client to the VIP, to be given an upper layer.
fn packet<F: Addresses>() -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ip(ip_headers(F::client().into(), F::vip().into()))
}

/// Writes a packet that `PacketBuilder` has been told.
macro_rules! bytes {
    ($builder:expr, $payload:expr) => {{
        let mut bytes = Vec::new();
        $builder.write(&mut bytes, $payload).unwrap();
        bytes
    }};
}
use bytes;

fn udp_packet<F: Addresses>(payload: &[u8]) -> Vec<u8> {
    bytes!(packet::<F>().udp(40000, 53), payload)
}

fn tcp_packet<F: Addresses>(payload: &[u8]) -> Vec<u8> {
    bytes!(packet::<F>().tcp(40000, 443, 0x0102_0304, 65000).ack(0x0a0b_0c0d).psh(), payload)
}

/// Makes each test body run for both families.
macro_rules! both_families {
    ($($(#[$attribute:meta])* fn $name:ident<F>() $body:block)*) => {
        mod v4 {
            $($(#[$attribute])* #[test] fn $name() { super::$name::<crate::wire::V4>() })*
        }
        mod v6 {
            $($(#[$attribute])* #[test] fn $name() { super::$name::<crate::wire::V6>() })*
        }
        $(fn $name<F: crate::wire::tests::Addresses>() $body)*
    };
}
use both_families;
