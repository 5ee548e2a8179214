//! ICMP errors, which are ours if they quote a packet that we sent.

use super::packets::*;
use super::*;

/// The ICMP protocol, and its error types.
fn errors(v6: bool) -> (u8, &'static [u8]) {
    if v6 { (58, &[1, 2, 3, 4]) } else { (1, &[3, 11, 12]) }
}

fn error(v6: bool, kind: u8, to: u8, quoted: &[u8]) -> Vec<u8> {
    plain(&ip(ends(v6, ROUTER, to), errors(v6).0, &icmp(kind, quoted)))
}

#[test]
fn root_an_error_about_a_translation_is_ours() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        for &kind in errors(v6).1 {
            for protocol in [TCP, UDP, SCTP] {
                for (from, port, ours) in [
                    (NODE, 61000, true),
                    (NODE, 65535, true),
                    (NODE, 60999, false),
                    (NODE, 22, false),
                    (POOL, 1024, true),
                    (OTHER, 61000, false),
                ] {
                    let quoted = ip(ends(v6, from, OTHER), protocol, &ports(port, 8080));
                    // RFC 792 asks for eight bytes behind the quoted header and no more.
                    let quoted = &quoted[..quoted.len() - 20];
                    assert_eq!(bench.is_ours(&error(v6, kind, from, quoted)), ours, "{from}:{port}");
                }
            }
        }
        let quoted = ip(ends(v6, NODE, OTHER), TCP, &ports(61000, 80));
        let echo_reply = if v6 { 129 } else { 0 };
        assert!(!bench.is_ours(&error(v6, echo_reply, NODE, &quoted)), "not an error");
    }
}

/// What a client's router says about a reply from a NodePort.
#[test]
fn root_an_error_about_a_node_port_is_ours() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        let kind = errors(v6).1[0];
        for (protocol, port, ours) in [(TCP, 30080, true), (UDP, 30080, false), (UDP, 30053, true)] {
            let quoted = ip(ends(v6, NODE, CLIENT), protocol, &ports(port, 999));
            assert_eq!(bench.is_ours(&error(v6, kind, NODE, &quoted)), ours);
        }
    }
}

/// What a router before the backends says about a packet that kept its client's address.
#[test]
fn root_an_error_about_a_packet_to_a_backend_is_ours_on_a_backend_interface() {
    let Some(mut bench) = Bench::new() else { return };
    let mut client_side = state();
    client_side.interfaces.get_mut(&LOOPBACK).unwrap().backend = false;
    for ours in [true, false] {
        for v6 in [false, true] {
            let quoted = ip(ends(v6, CLIENT, BACKEND), TCP, &ports(999, 8080));
            let packet = error(v6, errors(v6).1[0], CLIENT, &quoted);
            assert_eq!(bench.is_ours(&packet), ours);
            let other = ip(ends(v6, CLIENT, OTHER), TCP, &ports(999, 8080));
            assert!(!bench.is_ours(&error(v6, errors(v6).1[0], CLIENT, &other)));
        }
        bench.classifier.shrink(&client_side).unwrap();
    }
}

#[test]
fn root_quoted_options_and_extensions_are_walked() {
    let Some(mut bench) = Bench::new() else { return };
    let quoted = ip4(ends(false, NODE, OTHER), TCP, 10, 7, 0x4000, &ports(61000, 80));
    assert!(bench.is_ours(&error(false, 3, NODE, &quoted)));
    let chain = extension(60, 2, &extension(TCP, 0, &ports(61000, 80)));
    assert!(bench.is_ours(&error(true, 2, NODE, &ip(ends(true, NODE, OTHER), 0, &chain))));
    // The outer packet may have extensions too.
    let body = icmp(2, &ip(ends(true, NODE, OTHER), TCP, &ports(61000, 80)));
    let outer = extension(58, 3, &body);
    assert!(bench.is_ours(&plain(&ip(ends(true, ROUTER, NODE), 60, &outer))));
}

#[test]
fn root_truncated_quotes_pass() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        let quoted = ip(ends(v6, NODE, OTHER), UDP, &ports(61000, 53));
        let whole = error(v6, errors(v6).1[0], NODE, &quoted);
        let header = if v6 { 40 } else { 20 };
        for length in 14..=whole.len() {
            let ours = bench.is_ours(&whole[..length]);
            assert_eq!(ours, length >= 14 + header + 8 + header + 4, "v6 {v6} length {length}");
        }
        if !v6 {
            let later = ip4(ends(false, NODE, OTHER), UDP, 0, 7, 0x00b9, &ports(61000, 53));
            assert!(!bench.is_ours(&error(false, 3, NODE, &later)), "quotes a later fragment: no ports");
        }
    }
}
