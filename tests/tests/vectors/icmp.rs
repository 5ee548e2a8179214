//! ICMP that is about nothing, or about something else than it should be.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Packet, WEB};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![echo(), queries(), unrelated()]
}

fn echo() -> Vector {
    let about = "Echo requests: answered for a load-balancer IP, not for a cluster IP.";
    Vector::of_both("icmp-echo", about, |vector, net| {
        let ping = |to, body: &[u8]| Packet::icmp(net.client_ip, to, IcmpType::EchoRequest, body);
        vector.send("echo_reply", "to the load-balancer IP", &ping(net.vip, b"ping"));
        vector.send("echo_reply", "without a payload", &ping(net.vip, b""));
        vector.send("echo_reply", "of 1400 bytes", &ping(net.vip, &[0x61; 1400]));
        vector.send("icmp_query", "to the cluster IP", &ping(net.cluster_ip, b"ping"));
    })
}

fn queries() -> Vector {
    let about = "ICMP that is neither an error nor an echo request.";
    Vector::of_both("icmp-queries", about, |vector, net| {
        for (name, kind) in [
            ("echo reply", IcmpType::EchoReply),
            ("redirect", IcmpType::Redirect),
            ("another type", IcmpType::Other),
        ] {
            vector.send("icmp_query", name, &Packet::icmp(net.client_ip, net.vip, kind, &[0; 40]));
        }
    })
}

fn unrelated() -> Vector {
    let about = "ICMP errors about no flow, sent to somebody else, or quoting what has no ports.";
    Vector::of_both("icmp-unrelated", about, |vector, net| {
        let kind = IcmpType::PortUnreachable;
        let sent = Packet::udp(net.gateway(DNS), net.backend(DNS), b"query");
        vector.send("icmp_unrelated", "about a flow that is not there", &{
            sent.error_about(net.router_ip, net.gateway_ip, kind, 1000)
        });
        vector.send("flows_opened", "query", &Packet::udp(net.client(), net.vip(DNS), b"query"));
        vector.send("icmp_unrelated", "to the VIP about what the gateway sent", &{
            sent.error_about(net.router_ip, net.vip, kind, 1000)
        });
        let tcp = Packet::tcp(net.gateway(WEB), net.backend(WEB), "A", b"");
        vector.send("icmp_unrelated", "about TCP, where the flow is UDP", &{
            tcp.error_about(net.router_ip, net.gateway_ip, kind, 1000)
        });
        let later = Packet::udp(net.gateway(DNS), net.backend(DNS), &[0; 24]).fragment(1, 16, 32, false);
        vector.send("icmp_unrelated", "about a later fragment", &{
            later.error_about(net.router_ip, net.gateway_ip, kind, 1000)
        });
        let ping = Packet::icmp(net.gateway_ip, net.backend_ip, IcmpType::EchoRequest, b"ping");
        vector.send("icmp_unrelated", "about an echo request", &{
            ping.error_about(net.router_ip, net.gateway_ip, kind, 1000)
        });
        let error = sent.error_about(net.router_ip, net.gateway_ip, kind, 1000);
        vector.send(
            "icmp_unrelated",
            "about an error",
            &error.error_about(net.router_ip, net.gateway_ip, kind, 1000),
        );
        let version = sent.clone().put(0, &[0x15]);
        vector.send("icmp_malformed", "about a packet of IP version 1", &{
            version.error_about(net.router_ip, net.gateway_ip, kind, 1000)
        });
    })
}
