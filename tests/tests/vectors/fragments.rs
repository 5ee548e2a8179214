//! Fragments: as they should be, and as attacks have them (RFC 1858, RFC 3128, RFC 5722, RFC 6946, RFC 8200 §4.5).

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Net, Packet, SIGNALS, WEB};
use std::time::Duration;

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        in_order(),
        out_of_order("fragments-out-of-order-ipv4", &Net::V4),
        out_of_order("fragments-out-of-order-ipv6", &Net::V6),
        lost(),
        tiny(),
        overlapping(),
        impossible(),
        other_protocols(),
        atomic(),
        rejected(),
    ]
}

fn datagram(net: &Net) -> Packet {
    Packet::udp(net.client(), net.vip(DNS), &[0x61; 56])
}

fn in_order() -> Vector {
    let about = "A datagram in three fragments, and its answer in two.";
    Vector::of_both("fragments-in-order", about, |vector, net| {
        let query = datagram(net);
        vector.send("flows_opened", "bytes 0 to 24 of the query", &query.fragment(7, 0, 24, true));
        vector.send("forwarded", "bytes 24 to 48", &query.fragment(7, 24, 48, true));
        vector.send("forwarded", "bytes 48 to 64", &query.fragment(7, 48, 64, false));
        let answer = Packet::udp(net.backend(DNS), net.gateway(DNS), &[0x62; 40]);
        vector.send("forwarded", "bytes 0 to 24 of the answer", &answer.fragment(8, 0, 24, true));
        vector.send("forwarded", "bytes 24 to 48", &answer.fragment(8, 24, 48, false));
    })
}

fn out_of_order(name: &'static str, net: &Net) -> Vector {
    let mut vector = Vector::new(name, "The later fragments come before the first, and wait for it.");
    let query = datagram(net);
    vector.send("held", "bytes 48 to 64", &query.fragment(7, 48, 64, false));
    vector.send("held", "bytes 24 to 48", &query.fragment(7, 24, 48, true));
    vector.send("flows_opened", "bytes 0 to 24", &query.fragment(7, 0, 24, true));
    vector
}

fn lost() -> Vector {
    let about =
        "Later fragments whose first does not come within a second. What was held goes with the next packet.";
    Vector::of_both("fragments-lost", about, |vector, net| {
        let query = datagram(net);
        vector.send("held", "bytes 24 to 64 of one datagram", &query.fragment(1, 24, 64, false));
        vector.send("held", "bytes 24 to 64 of another", &query.fragment(2, 24, 64, false));
        vector.wait(Duration::from_secs(2));
        vector.send("flows_opened", "a datagram of its own, two seconds later", &query);
        vector.send(
            "fragment_lost",
            "bytes 24 to 64 of the first one again",
            &query.fragment(1, 24, 64, false),
        );
    })
}

fn tiny() -> Vector {
    let about = "A first fragment that does not hold the transport header: it would hide ports or flags.";
    Vector::of_both("fragments-tiny", about, |vector, net| {
        let segment = Packet::tcp(net.client(), net.vip(WEB), "S", &[0; 40]);
        vector.send("fragment_tiny", "8 bytes of a TCP header", &segment.fragment(1, 0, 8, true));
        vector.send("fragment_tiny", "16 bytes of a TCP header", &segment.fragment(2, 0, 16, true));
        let options = segment.clone().put_l4(12, &[0x80]);
        vector.send("fragment_tiny", "24 bytes of a TCP header of 32", &options.fragment(3, 0, 24, true));
        let mut none = datagram(net);
        none.ip.truncate(none.l4);
        vector.send("malformed", "no byte at all", &none.made_fragment(4, 0, true));
    })
}

fn overlapping() -> Vector {
    let about =
        "Later fragments that reach into the first, to change ports or flags that were looked at already.";
    Vector::of_both("fragments-overlapping", about, |vector, net| {
        let segment = Packet::tcp(net.client(), net.vip(WEB), "S", &[0; 44]);
        vector.send("flows_opened", "bytes 0 to 32", &segment.fragment(5, 0, 32, true));
        vector.send("fragment_overlap", "bytes 8 to 64", &segment.fragment(5, 8, 64, false));
        vector.send("fragment_overlap", "bytes 24 to 64", &segment.fragment(5, 24, 64, false));
        vector.send("forwarded", "bytes 32 to 64: right behind", &segment.fragment(5, 32, 64, false));
        let label = "bytes 32 to 64 again: the receiver's to see";
        vector.send("forwarded", label, &segment.fragment(5, 32, 64, false));
        vector.send("tcp_invalid", "another first with FIN and SYN", &{
            Packet::tcp(net.client(), net.vip(WEB), "SF", &[0; 44]).fragment(5, 0, 32, true)
        });
    })
}

fn impossible() -> Vector {
    let about = "Fragments that no datagram has: not in units of 8, empty, or beyond the largest packet.";
    Vector::of_both("fragments-impossible", about, |vector, net| {
        let whole = datagram(net);
        vector.send("malformed", "a first one of 13 bytes", &whole.fragment(1, 0, 13, true));
        vector.send("malformed", "a middle one of 7 bytes", &whole.fragment(2, 24, 31, true));
        vector.send("malformed", "a middle one of none", &whole.fragment(3, 24, 24, true));
        let beyond = whole.clone().made_fragment(4, 65_528, false);
        vector.send("malformed", "a last one at 65,528 with 64 bytes", &beyond);
        vector.send("malformed", "the same with more to come", &whole.made_fragment(4, 65_528, true));
    })
}

fn other_protocols() -> Vector {
    let about = "Fragments of what can be translated as a whole only, or not at all.";
    Vector::of_both("fragments-of-others", about, |vector, net| {
        let init = Packet::sctp_init(net.client(), net.vip(SIGNALS));
        vector.send("fragment", "a first one of SCTP", &init.fragment(1, 0, 16, true));
        let ping = Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, &[0; 56]);
        vector.send("fragment", "a first one of an echo request", &ping.fragment(2, 0, 32, true));
        vector.send("fragment", "a later one of it", &ping.fragment(2, 32, 64, false));
        let gre = Packet::of(net.client_ip, net.vip, 47, &[0; 32]);
        vector.send("protocol", "a first one of GRE", &gre.fragment(3, 0, 16, true));
    })
}

fn atomic() -> Vector {
    let mut vector = Vector::new("fragments-atomic", "IPv6's fragment header on a whole packet (RFC 6946).");
    let net = Net::V6;
    vector.send("flows_opened", "datagram", &datagram(&net).made_fragment(1, 0, false));
    vector.send("forwarded", "the same, right after", &datagram(&net).made_fragment(1, 0, false));
    vector
}

fn rejected() -> Vector {
    let about =
        "A datagram in fragments to a Service without endpoints: its first is told, its later ones are not.";
    Vector::of_both("fragments-rejected", about, |vector, net| {
        let whole = Packet::udp(net.client(), (net.empty_ip, DNS.0).into(), &[0x61; 56]);
        vector.send("port_unreachable", "bytes 0 to 24", &whole.fragment(1, 0, 24, true));
        vector.send("fragment_lost", "bytes 24 to 64", &whole.fragment(1, 24, 64, false));
    })
}
