//! Packets byte by byte, wrong ones included. Checksums are left zero: the classifier doesn't look at them.

use super::address;

pub(super) const CLIENT: u8 = 200;
pub(super) const ROUTER: u8 = 201;
pub(super) const VIP: u8 = 10;
pub(super) const NODE: u8 = 1;
pub(super) const POOL: u8 = 2;
pub(super) const BACKEND: u8 = 100;
pub(super) const OTHER: u8 = 250;

/// Source and destination by the last byte of their addresses.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) v6: bool,
    pub(super) from: u8,
    pub(super) to: u8,
}

pub(super) fn ends(v6: bool, from: u8, to: u8) -> Ends {
    Ends { v6, from, to }
}

/// The first bytes of TCP, UDP or SCTP, and some payload.
pub(super) fn ports(from: u16, to: u16) -> Vec<u8> {
    let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
    bytes.extend([0; 24]);
    bytes
}

/// An IP packet.
pub(super) fn ip(ends: Ends, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if ends.v6 { ip6(ends, protocol, payload) } else { ip4(ends, protocol, 0, 0, 0, payload) }
}

/// An IPv4 packet with `options` words of options, an identification, and the fragment field as it is on the wire.
pub(super) fn ip4(ends: Ends, protocol: u8, options: u8, id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = 20 + 4 * usize::from(options) + payload.len();
    let mut bytes = vec![0x45 + options, 0];
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    for last in [ends.from, ends.to] {
        let std::net::IpAddr::V4(v4) = address(false, last) else { unreachable!() };
        bytes.extend(v4.octets());
    }
    bytes.extend(std::iter::repeat_n(1, 4 * usize::from(options)));
    bytes.extend(payload);
    bytes
}

fn ip6(ends: Ends, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    for last in [ends.from, ends.to] {
        let std::net::IpAddr::V6(v6) = address(true, last) else { unreachable!() };
        bytes.extend(v6.octets());
    }
    bytes.extend(payload);
    bytes
}

/// An IPv6 extension header of 8 * (words + 1) bytes before `payload`.
pub(super) fn extension(next: u8, words: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, words];
    bytes.extend(std::iter::repeat_n(0, 6 + 8 * usize::from(words)));
    bytes.extend(payload);
    bytes
}

/// An IPv6 fragment header before `payload`: the offset-and-flags field as it is on the wire.
pub(super) fn fragment6(next: u8, fragment: u16, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend(fragment.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An ICMP message with eight bytes of header.
pub(super) fn icmp(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(body);
    bytes
}

/// Ethernet with VLAN tags of these types around an IP packet.
pub(super) fn ethernet(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let ip_type: u16 = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 0x86dd } else { 0x0800 };
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 5]);
    }
    bytes.extend(ip_type.to_be_bytes());
    bytes.extend(packet);
    bytes
}

/// Ethernet without tags.
pub(super) fn plain(packet: &[u8]) -> Vec<u8> {
    ethernet(&[], packet)
}
