//! Who announces an address: the same answer on every gateway, without a word between them (§5.6).
//!
//! The candidate that is preferred most wins; among equals, the one whose SHA-256 of `node#address` comes first. The
//! address is the first of the Service's, so that both families of a Service are on one node. A node that goes moves its
//! own addresses only; one that comes takes those only for which it is first. MetalLB elects the same way, so that a
//! cluster keeps its announcers when it changes from one to the other.

use sha2::{Digest, Sha256};
use std::{net::IpAddr, sync::Arc};

/// A node that may announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: Arc<str>,
    /// The sum of the weights with which advertisements prefer it.
    pub preference: u32,
}

/// The winner of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elected<'a> {
    /// Who.
    pub winner: &'a Candidate,
    /// How many others were preferred as much, so that the hash decided.
    pub equals: usize,
}

/// Elects one of the candidates for a Service with this first address.
pub fn elect<'a>(candidates: impl IntoIterator<Item = &'a Candidate>, first: IpAddr) -> Option<Elected<'a>> {
    let mut best: Vec<&Candidate> = Vec::new();
    for candidate in candidates {
        let leader = best.first().map_or(0, |leader| leader.preference);
        if candidate.preference > leader {
            best.clear();
        }
        if candidate.preference >= leader {
            best.push(candidate);
        }
    }
    let winner = match best.as_slice() {
        [only] => only,
        _ => {
            let text = text(first);
            best.iter().min_by_key(|candidate| order(&candidate.node, &text))?
        }
    };
    Some(Elected { winner, equals: best.len() - 1 })
}

/// An address as it goes into the hash: IPv4-mapped ones are written as IPv4, as Go does.
fn text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// The place of a node in the order for an address: low comes first.
fn order(node: &str, address: &str) -> [u8; 32] {
    Sha256::new().chain_update(node).chain_update("#").chain_update(address).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(text: &str) -> Vec<Candidate> {
        let words = text.split_whitespace().map(|word| word.split_once(':').unwrap_or((word, "0")));
        words
            .map(|(node, score)| Candidate { node: node.into(), preference: score.parse().unwrap() })
            .collect()
    }

    fn winner(text: &str, address: &str) -> String {
        elect(&candidates(text), address.parse().unwrap()).unwrap().winner.node.to_string()
    }

    /// A node and how its hash begins.
    type Place = (&'static str, [u8; 4]);

    /// Made with `printf 'gw-a#192.0.2.10' | sha256sum`. The address is written as RFC 5952 says.
    const ORDERS: [(&str, [Place; 4]); 4] = [
        (
            "192.0.2.10",
            [
                ("gw-c", [0x04, 0x92, 0x9a, 0xfa]),
                ("gw-b", [0x24, 0x3b, 0xc8, 0x01]),
                ("gw-d", [0xa9, 0x1a, 0xc5, 0xca]),
                ("gw-a", [0xac, 0x1f, 0xc9, 0x29]),
            ],
        ),
        (
            "192.0.2.11",
            [
                ("gw-b", [0x25, 0xb6, 0x81, 0x27]),
                ("gw-d", [0x2f, 0x30, 0x5c, 0x6b]),
                ("gw-a", [0x72, 0xfa, 0x33, 0x92]),
                ("gw-c", [0xba, 0x05, 0xb9, 0x1b]),
            ],
        ),
        (
            "2001:db8::10",
            [
                ("gw-c", [0x2f, 0xb2, 0x2c, 0x7b]),
                ("gw-d", [0xdc, 0x9d, 0x0a, 0xb8]),
                ("gw-b", [0xef, 0x50, 0xb6, 0xb0]),
                ("gw-a", [0xff, 0x09, 0xd1, 0xc4]),
            ],
        ),
        (
            "2001:db8::1:0:0:1",
            [
                ("gw-c", [0x2e, 0xeb, 0xa7, 0xe2]),
                ("gw-b", [0x3b, 0xd8, 0x7a, 0xd5]),
                ("gw-a", [0x62, 0x90, 0x1b, 0xac]),
                ("gw-d", [0x8d, 0xb6, 0x28, 0xb4]),
            ],
        ),
    ];

    // S-185
    #[test]
    fn equals_are_ordered_by_sha256_of_node_and_address() {
        for (address, order_of_nodes) in ORDERS {
            let mut left = candidates("gw-a gw-b gw-c gw-d");
            for (node, start) in order_of_nodes {
                assert_eq!(order(node, address)[..4], start, "{node}#{address}");
                let elected = elect(&left, address.parse().unwrap()).unwrap();
                assert_eq!((&*elected.winner.node, elected.equals), (node, left.len() - 1), "{address}");
                left.retain(|candidate| &*candidate.node != node);
            }
            assert_eq!(elect(&left, address.parse().unwrap()), None);
        }
    }

    // S-185
    #[test]
    fn preference_comes_before_the_hash() {
        assert_eq!(winner("gw-a gw-b gw-c gw-d", "192.0.2.10"), "gw-c");
        assert_eq!(winner("gw-a:5 gw-b gw-c gw-d", "192.0.2.10"), "gw-a");
        assert_eq!(winner("gw-a:5 gw-b:5 gw-c:4 gw-d", "192.0.2.10"), "gw-b");
        let elected = candidates("gw-a:5 gw-b:5 gw-c:4 gw-d");
        assert_eq!(elect(&elected, "192.0.2.10".parse().unwrap()).unwrap().equals, 1);
    }

    // S-185
    #[test]
    fn losing_a_node_moves_its_own_addresses_only() {
        let all = candidates("gw-a gw-b gw-c gw-d gw-e");
        for lost in &all {
            let left: Vec<_> = all.iter().filter(|candidate| *candidate != lost).cloned().collect();
            let mut moved = 0;
            for host in 1..=250 {
                let address = IpAddr::from([198, 51, 100, host]);
                let before = elect(&all, address).unwrap().winner;
                let after = elect(&left, address).unwrap().winner;
                assert!(before == lost || before == after, "{address}");
                moved += u32::from(before == lost);
            }
            assert!((20..80).contains(&moved), "{moved} of 250 were on {}", lost.node);
        }
    }

    #[test]
    fn addresses_are_written_as_go_does() {
        assert_eq!(text("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1");
        assert_eq!(text("2001:db8:0:0:1::1".parse().unwrap()), "2001:db8::1:0:0:1");
    }
}
