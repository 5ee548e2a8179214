//! Well-formed conversations, as what the rest is to be held against.

use crate::vector::Vector;
use penstock_tests::packets::{DNS, IcmpType, Packet, SIGNALS, WEB, chunk};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![tcp(), reset(), udp(), sctp(), errors_to_client(), errors_to_backend(), reject()]
}

fn tcp() -> Vector {
    let about = "A TCP connection, opened, used and closed.";
    Vector::of_both("tcp-connection", about, |vector, net| {
        let client = |flags, payload: &[u8]| Packet::tcp(net.client(), net.vip(WEB), flags, payload);
        let backend = |flags, payload: &[u8]| Packet::tcp(net.backend(WEB), net.gateway(WEB), flags, payload);
        vector.send("flows_opened", "SYN", &client("S", b""));
        vector.send("forwarded", "SYN, ACK", &backend("SA", b""));
        vector.send("forwarded", "ACK", &client("A", b""));
        vector.send("forwarded", "request", &client("AP", b"GET / HTTP/1.1\r\n\r\n"));
        vector.send("forwarded", "answer", &backend("AP", b"HTTP/1.1 200 OK\r\n\r\n"));
        vector.send("forwarded", "FIN, ACK", &client("FA", b""));
        vector.send("forwarded", "FIN, ACK", &backend("FA", b""));
        vector.send("forwarded", "ACK", &client("A", b""));
        vector.send("flows_opened", "SYN again: a connection of its own", &client("S", b""));
    })
}

fn reset() -> Vector {
    let about = "A TCP connection that its backend refuses.";
    Vector::of_both("tcp-refused", about, |vector, net| {
        vector.send("flows_opened", "SYN", &Packet::tcp(net.client(), net.vip(WEB), "S", b""));
        vector.send("forwarded", "RST, ACK", &Packet::tcp(net.backend(WEB), net.gateway(WEB), "RA", b""));
    })
}

fn udp() -> Vector {
    let about = "UDP queries and their answers.";
    Vector::of_both("udp-exchange", about, |vector, net| {
        for number in 0..2 {
            let verdict = if number == 0 { "flows_opened" } else { "forwarded" };
            vector.send(verdict, "query", &Packet::udp(net.client(), net.vip(DNS), b"query"));
            vector.send(
                "forwarded",
                "answer",
                &Packet::udp(net.backend(DNS), net.gateway(DNS), b"an answer"),
            );
        }
        vector.send("forwarded", "no payload", &Packet::udp(net.client(), net.vip(DNS), b""));
        vector.send(
            "forwarded",
            "1472 bytes",
            &Packet::udp(net.backend(DNS), net.gateway(DNS), &[0x61; 1452]),
        );
    })
}

fn sctp() -> Vector {
    let about = "An SCTP association, opened, used and shut down.";
    Vector::of_both("sctp-association", about, |vector, net| {
        let client = |chunks: &[Vec<u8>]| Packet::sctp(net.client(), net.vip(SIGNALS), 8, chunks);
        let backend =
            |chunks: &[Vec<u8>]| Packet::sctp(net.backend(SIGNALS), net.gateway(SIGNALS), 7, chunks);
        vector.send("flows_opened", "INIT", &Packet::sctp_init(net.client(), net.vip(SIGNALS)));
        vector.send("forwarded", "INIT ACK", &backend(&[chunk(2, &[1; 24])]));
        vector.send("forwarded", "COOKIE ECHO", &client(&[chunk(10, b"cookie")]));
        vector.send("forwarded", "COOKIE ACK", &backend(&[chunk(11, b"")]));
        vector.send("forwarded", "DATA", &client(&[chunk(0, b"0123456789abhello")]));
        vector.send("forwarded", "SACK", &backend(&[chunk(3, &[0; 12])]));
        vector.send("forwarded", "SHUTDOWN", &client(&[chunk(7, &[0; 4])]));
        vector.send("forwarded", "SHUTDOWN ACK", &backend(&[chunk(8, b"")]));
        vector.send("forwarded", "SHUTDOWN COMPLETE", &client(&[chunk(14, b"")]));
    })
}

fn errors_to_client() -> Vector {
    let about = "ICMP errors from behind the gateway: the client sees its own packet quoted, by the VIP.";
    Vector::of_both("icmp-errors-to-client", about, |vector, net| {
        vector.send("flows_opened", "query", &Packet::udp(net.client(), net.vip(DNS), b"query"));
        vector.send("flows_opened", "SYN", &Packet::tcp(net.client(), net.vip(WEB), "S", b""));
        vector.send("flows_opened", "INIT", &Packet::sctp_init(net.client(), net.vip(SIGNALS)));
        let sent = [
            ("UDP", Packet::udp(net.gateway(DNS), net.backend(DNS), b"query").hops(63)),
            ("TCP", Packet::tcp(net.gateway(WEB), net.backend(WEB), "S", b"").hops(63)),
            ("SCTP", Packet::sctp_init(net.gateway(SIGNALS), net.backend(SIGNALS)).hops(63)),
        ];
        for (name, sent) in sent {
            for (kind, error) in [
                ("port unreachable", IcmpType::PortUnreachable),
                ("time exceeded", IcmpType::TimeExceeded),
                ("1400 bytes at most", IcmpType::TooBig(1400)),
            ] {
                let error = sent.error_about(net.router_ip, net.gateway_ip, error, 1000);
                vector.send("forwarded", format!("{kind}, about {name}"), &error);
            }
            let short =
                sent.error_about(net.backend_ip, net.gateway_ip, IcmpType::PortUnreachable, sent.l4 + 8);
            vector.send("forwarded", format!("port unreachable, quoting 8 bytes of {name}"), &short);
        }
    })
}

fn errors_to_backend() -> Vector {
    let about = "ICMP errors from the client's side: the backend sees its own answer quoted.";
    Vector::of_both("icmp-errors-to-backend", about, |vector, net| {
        vector.send("flows_opened", "query", &Packet::udp(net.client(), net.vip(DNS), b"query"));
        vector.send("forwarded", "answer", &Packet::udp(net.backend(DNS), net.gateway(DNS), b"answer"));
        let sent = Packet::udp(net.vip(DNS), net.client(), b"answer").hops(63);
        for (name, kind) in [
            ("port unreachable", IcmpType::PortUnreachable),
            ("time exceeded", IcmpType::TimeExceeded),
            ("1400 bytes at most", IcmpType::TooBig(1400)),
        ] {
            let from = if kind == IcmpType::PortUnreachable { net.client_ip } else { net.stranger_ip };
            vector.send("forwarded", name, &sent.error_about(from, net.vip, kind, 1000));
        }
    })
}

fn reject() -> Vector {
    let about = "What nobody serves is told so: a Service without endpoints, and a port that no Service has.";
    Vector::of_both("reject", about, |vector, net| {
        for (name, ip, web, dns, signals) in [
            ("no endpoints", net.empty_ip, WEB.0, DNS.0, SIGNALS.0),
            ("port not served, load-balancer IP", net.vip, 81, 54, 2906),
            ("port not served, cluster IP", net.cluster_ip, 81, 54, 2906),
        ] {
            let to = |port| (ip, port).into();
            let tcp = |flags, payload: &[u8]| Packet::tcp(net.client(), to(web), flags, payload);
            vector.send("tcp_reset", format!("SYN, {name}"), &tcp("S", b""));
            vector.send("tcp_reset", format!("ACK with data, {name}"), &tcp("A", b"data"));
            vector.send("reply_forbidden", format!("RST, {name}"), &tcp("R", b""));
            let udp = Packet::udp(net.client(), to(dns), &[0x61; 1000]);
            vector.send("port_unreachable", format!("UDP, {name}"), &udp);
            let sctp = Packet::sctp_init(net.client(), to(signals));
            vector.send("port_unreachable", format!("SCTP, {name}"), &sctp);
        }
    })
}
