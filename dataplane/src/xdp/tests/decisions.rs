//! VIPs, NodePorts, the SNAT range, backends, VLAN tags, and what stays the kernel's.

use super::packets::*;
use super::*;

const ICMP: [u8; 2] = [1, 58];

#[test]
fn root_everything_to_a_vip_is_ours() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        for protocol in [TCP, UDP, SCTP, 47, 255] {
            for port in [1, 80, 65535] {
                assert!(bench.is_ours(&plain(&ip(ends(v6, CLIENT, VIP), protocol, &ports(999, port)))));
            }
        }
        let echo = icmp(if v6 { 128 } else { 8 }, &[]);
        assert!(bench.is_ours(&plain(&ip(ends(v6, CLIENT, VIP), ICMP[usize::from(v6)], &echo))));
        assert!(!bench.is_ours(&plain(&ip(ends(v6, VIP, CLIENT), TCP, &ports(80, 999)))));
    }
    assert!(bench.is_ours(&plain(&ip4(ends(false, CLIENT, VIP), TCP, 10, 0, 0, &ports(1, 2)))));
}

// S-157
#[test]
fn root_what_has_no_role_in_a_range_of_service_addresses_is_ours() {
    let with = |length4, length6| ClassifierState {
        ranges: [(address(false, 248), length4), (address(true, 248), length6)].into(),
        ..state()
    };
    let Some(mut bench) = Bench::with(&state()) else { return };
    let to = |v6, last, port| plain(&ip(ends(v6, CLIENT, last), TCP, &ports(999, port)));
    for v6 in [false, true] {
        assert!(!bench.is_ours(&to(v6, OTHER, 80)));
        bench.classifier.grow(&with(29, 125)).unwrap();
        assert!(bench.is_ours(&to(v6, OTHER, 80)) && bench.is_ours(&to(v6, 248, 80)));
        assert!(!bench.is_ours(&to(v6, 247, 80)), "outside");
        assert!(
            !bench.is_ours(&plain(&ip(ends(v6, OTHER, 247), TCP, &ports(80, 999)))),
            "a source is no matter"
        );
        bench.classifier.shrink(&state()).unwrap();
        assert!(!bench.is_ours(&to(v6, OTHER, 80)));
        // A range around everything leaves the node its own.
        bench.classifier.grow(&with(24, 64)).unwrap();
        assert!(!bench.is_ours(&to(v6, NODE, 22)) && bench.is_ours(&to(v6, NODE, 30080)));
        assert!(!bench.is_ours(&to(v6, BACKEND, 8080)), "nor is it for backends");
        bench.classifier.shrink(&state()).unwrap();
    }
}

#[test]
fn root_neighbour_discovery_is_the_kernels() {
    let Some(mut bench) = Bench::new() else { return };
    for kind in 133..=137 {
        assert!(!bench.is_ours(&plain(&ip(ends(true, CLIENT, VIP), 58, &icmp(kind, &[0; 16])))));
    }
    assert_eq!(bench.counters().pass_neighbour, 5);
    for kind in [1, 128, 132, 138] {
        assert!(bench.is_ours(&plain(&ip(ends(true, CLIENT, VIP), 58, &icmp(kind, &[0; 16])))));
    }
}

#[test]
fn root_node_ports_are_ours_by_protocol_and_port() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        for protocol in [TCP, UDP, SCTP] {
            for port in [22, 30052, 30053, 30054, 30079, 30080, 30081, 30099, 30144, 30016] {
                let packet = plain(&ip(ends(v6, CLIENT, NODE), protocol, &ports(999, port)));
                let ours = state().node_ports.contains(&FamilyPort { v6, protocol, port });
                assert_eq!(bench.is_ours(&packet), ours, "v6 {v6} protocol {protocol} port {port}");
            }
        }
        let options = plain(&ip4(ends(false, CLIENT, NODE), TCP, 3, 0, 0x4000, &ports(1, 30080)));
        assert!(bench.is_ours(&options));
        assert!(!bench.is_ours(&plain(&ip(ends(v6, CLIENT, OTHER), TCP, &ports(1, 30080)))));
    }
}

/// A Service that lacks a family has nothing in it: there, its ports are the node's own.
#[test]
fn root_ports_are_ours_in_their_own_family_only() {
    for family in [false, true] {
        let mut one = state();
        one.node_ports = one.node_ports.into_iter().filter(|port| port.v6 == family).collect();
        one.backend_ports = one.backend_ports.into_iter().filter(|port| port.v6 == family).collect();
        let Some(mut bench) = Bench::with(&one) else { return };
        for v6 in [false, true] {
            let to_node = ip(ends(v6, CLIENT, NODE), TCP, &ports(999, 30080));
            assert_eq!(bench.is_ours(&plain(&to_node)), v6 == family, "NodePort, v6 {v6}, has v6 {family}");
            let reply = ip(ends(v6, BACKEND, CLIENT), TCP, &ports(8080, 999));
            assert_eq!(bench.is_ours(&plain(&reply)), v6 == family, "backend, v6 {v6}, has v6 {family}");
            let quoted = ip(ends(v6, NODE, CLIENT), UDP, &ports(30053, 999));
            let error = icmp(if v6 { 1 } else { 3 }, &quoted);
            let error = ip(ends(v6, CLIENT, NODE), ICMP[usize::from(v6)], &error);
            assert_eq!(bench.is_ours(&plain(&error)), v6 == family, "quoted, v6 {v6}, has v6 {family}");
        }
    }
}

#[test]
fn root_the_snat_range_is_ours_on_node_addresses_and_all_ports_of_the_pool() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        for (port, on_node) in [(1023, false), (60999, false), (61000, true), (65535, true)] {
            for protocol in [TCP, UDP, SCTP] {
                let to_node = plain(&ip(ends(v6, OTHER, NODE), protocol, &ports(80, port)));
                assert_eq!(bench.is_ours(&to_node), on_node, "port {port}");
                assert!(bench.is_ours(&plain(&ip(ends(v6, OTHER, POOL), protocol, &ports(80, port)))));
            }
            assert!(!bench.is_ours(&plain(&ip(ends(v6, OTHER, NODE), 47, &ports(80, port)))));
            assert!(!bench.is_ours(&plain(&ip(ends(v6, OTHER, POOL), 47, &ports(80, port)))));
        }
        let echo = icmp(if v6 { 128 } else { 8 }, &[0; 40]);
        for to in [NODE, POOL] {
            assert!(!bench.is_ours(&plain(&ip(ends(v6, CLIENT, to), ICMP[usize::from(v6)], &echo))));
        }
    }
}

#[test]
fn root_a_backends_packets_are_ours_only_on_a_backend_interface() {
    let Some(mut bench) = Bench::new() else { return };
    let mut client_side = state();
    client_side.interfaces.get_mut(&LOOPBACK).unwrap().backend = false;
    for ours in [true, false] {
        for v6 in [false, true] {
            let reply = plain(&ip(ends(v6, BACKEND, CLIENT), TCP, &ports(8080, 999)));
            assert_eq!(bench.is_ours(&reply), ours);
            assert!(!bench.is_ours(&plain(&ip(ends(v6, OTHER, CLIENT), TCP, &ports(8080, 999)))));
            // Its own connections: from ports that no backend serves on, or by another protocol.
            assert!(!bench.is_ours(&plain(&ip(ends(v6, BACKEND, CLIENT), TCP, &ports(40_000, 8080)))));
            assert!(!bench.is_ours(&plain(&ip(ends(v6, BACKEND, CLIENT), UDP, &ports(8080, 999)))));
            assert!(!bench.is_ours(&plain(&ip(ends(v6, BACKEND, CLIENT), 47, &ports(8080, 999)))));
            // To a group: mDNS, OSPF and the like are the kernel's.
            let mut group = ip(ends(v6, BACKEND, CLIENT), TCP, &ports(8080, 999));
            let to = if v6 { 24 } else { 16 };
            group[to] = if v6 { 0xff } else { 224 };
            assert!(!bench.is_ours(&plain(&group)));
        }
        bench.classifier.shrink(&client_side).unwrap();
    }
}

#[test]
fn root_up_to_two_vlan_tags_are_read() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        let packet = ip(ends(v6, CLIENT, VIP), TCP, &ports(1, 80));
        let other = ip(ends(v6, CLIENT, OTHER), TCP, &ports(1, 80));
        for tags in [&[0x8100][..], &[0x88a8], &[0x8100, 0x8100], &[0x88a8, 0x8100]] {
            assert!(bench.is_ours(&ethernet(tags, &packet)), "{tags:x?}");
            assert!(!bench.is_ours(&ethernet(tags, &other)), "{tags:x?}");
        }
        assert!(!bench.is_ours(&ethernet(&[0x88a8, 0x8100, 0x8100], &packet)));
    }
    assert_eq!(bench.counters().pass_not_ip, 2);
}

#[test]
fn root_extension_headers_are_walked() {
    let Some(mut bench) = Bench::new() else { return };
    let payload = ports(1, 30080);
    let mut chain = payload.clone();
    let mut next = TCP;
    for (depth, header) in [60, 43, 0, 60, 43, 60, 60, 0].into_iter().enumerate() {
        chain = extension(next, depth as u8, &chain);
        next = header;
        assert!(bench.is_ours(&plain(&ip(ends(true, CLIENT, NODE), next, &chain))), "depth {depth}");
    }
    chain = extension(next, 0, &chain);
    assert!(!bench.is_ours(&plain(&ip(ends(true, CLIENT, NODE), 60, &chain))), "nine are too many");
    assert!(bench.is_ours(&plain(&ip(ends(true, CLIENT, VIP), 60, &chain))), "but a VIP is a VIP");
}

#[test]
fn root_other_traffic_is_the_kernels() {
    let Some(mut bench) = Bench::new() else { return };
    let mut arp = ethernet(&[], &[]);
    arp.truncate(12);
    arp.extend([8, 6]);
    arp.extend([0; 28]);
    assert!(!bench.is_ours(&arp));
    let mut unlike = plain(&ip(ends(false, CLIENT, VIP), TCP, &ports(1, 80)));
    unlike[14] = 0x44;
    assert!(!bench.is_ours(&unlike), "a header length below 20");
    unlike[14] = 0x65;
    assert!(!bench.is_ours(&unlike), "version 6 in an IPv4 frame");
    assert_eq!(bench.counters().pass_malformed, 2);
    bench.classifier.shrink(&ClassifierState { interfaces: Default::default(), ..state() }).unwrap();
    let vip = plain(&ip(ends(false, CLIENT, VIP), TCP, &ports(1, 80)));
    assert!(!bench.is_ours(&vip), "an interface that isn't ours");
    assert_eq!(bench.counters().pass_unknown_interface, 1);
}

/// Cut at every length: what is cut inside the headers that decide goes to the kernel, and a run on any length
/// neither fails nor reads beyond the end (the verifier sees to that).
#[test]
fn root_truncated_packets_pass() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        let header = if v6 { 40 } else { 20 };
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
            let link = 14 + 4 * tags.len();
            let cases = [(VIP, header), (NODE, header + 4), (POOL, header), (OTHER, 1000)];
            for (to, needed) in cases {
                let whole = ethernet(tags, &ip(ends(v6, CLIENT, to), TCP, &ports(1, 30080)));
                // The kernel refuses test runs on less than an Ethernet header.
                for length in 14..=whole.len() {
                    let ours = bench.is_ours(&whole[..length]);
                    assert_eq!(
                        ours,
                        length >= link + needed,
                        "to {to} v6 {v6} tags {tags:x?} length {length}"
                    );
                }
            }
        }
    }
}
