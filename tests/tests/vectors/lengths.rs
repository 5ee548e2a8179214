//! Lengths that lie.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, Net, Packet, SIGNALS, WEB, chunk};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        total_length(),
        header_length(),
        version(),
        payload_length(),
        udp_length(),
        data_offset(),
        chunk_length(),
        padding(),
    ]
}

fn syn(net: &Net) -> Packet {
    Packet::tcp(net.client(), net.vip(WEB), "S", b"")
}

fn total_length() -> Vector {
    let about = "IPv4 packets that are not as long as they state.";
    let mut vector = Vector::new("ipv4-total-length", about);
    let packet = syn(&Net::V4);
    for len in [0, 19, 20, 39, 41, 65_535] {
        let lying = packet.clone().state_length(len);
        vector.send("malformed", format!("40 bytes that call themselves {len}"), &lying);
    }
    vector
}

fn header_length() -> Vector {
    let mut vector =
        Vector::new("ipv4-header-length", "IPv4 header lengths that cannot be, or leave no segment.");
    for words in [0u8, 4, 6, 10, 11, 15] {
        let lying = syn(&Net::V4).put(0, &[0x40 | words]).fix_header();
        vector.send("malformed", format!("a header of {words} words"), &lying);
    }
    vector
}

fn version() -> Vector {
    Vector::of_both("ip-version", "IP headers of another version than the frame says.", |vector, net| {
        let first = if net.is_v4() { [0x05, 0x55, 0x65, 0xf5] } else { [0x00, 0x40, 0x50, 0xf0] };
        for first in first {
            let label = format!("a first byte of {first:#04x}");
            vector.send("malformed", label, &syn(net).put(0, &[first]).fix_header());
        }
    })
}

fn payload_length() -> Vector {
    let about = "IPv6 packets that are not as long as they state; a length of 0 is a jumbogram's.";
    let mut vector = Vector::new("ipv6-payload-length", about);
    let packet = syn(&Net::V6);
    for len in [0, 1, 19, 21, 65_495, 65_535] {
        let lying = packet.clone().put(4, &(len as u16).to_be_bytes());
        vector.send("malformed", format!("20 bytes of payload that call themselves {len}"), &lying);
    }
    let jumbo = [6, 0, 0xc2, 4, 0, 0, 0, 28];
    let packet = packet.with_options(0, &jumbo).put(4, &[0, 0]);
    vector.send("malformed", "a jumbo payload option", &packet);
    vector
}

fn udp_length() -> Vector {
    let about = "UDP lengths: too short for the header, longer than the packet (0 is a jumbogram's), or shorter, which is \
                 allowed.";
    Vector::of_both("udp-length", about, |vector, net| {
        let packet = Packet::udp(net.client(), net.vip(DNS), b"query");
        for len in [0u16, 1, 7, 14, 65_535] {
            let lying = packet.clone().put_l4(4, &len.to_be_bytes());
            vector.send("malformed", format!("13 bytes that call themselves {len}"), &lying);
        }
        let mut trailing = packet;
        trailing.ip.extend(b"more");
        vector.send("forwarded", "13 bytes, and 4 behind them that are IP's", &trailing.fix_length());
    })
}

fn data_offset() -> Vector {
    Vector::of_both("tcp-data-offset", "TCP header lengths that cannot be.", |vector, net| {
        for words in [0u8, 4, 6, 15] {
            let lying = syn(net).put_l4(12, &[words << 4]).seal();
            vector.send("malformed", format!("20 bytes with a header of {words} words"), &lying);
        }
    })
}

fn chunk_length() -> Vector {
    let about = "SCTP chunks that are not as long as they state: the first one says what the packet means.";
    Vector::of_both("sctp-chunk-length", about, |vector, net| {
        for len in [0u16, 3, 21, 65_535] {
            let packet = Packet::sctp_init(net.client(), net.vip(SIGNALS));
            let lying = packet.put_l4(14, &len.to_be_bytes()).seal();
            vector.send("sctp_invalid", format!("an INIT of 20 bytes that calls itself {len}"), &lying);
        }
        let second = [chunk(10, b"cookie"), vec![0, 3, 0xff, 0xff]];
        let packet = Packet::sctp(net.client(), net.vip(SIGNALS), 9, &second);
        vector.send("forwarded", "COOKIE ECHO, and a DATA that is too long: the peer's to see", &packet);
    })
}

fn padding() -> Vector {
    let about = "Short packets, padded to the least length of an Ethernet frame: not part of the packet.";
    Vector::of_both("ethernet-padding", about, |vector, net| {
        let mut padded = syn(net);
        padded.ip.resize(padded.ip.len() + 18, 0x55);
        vector.send("forwarded", "SYN with 18 bytes of padding", &padded);
    })
}
