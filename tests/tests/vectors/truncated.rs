//! Packets that end too soon: in the frame, where a header promises more bytes than came, and in the IP packet, where
//! its length is right and a later header finds no room.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Net, Packet, SIGNALS, WEB};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        ethernet(),
        vlan(),
        network(),
        options(),
        extension(),
        upper("truncated-tcp", "A TCP segment that ends within its header.", 20, "malformed", |net| {
            Packet::tcp(net.client(), net.vip(WEB), "S", b"")
        }),
        upper("truncated-udp", "A UDP datagram that ends within its header.", 8, "malformed", |net| {
            Packet::udp(net.client(), net.vip(DNS), b"")
        }),
        upper(
            "truncated-sctp",
            "An SCTP packet that ends within its common header.",
            12,
            "malformed",
            |net| Packet::sctp_init(net.client(), net.vip(SIGNALS)),
        ),
        upper("truncated-icmp", "An ICMP message that ends within its header.", 8, "icmp_malformed", |net| {
            Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"")
        }),
        sctp_chunk(),
        quoted(),
    ]
}

fn ethernet() -> Vector {
    let mut vector = Vector::new(
        "truncated-ethernet",
        "A frame that ends within its Ethernet header, or right behind it.",
    );
    let whole = Packet::tcp(Net::V4.client(), Net::V4.vip(WEB), "S", b"").frame();
    for len in [1, 6, 12, 13, 14] {
        vector.send_frame("malformed", format!("{len} bytes of a frame"), whole[..len].to_vec());
    }
    vector
}

fn vlan() -> Vector {
    let mut vector = Vector::new("truncated-vlan", "A frame that ends within a VLAN tag.");
    let packet = Packet::tcp(Net::V4.client(), Net::V4.vip(WEB), "S", b"");
    let one = packet.clone().tagged(0x8100, 5).frame();
    for len in [14, 15, 16, 17] {
        vector.send_frame("malformed", format!("{len} bytes of a frame with a tag"), one[..len].to_vec());
    }
    let two = packet.tagged(0x88a8, 5).tagged(0x8100, 6).frame();
    for len in [18, 20, 21] {
        vector.send_frame("malformed", format!("{len} bytes of a frame with two tags"), two[..len].to_vec());
    }
    vector
}

fn network() -> Vector {
    Vector::of_both("truncated-ip", "A packet that ends within its IP header.", |vector, net| {
        let packet = Packet::tcp(net.client(), net.vip(WEB), "S", b"");
        for len in [0, 1, 8, packet.l4 - 1] {
            vector.send("malformed", format!("{len} bytes of the packet"), &packet.clone().cut(len));
        }
    })
}

fn options() -> Vector {
    let mut vector = Vector::new("truncated-ipv4-options", "An IPv4 packet that ends within its options.");
    let packet = Packet::tcp(Net::V4.client(), Net::V4.vip(WEB), "S", b"").with_options(0, &[1; 8]);
    for len in [20, 21, 27] {
        vector.send("malformed", format!("{len} bytes of 28"), &packet.clone().cut(len));
        let short = packet.clone().cut(len).fix_length();
        vector.send("malformed", format!("{len} bytes of 28, and so it says"), &short);
    }
    vector
}

fn extension() -> Vector {
    let mut vector =
        Vector::new("truncated-ipv6-extension", "An IPv6 packet that ends within an extension header.");
    let packet = Packet::udp(Net::V6.client(), Net::V6.vip(DNS), b"");
    for (name, kind) in [
        ("hop-by-hop options", 0),
        ("routing", 43),
        ("fragment", 44),
        ("authentication", 51),
        ("destination options", 60),
    ] {
        let packet = packet.clone().with_options(kind, &[17, 0, 0, 0, 0, 0, 0, 0]);
        for len in [40, 41, 47] {
            let short = packet.clone().cut(len).fix_length();
            vector.send("malformed", format!("{} bytes of a {name} header", len - 40), &short);
        }
    }
    let long = packet.with_options(60, &[17, 2, 1, 12, 0, 0, 0, 0]);
    vector.send("malformed", "a destination options header of 24 bytes, 16 there", &long);
    vector
}

fn upper(
    name: &'static str,
    about: &'static str,
    header: usize,
    verdict: &'static str,
    packet: impl Fn(&Net) -> Packet,
) -> Vector {
    Vector::of_both(name, about, |vector, net| {
        let packet = packet(net);
        for len in [0, 1, 3, 4, header - 1] {
            let at = packet.l4 + len;
            vector.send("malformed", format!("cut to {len} bytes of header"), &packet.clone().cut(at));
            let short = packet.clone().cut_l4(len).seal();
            vector.send(verdict, format!("{len} bytes of header, and so IP says"), &short);
        }
    })
}

fn sctp_chunk() -> Vector {
    let about = "An SCTP packet whose first chunk is missing, or ends within its header or before its end.";
    Vector::of_both("truncated-sctp-chunk", about, |vector, net| {
        let init = Packet::sctp_init(net.client(), net.vip(SIGNALS));
        for len in [0, 3, 4, 19] {
            let short = init.clone().cut_l4(12 + len).seal();
            vector.send("sctp_invalid", format!("INIT with {len} of its 20 bytes"), &short);
        }
    })
}

fn quoted() -> Vector {
    let about =
        "ICMP errors that quote too little of a packet, after a flow was opened that they might be about.";
    Vector::of_both("truncated-quoted-packet", about, |vector, net| {
        vector.send("flows_opened", "query", &Packet::udp(net.client(), net.vip(DNS), b"query"));
        let sent = Packet::udp(net.gateway(DNS), net.backend(DNS), b"query");
        let error = |most| sent.error_about(net.router_ip, net.gateway_ip, IcmpType::PortUnreachable, most);
        for most in [0, 1, sent.l4 - 1, sent.l4, sent.l4 + 3] {
            vector.send("icmp_malformed", format!("error that quotes {most} bytes"), &error(most));
        }
        for most in [4, 7, 8] {
            let label = format!("error that quotes the header and {most} bytes");
            vector.send("forwarded", label, &error(sent.l4 + most));
        }
    })
}
