//! Headers in unusual number or order: tags, options, extension headers, protocols.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, Net, Packet, SIGNALS, WEB, chunk};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        tags(),
        not_ip(),
        protocols(),
        ipv4_options(),
        extensions_taken(),
        too_many_extensions(),
        extensions_out_of_place(),
        source_route(),
        behind_extensions(),
        tcp_flags(),
        sctp_chunks(),
    ]
}

fn datagram(net: &Net) -> Packet {
    Packet::udp(net.client(), net.vip(DNS), b"query")
}

/// An extension header of eight bytes, followed by one of this kind.
fn extension(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

fn tags() -> Vector {
    let about = "VLAN tags: one, two (802.1Q twice, 802.1ad), none on the way to the backend, and back on the answer; a \
                 third is too many.";
    Vector::of_both("vlan-tags", about, |vector, net| {
        let answer = Packet::udp(net.backend(DNS), net.gateway(DNS), b"answer");
        vector.send("flows_opened", "query in VLAN 5", &datagram(net).tagged(0x8100, 5));
        vector.send("forwarded", "answer", &answer);
        vector.send("forwarded", "query, priority 3 and no VLAN", &datagram(net).tagged(0x8100, 0x6000));
        vector.send("forwarded", "answer", &answer);
        vector.send(
            "forwarded",
            "query in VLANs 5 and 6",
            &datagram(net).tagged(0x8100, 5).tagged(0x8100, 6),
        );
        vector.send("forwarded", "answer", &answer);
        let two = datagram(net).tagged(0x88a8, 5).tagged(0x8100, 6);
        vector.send("forwarded", "query in service VLAN 5 and VLAN 6", &two);
        vector.send("forwarded", "answer", &answer);
        vector.send("malformed", "query in three VLANs", &two.tagged(0x8100, 7));
    })
}

fn not_ip() -> Vector {
    let mut vector = Vector::new("not-ip", "Frames that carry something else.");
    let others = [
        (0x0806, "ARP"),
        (0x88cc, "LLDP"),
        (0x8863, "PPPoE"),
        (0x8847, "MPLS"),
        (0x002e, "802.3, by length"),
    ];
    for (ether_type, name) in others {
        let mut packet = datagram(&Net::V4);
        packet.ether_type = ether_type;
        vector.send_frame("not_ip", name, packet.frame());
    }
    vector
}

fn protocols() -> Vector {
    let about = "Protocols that no Service has.";
    Vector::of_both("ip-protocols", about, |vector, net| {
        let other = if net.is_v4() { (58, "ICMPv6") } else { (1, "ICMP for IPv4") };
        let all = [
            (2, "IGMP"),
            (4, "IP in IP"),
            (41, "IPv6 in IP"),
            (47, "GRE"),
            (115, "L2TP"),
            (255, "reserved"),
            other,
        ];
        for (protocol, name) in all {
            vector.send("protocol", name, &Packet::of(net.client_ip, net.vip, protocol, &[0x45; 40]));
        }
    })
}

fn ipv4_options() -> Vector {
    let mut vector = Vector::new("ipv4-options", "IPv4 options are stepped over and kept.");
    for (name, options) in [
        ("no-operation", [1, 1, 1, 0]),
        ("router alert", [0x94, 4, 0, 0]),
        ("a length that lies within them", [7, 200, 0, 0]),
    ] {
        vector.send("forwarded", name, &datagram(&Net::V4).with_options(0, &options));
    }
    vector.send("forwarded", "40 bytes of them", &datagram(&Net::V4).with_options(0, &[1; 40]));
    vector
}

fn extensions_taken() -> Vector {
    let about = "IPv6 extension headers that are stepped over and kept, up to eight of them.";
    let mut vector = Vector::new("ipv6-extensions", about);
    let mut send = |name, first, bytes: &[u8]| {
        vector.send("forwarded", name, &datagram(&Net::V6).with_options(first, bytes));
    };
    send("hop-by-hop options", 0, &extension(17));
    send("destination options", 60, &extension(17));
    send("a routing header with nowhere left to go", 43, &[17, 0, 4, 0, 0, 0, 0, 0]);
    send("an authentication header", 51, &[17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    send(
        "hop-by-hop, routing and destination options",
        0,
        &[extension(43), [60, 0, 4, 0, 0, 0, 0, 0], extension(17)].concat(),
    );
    send("destination options twice", 60, &[extension(60), extension(17)].concat());
    send("routing headers twice", 43, &[[43, 0, 4, 0, 0, 0, 0, 0], [17, 0, 4, 0, 0, 0, 0, 0]].concat());
    send("eight destination options", 60, &[extension(60).repeat(7), extension(17).to_vec()].concat());
    vector
}

fn too_many_extensions() -> Vector {
    let mut vector = Vector::new("ipv6-extensions-too-many", "More than eight extension headers.");
    for count in [9, 20, 100] {
        let chain = [extension(60).repeat(count - 1), extension(17).to_vec()].concat();
        let label = format!("{count} destination options");
        vector.send("malformed", label, &datagram(&Net::V6).with_options(60, &chain));
    }
    vector
}

fn extensions_out_of_place() -> Vector {
    let about = "Hop-by-hop options that are not first, and a second fragment header.";
    let mut vector = Vector::new("ipv6-extensions-out-of-place", about);
    let mut send = |name, first, bytes: &[u8]| {
        vector.send("malformed", name, &datagram(&Net::V6).with_options(first, bytes));
    };
    send("hop-by-hop options behind destination options", 60, &[extension(0), extension(17)].concat());
    send("hop-by-hop options twice", 0, &[extension(0), extension(17)].concat());
    let fragment = |next| [next, 0, 0, 0, 0, 0, 0, 1];
    send("fragment headers twice", 44, &[fragment(44), fragment(17)].concat());
    vector
}

fn source_route() -> Vector {
    let about = "IPv6 routing headers with a way still to go: the VIP is not where the packet ends.";
    let mut vector = Vector::new("ipv6-source-route", about);
    for (name, kind) in [("type 0", 0), ("type 4, segment routing", 4), ("type 253", 253)] {
        let header = [&[17, 2, kind, 1, 0, 0, 0, 0][..], &[0xfd; 16]].concat();
        vector.send("malformed", name, &datagram(&Net::V6).with_options(43, &header));
    }
    vector
}

fn behind_extensions() -> Vector {
    let about = "IPv6 headers behind which nothing can be read.";
    let mut vector = Vector::new("ipv6-extensions-unknown", about);
    let kinds = [
        (50, "ESP"),
        (59, "no next header"),
        (135, "mobility"),
        (139, "host identity"),
        (253, "experimental"),
    ];
    for (kind, name) in kinds {
        vector.send("protocol", name, &datagram(&Net::V6).with_options(kind, &extension(17)));
        let chain = [extension(kind), extension(17)].concat();
        let label = format!("{name} behind destination options");
        vector.send("protocol", label, &datagram(&Net::V6).with_options(60, &chain));
    }
    vector
}

fn tcp_flags() -> Vector {
    let about = "TCP flags that no segment has, and segments that open no connection.";
    Vector::of_both("tcp-flags", about, |vector, net| {
        for flags in ["", "SF", "SR", "FR", "SFRAPU", "F", "PU", "FPU", "SA", "RA", "R"] {
            let name = if flags.is_empty() { "none" } else { flags };
            let segment = Packet::tcp(net.client(), net.vip(WEB), flags, b"");
            vector.send("tcp_invalid", format!("flags {name}"), &segment);
        }
    })
}

fn sctp_chunks() -> Vector {
    let about = "SCTP packets that open no association, or have a verification tag that they must not have.";
    Vector::of_both("sctp-chunks", about, |vector, net| {
        let mut send = |name, tag, chunks: &[Vec<u8>]| {
            let packet = Packet::sctp(net.client(), net.vip(SIGNALS), tag, chunks);
            vector.send("sctp_invalid", name, &packet);
        };
        let init = chunk(1, &[1; 16]);
        send("INIT with a tag", 9, std::slice::from_ref(&init));
        send("INIT and DATA", 0, &[init, chunk(0, &[0; 16])]);
        send("DATA without a tag", 0, &[chunk(0, &[0; 16])]);
        send("INIT ACK", 9, &[chunk(2, &[1; 16])]);
        send("COOKIE ACK", 9, &[chunk(11, b"")]);
        send("ABORT", 9, &[chunk(6, b"")]);
        send("SHUTDOWN COMPLETE", 9, &[chunk(14, b"")]);
        send("no chunk", 9, &[]);
    })
}
