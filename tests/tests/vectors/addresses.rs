//! Addresses that a packet cannot have, or that would make packets go round.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Net, Packet, SIGNALS, WEB};
use std::net::{IpAddr, SocketAddr};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![martians(), land(), vip_as_source(), not_ours(), group_frames(), group_sources(), reserved()]
}

/// A packet of each protocol.
fn each(from: IpAddr, port: u16, to: &Net) -> [(&'static str, Packet); 4] {
    let from: SocketAddr = (from, port).into();
    [
        ("TCP", Packet::tcp(from, to.vip(WEB), "S", b"")),
        ("UDP", Packet::udp(from, to.vip(DNS), b"query")),
        ("SCTP", Packet::sctp_init(from, to.vip(SIGNALS))),
        ("UDP, a later fragment", Packet::udp(from, to.vip(DNS), &[0; 24]).fragment(1, 16, 32, false)),
    ]
}

fn martians() -> Vector {
    let about =
        "Sources that no host has: unspecified, this network, loopback, multicast, broadcast, IPv4-mapped.";
    Vector::of_both("martians", about, |vector, net| {
        let sources: &[&str] = match net.is_v4() {
            true => &[
                "0.0.0.0",
                "0.1.2.3",
                "127.0.0.1",
                "127.255.0.9",
                "224.0.0.1",
                "239.1.2.3",
                "255.255.255.255",
            ],
            false => &["::", "::1", "ff00::", "ff02::1", "::ffff:198.51.100.7"],
        };
        for source in sources {
            for (name, packet) in each(source.parse().unwrap(), 40_000, net) {
                vector.send("martian", format!("{name} from {source}"), &packet);
            }
            let ping = Packet::icmp(source.parse().unwrap(), net.vip, IcmpType::EchoRequest, b"ping");
            vector.send("martian", format!("echo request from {source}"), &ping);
        }
    })
}

fn land() -> Vector {
    let about = "Packets from their own destination, address and port, served or not.";
    Vector::of_both("land", about, |vector, net| {
        let pairs = [
            ("TCP", Packet::tcp(net.vip(WEB), net.vip(WEB), "S", b"")),
            ("UDP", Packet::udp(net.vip(DNS), net.vip(DNS), b"query")),
            ("SCTP", Packet::sctp_init(net.vip(SIGNALS), net.vip(SIGNALS))),
            (
                "TCP to a port that nobody serves",
                Packet::tcp((net.vip, 81).into(), (net.vip, 81).into(), "S", b""),
            ),
            (
                "UDP to a port that nobody serves",
                Packet::udp((net.vip, 81).into(), (net.vip, 81).into(), b""),
            ),
        ];
        for (name, packet) in pairs {
            vector.send("martian", name, &packet);
        }
        let ping = Packet::icmp(net.vip, net.vip, IcmpType::EchoRequest, b"ping");
        vector.send("martian", "echo request", &ping);
    })
}

fn vip_as_source() -> Vector {
    let about = "From a VIP: where the port is served, two Services would answer each other for ever; from other ports it \
                 may be a node whose address it is.";
    Vector::of_both("source-is-vip", about, |vector, net| {
        for (name, source) in [("load-balancer IP", net.vip), ("cluster IP", net.cluster_ip)] {
            let ends = |port: (u16, u16)| ((source, port.0).into(), net.vip(port));
            // Where both are one address and port, that is LAND.
            if source != net.vip {
                let (from, to) = ends(WEB);
                vector.send("martian", format!("TCP, {name}"), &Packet::tcp(from, to, "S", b""));
                let (from, to) = ends(DNS);
                vector.send("martian", format!("UDP, {name}"), &Packet::udp(from, to, b"query"));
                let (from, to) = ends(SIGNALS);
                vector.send("martian", format!("SCTP, {name}"), &Packet::sctp_init(from, to));
            }
            let from = (source, WEB.0).into();
            let label = format!("TCP to a port that nobody serves, {name}");
            vector.send("martian", label, &Packet::tcp(from, (net.vip, 81).into(), "S", b""));
        }
        let other = Packet::tcp((net.vip, 40_000).into(), net.vip(WEB), "S", b"");
        vector.send("flows_opened", "TCP, another port of the load-balancer IP", &other);
    })
}

fn not_ours() -> Vector {
    let about = "Destinations that are no Service's go back to the kernel, whatever they are.";
    Vector::of_both("destination-not-ours", about, |vector, net| {
        let loopback = if net.is_v4() { "127.0.0.1" } else { "::1" };
        let multicast = if net.is_v4() { "224.0.0.251" } else { "ff02::fb" };
        let all = [
            ("a stranger", net.stranger_ip.to_string()),
            ("loopback", loopback.into()),
            ("multicast", multicast.into()),
        ];
        for (name, to) in all {
            let to: IpAddr = to.parse().unwrap();
            vector.send(
                "passed",
                format!("TCP to {name}"),
                &Packet::tcp(net.client(), (to, 80).into(), "S", b""),
            );
            vector.send(
                "passed",
                format!("UDP to {name}"),
                &Packet::udp(net.client(), (to, 53).into(), b"query"),
            );
            let ping = Packet::icmp(net.client_ip, to, IcmpType::EchoRequest, b"ping");
            vector.send("passed", format!("echo request to {name}"), &ping);
        }
        let stray = Packet::tcp(net.backend(WEB), net.gateway(WEB), "A", b"");
        vector.send("no_service", "a stray answer to a port that flows are masqueraded with", &stray);
    })
}

fn group_frames() -> Vector {
    let about = "Frames to a group: served as any, but never answered (RFC 1122, 3.2.2).";
    Vector::of_both("group-frames", about, |vector, net| {
        let to_all = |mut packet: Packet| {
            packet.destination_mac = [0xff; 6];
            packet
        };
        let unserved = |port| (net.vip, port).into();
        vector.send("flows_opened", "datagram", &to_all(Packet::udp(net.client(), net.vip(DNS), b"query")));
        let udp = Packet::udp(net.client(), unserved(81), b"");
        vector.send("reply_forbidden", "UDP to a port that nobody serves", &to_all(udp));
        let tcp = Packet::tcp(net.client(), unserved(81), "S", b"");
        vector.send("reply_forbidden", "TCP to a port that nobody serves", &to_all(tcp));
        let ping = Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"ping");
        vector.send("reply_forbidden", "echo request", &to_all(ping));
    })
}

fn group_sources() -> Vector {
    let about =
        "Frames from a group's link address, which no interface has: answers would go to all of the group.";
    Vector::of_both("group-sources", about, |vector, net| {
        let from_group = |mut packet: Packet| {
            packet.source_mac = [1, 0, 0x5e, 0, 0, 1];
            packet
        };
        let unserved = (net.vip, 81).into();
        let query = Packet::udp(net.client(), net.vip(DNS), b"query");
        vector.send("martian", "datagram", &from_group(query.clone()));
        vector.send(
            "martian",
            "UDP to a port that nobody serves",
            &from_group(Packet::udp(net.client(), unserved, b"")),
        );
        vector.send("martian", "TCP to a port that nobody serves", &{
            from_group(Packet::tcp(net.client(), unserved, "S", b""))
        });
        let ping = Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"ping");
        vector.send("martian", "echo request", &from_group(ping));
        vector.send("flows_opened", "datagram from a host", &query);
        vector.send("reply_forbidden", "of that flow, without a hop left", &from_group(query.hops(1)));
    })
}

fn reserved() -> Vector {
    let about =
        "Sources that are unusual, but hosts may have: class E, link-local, unique local, documentation.";
    Vector::of_both("unusual-sources", about, |vector, net| {
        let sources: &[&str] = match net.is_v4() {
            true => &["240.0.0.1", "169.254.1.1", "100.64.0.1", "192.0.0.1"],
            false => &["fe80::7", "fd12::7", "3fff::7", "64:ff9b::c000:221"],
        };
        for source in sources {
            let from = (source.parse::<IpAddr>().unwrap(), 40_000).into();
            vector.send("flows_opened", *source, &Packet::tcp(from, net.vip(WEB), "S", b""));
        }
    })
}
