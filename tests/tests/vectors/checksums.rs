//! Wrong checksums. What the gateway reads is checked; what only the ends read goes on as wrong as it came.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Net, Packet, SIGNALS, WEB};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![header(), tcp(), udp(), udp_zero(), sctp(), icmp()]
}

fn header() -> Vector {
    let mut vector = Vector::new("checksum-ipv4", "IPv4 headers whose checksum is wrong.");
    let packet = Packet::tcp(Net::V4.client(), Net::V4.vip(WEB), "S", b"");
    let right = u16::from_be_bytes([packet.ip[10], packet.ip[11]]);
    for (name, sum) in
        [("one more", right.wrapping_add(1)), ("zero", 0), ("all ones", 0xffff), ("inverted", !right)]
    {
        vector.send("header_checksum", name, &packet.clone().put(10, &sum.to_be_bytes()));
    }
    vector.send("header_checksum", "right, but for a TTL of one less", &packet.clone().put(8, &[63]));
    let options = packet.with_options(0, &[1, 1, 1, 0]).put(20, &[0x44]);
    vector.send("header_checksum", "right, but for a bit of the options", &options);
    vector
}

fn tcp() -> Vector {
    let about = "TCP segments whose checksum is wrong: translated, and as wrong on the other side.";
    Vector::of_both("checksum-tcp", about, |vector, net| {
        let wrong = |packet: Packet| packet.put_l4(16, &[0xba, 0xad]);
        vector.send("flows_opened", "SYN", &wrong(Packet::tcp(net.client(), net.vip(WEB), "S", b"")));
        let answer = Packet::tcp(net.backend(WEB), net.gateway(WEB), "SA", b"");
        vector.send("forwarded", "SYN, ACK", &wrong(answer));
        let zero = Packet::tcp(net.client(), net.vip(WEB), "A", b"x").put_l4(16, &[0, 0]);
        vector.send("forwarded", "ACK with zero", &zero);
        vector.send("tcp_reset", "SYN to a port that nobody serves", &{
            wrong(Packet::tcp(net.client(), (net.vip, 81).into(), "S", b""))
        });
    })
}

fn udp() -> Vector {
    let about = "UDP datagrams whose checksum is wrong: translated, and as wrong on the other side.";
    Vector::of_both("checksum-udp", about, |vector, net| {
        let query = Packet::udp(net.client(), net.vip(DNS), b"query");
        vector.send("flows_opened", "a wrong sum", &query.clone().put_l4(6, &[0xba, 0xad]));
        vector.send("forwarded", "a wrong byte of payload", &query.put_l4(9, &[0xee]));
        let answer = Packet::udp(net.backend(DNS), net.gateway(DNS), b"answer").put_l4(6, &[0xba, 0xad]);
        vector.send("forwarded", "answer with a wrong sum", &answer);
    })
}

fn udp_zero() -> Vector {
    let about = "UDP without a checksum: stays without in IPv4, is not allowed in IPv6 (RFC 8200, 8.1).";
    Vector::of_both("checksum-udp-zero", about, |vector, net| {
        let query = Packet::udp(net.client(), net.vip(DNS), b"query").put_l4(6, &[0, 0]);
        let verdict = if net.is_v4() { "flows_opened" } else { "udp_checksum_missing" };
        vector.send(verdict, "datagram", &query);
        let long = Packet::udp(net.client(), net.vip(DNS), &[0x61; 24]).put_l4(6, &[0, 0]);
        let verdict = if net.is_v4() { "forwarded" } else { "udp_checksum_missing" };
        vector.send(verdict, "a first fragment", &long.fragment(1, 0, 16, true));
        if net.is_v4() {
            let answer = Packet::udp(net.backend(DNS), net.gateway(DNS), b"answer").put_l4(6, &[0, 0]);
            vector.send("forwarded", "answer", &answer);
        }
    })
}

fn sctp() -> Vector {
    let about = "SCTP packets whose CRC is wrong: translated, and as wrong on the other side.";
    Vector::of_both("checksum-sctp", about, |vector, net| {
        let init = Packet::sctp_init(net.client(), net.vip(SIGNALS));
        vector.send("flows_opened", "INIT with another CRC", &init.clone().put_l4(8, &[0xba; 4]));
        vector.send("forwarded", "INIT with a wrong byte", &init.put_l4(31, &[0xee]));
    })
}

fn icmp() -> Vector {
    let about = "ICMP messages whose checksum is wrong are not believed.";
    Vector::of_both("checksum-icmp", about, |vector, net| {
        let ping = Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"ping");
        vector.send(
            "icmp_malformed",
            "echo request with another sum",
            &ping.clone().put_l4(2, &[0xba, 0xad]),
        );
        vector.send("icmp_malformed", "echo request without one", &ping.clone().put_l4(2, &[0, 0]));
        vector.send("icmp_malformed", "echo request with a wrong byte", &ping.put_l4(11, &[0xee]));
        vector.send("flows_opened", "query", &Packet::udp(net.client(), net.vip(DNS), b"query"));
        let sent = Packet::udp(net.gateway(DNS), net.backend(DNS), b"query");
        let error = sent.error_about(net.router_ip, net.gateway_ip, IcmpType::PortUnreachable, 1000);
        vector.send("icmp_malformed", "error with another sum", &error.put_l4(2, &[0xba, 0xad]));
    })
}
