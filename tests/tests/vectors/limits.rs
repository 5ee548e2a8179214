//! The last hop, and the longest packet.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Net, Packet, WEB};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![hops(), too_long(), split()]
}

fn hops() -> Vector {
    let about =
        "Packets that have no hop left: their sender is told, and the flow is neither opened nor moved.";
    Vector::of_both("hop-limit", about, |vector, net| {
        let query = |hops| Packet::udp(net.client(), net.vip(DNS), b"query").hops(hops);
        let answer = |hops| Packet::udp(net.backend(DNS), net.gateway(DNS), b"answer").hops(hops);
        for hops in [0, 1] {
            vector.send("time_exceeded", format!("query with {hops}"), &query(hops));
        }
        vector.send("flows_opened", "query with 2", &query(2));
        for hops in [0, 1] {
            vector.send("time_exceeded", format!("query of a known flow with {hops}"), &query(hops));
            vector.send("time_exceeded", format!("answer with {hops}"), &answer(hops));
        }
        vector.send("forwarded", "answer with 2", &answer(2));
        let unserved = Packet::udp(net.client(), (net.vip, 81).into(), b"").hops(1);
        vector.send("port_unreachable", "to a port that nobody serves, with 1: it ends here", &unserved);
        let ping = Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"ping").hops(1);
        vector.send("echo_reply", "echo request with 1: it ends here", &ping);
        let error = answer(64).error_about(net.router_ip, net.gateway_ip, IcmpType::PortUnreachable, 1000);
        vector.send("icmp_unrelated", "an error about what nobody sent", &error);
        let sent = Packet::udp(net.gateway(DNS), net.backend(DNS), b"query");
        let error = sent.error_about(net.router_ip, net.gateway_ip, IcmpType::PortUnreachable, 1000);
        vector.send("reply_forbidden", "an error with 1: errors are not told", &error.hops(1));
    })
}

fn too_long() -> Vector {
    let about =
        "Packets longer than the way to the backend takes, not to be cut: their sender is told how long.";
    Vector::of_both("too-long", about, |vector, net| {
        let header = Packet::tcp(net.client(), net.vip(WEB), "A", b"").ip.len();
        let segment = |len: usize| {
            Packet::tcp(net.client(), net.vip(WEB), "A", &vec![0x61; len - header]).dont_fragment()
        };
        vector.send("packet_too_big", "1501 bytes, of no known flow", &segment(1501));
        vector.send("flows_opened", "1500 bytes", &segment(1500));
        vector.send("packet_too_big", "1501 bytes", &segment(1501));
        vector.send("packet_too_big", "9000 bytes", &segment(9000));
    })
}

fn split() -> Vector {
    let about = "IPv4 packets longer than the way takes, which may be cut; those with options are not.";
    let mut vector = Vector::new("too-long-to-be-cut", about);
    let (client, vip) = (Net::V4.client(), Net::V4.vip(DNS));
    vector.send("flows_opened", "datagram", &Packet::udp(client, vip, b"query"));
    vector.send("split", "1501 bytes", &Packet::udp(client, vip, &[0x61; 1473]));
    vector.send("split", "4000 bytes", &Packet::udp(client, vip, &[0x61; 3972]));
    let options = Packet::udp(client, vip, &[0x61; 1473]).with_options(0, &[1, 1, 1, 0]);
    vector.send("too_big", "1505 bytes with options", &options);
    vector
}
