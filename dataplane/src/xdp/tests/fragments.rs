//! Later fragments have no ports: to a VIP they are ours by address, to a node address they follow the first.

use super::packets::*;
use super::*;

const FIRST: u16 = 0;
const LATER: u16 = 185;

/// A fragment at `offset` (in units of eight bytes) of a datagram with this identification.
fn fragment(ends: Ends, protocol: u8, offset: u16, id: u16, payload: &[u8]) -> Vec<u8> {
    plain(&match ends.v6 {
        false => ip4(ends, protocol, 0, id, offset | 0x2000, payload),
        true => ip(ends, 44, &fragment6(protocol, offset << 3 | 1, u32::from(id), payload)),
    })
}

#[test]
fn root_fragments_to_a_vip_are_ours_by_address() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        for offset in [LATER, FIRST] {
            assert!(bench.is_ours(&fragment(ends(v6, CLIENT, VIP), UDP, offset, 9, &ports(1, 2))));
            assert!(!bench.is_ours(&fragment(ends(v6, CLIENT, OTHER), UDP, offset, 9, &ports(1, 2))));
            assert!(bench.is_ours(&fragment(ends(v6, CLIENT, POOL), UDP, offset, 9, &ports(1, 2))));
        }
    }
}

#[test]
fn root_later_fragments_to_a_node_follow_the_first() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        let to_node = ends(v6, CLIENT, NODE);
        // Bytes that would be a NodePort if they were read as ports.
        let middle = ports(30053, 30053);
        assert!(!bench.is_ours(&fragment(to_node, UDP, LATER, 7, &middle)), "before its first");
        assert!(bench.is_ours(&fragment(to_node, UDP, FIRST, 7, &ports(999, 30053))));
        assert!(bench.is_ours(&fragment(to_node, UDP, LATER, 7, &middle)));
        assert!(!bench.is_ours(&fragment(to_node, UDP, LATER, 8, &middle)), "another datagram");
        assert!(!bench.is_ours(&fragment(ends(v6, OTHER, NODE), UDP, LATER, 7, &middle)), "another sender");
        // The identification is used again, by a datagram that is not ours.
        assert!(!bench.is_ours(&fragment(to_node, UDP, FIRST, 7, &ports(999, 22))));
        assert!(!bench.is_ours(&fragment(to_node, UDP, LATER, 7, &middle)));
    }
    // RFC 791 has the protocol in a datagram's name, RFC 8200 doesn't.
    let to_node = ends(false, CLIENT, NODE);
    assert!(bench.is_ours(&fragment(to_node, UDP, FIRST, 7, &ports(999, 30053))));
    assert!(!bench.is_ours(&fragment(to_node, TCP, LATER, 7, &ports(1, 1))));
}

#[test]
fn root_replies_to_translations_may_be_fragmented() {
    let Some(mut bench) = Bench::new() else { return };
    for v6 in [false, true] {
        let reply = ends(v6, OTHER, NODE);
        assert!(bench.is_ours(&fragment(reply, UDP, FIRST, 70, &ports(53, 61000))));
        assert!(bench.is_ours(&fragment(reply, UDP, LATER, 70, &[0; 64])));
        assert!(bench.is_ours(&fragment(ends(v6, BACKEND, CLIENT), UDP, LATER, 71, &[0; 64])));
    }
}

/// RFC 6946: a fragment header on a whole datagram makes no fragments.
#[test]
fn root_an_atomic_fragment_is_a_whole_packet() {
    let Some(mut bench) = Bench::new() else { return };
    let to_node = ends(true, CLIENT, NODE);
    let packet = plain(&ip(to_node, 44, &fragment6(UDP, 0, 5, &ports(999, 30053))));
    assert!(bench.is_ours(&packet));
    assert!(!bench.is_ours(&fragment(to_node, UDP, LATER, 5, &ports(1, 1))));
}
