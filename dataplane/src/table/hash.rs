//! The hash by which gateways agree.
//!
//! Maglev rings, the choice of a slot, the first SNAT port tried and the owner of a client are functions of this
//! hash alone, so two gateways (or one before and after a restart) make the same decisions without talking. It is
//! therefore part of the interface between versions: it has no seed and must not change. Tables that face hostile
//! traffic use a seeded hash of their own (`state::flow`).
//!
//! The mixer is a 64×64→128-bit multiply folded by xor, with odd constants from the fractional digits of π.

use crate::wire::Family;

const K0: u64 = 0x243f_6a88_85a3_08d3;
const K1: u64 = 0x1319_8a2e_0370_7345;

#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The address as two words: IPv4 in the low half of the first.
#[inline]
pub(crate) fn words<F: Family>(addr: F::Addr) -> (u64, u64) {
    let octets = F::octets(&addr);
    let bytes: &[u8] = octets.as_ref();
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(high), Some(low)) => (u64::from_be_bytes(*high), u64::from_be_bytes(*low)),
        _ => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    }
}

/// Hashes two words under a purpose, so that the same words give unrelated values for different uses.
#[inline]
pub fn stable_hash(purpose: u64, a: u64, b: u64) -> u64 {
    fold(fold(a ^ K0, b ^ K1) ^ purpose, K0 ^ purpose.rotate_left(32))
}

/// The hashes of a flow's client side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowHash;

impl FlowHash {
    /// The hash of a client address: the owner of its flows, and its Maglev slot under ClientIP affinity.
    #[inline]
    pub fn of_client<F: Family>(client: F::Addr) -> u64 {
        let (a, b) = words::<F>(client);
        stable_hash(0x11, a, b)
    }

    /// The hash of a flow: client address and port, and the VIP's.
    #[inline]
    pub fn of_flow<F: Family>(client: F::Addr, client_port: u16, vip: F::Addr, vip_port: u16) -> u64 {
        let (a, b) = words::<F>(client);
        let (c, d) = words::<F>(vip);
        let ports = u64::from(client_port) << 16 | u64::from(vip_port);
        fold(stable_hash(0x22, a, b), stable_hash(0x33 ^ ports << 8, c, d) | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{V4, V6};

    /// Gateways of different versions must agree: these values may never change.
    #[test]
    fn the_hash_is_part_of_the_interface() {
        let client = "192.0.2.7".parse().unwrap();
        let vip = "203.0.113.1".parse().unwrap();
        assert_eq!(FlowHash::of_client::<V4>(client), CLIENT);
        assert_eq!(FlowHash::of_flow::<V4>(client, 40000, vip, 80), FLOW);
        let client6 = "2001:db8::7".parse().unwrap();
        let vip6 = "2001:db8:1::1".parse().unwrap();
        assert_eq!(FlowHash::of_flow::<V6>(client6, 40000, vip6, 80), FLOW6);
    }

    const CLIENT: u64 = 0x8419_791e_3539_35d7;
    const FLOW: u64 = 0xdf0a_3ea2_ce4b_cce8;
    const FLOW6: u64 = 0x8e2a_744b_564c_fb66;

    #[test]
    fn neighbouring_flows_spread_over_all_bits() {
        let vip = "203.0.113.1".parse().unwrap();
        let mut ones = [0u32; 64];
        let flows = 4096;
        for i in 0..flows {
            let client = std::net::Ipv4Addr::from(0x0a00_0000 + i / 64);
            let hash = FlowHash::of_flow::<V4>(client, (i % 64) as u16, vip, 80);
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (hash >> bit & 1) as u32;
            }
        }
        for (bit, count) in ones.iter().enumerate() {
            assert!(
                (flows * 45 / 100..flows * 55 / 100).contains(count),
                "bit {bit} is set in {count} of {flows}"
            );
        }
    }
}
