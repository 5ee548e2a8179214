//! Whether a frame's checksums are right, told by code that shares nothing with the dataplane.
//!
//! In: a frame. Out: [`Checks`], or nothing where it is not an IP packet that can be read to its upper layer. Slow and
//! plain: sums are made anew over all bytes, the CRC bit by bit.

/// What is to be said of one checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// There is none to check: UDP without one, a fragment, another protocol, or too short.
    None,
}

/// The checksums of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// IPv4's header checksum.
    pub header: Check,
    /// That of TCP, UDP, SCTP, ICMP or ICMPv6.
    pub upper: Check,
    /// Which of them.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hops: u8,
}

/// The Internet checksum (RFC 1071) of bytes and of what comes before them.
pub fn internet_checksum(before: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = u64::from(before) + words.map(u64::from).sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The CRC-32C of RFC 9260, appendix A.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

/// The sum of the pseudo-header of an IP packet.
pub(super) fn pseudo_header(ip: &[u8], protocol: u8, len: usize) -> u32 {
    let addresses =
        if ip.first().is_some_and(|first| first >> 4 == 4) { ip.get(12..20) } else { ip.get(8..40) };
    let words = addresses.unwrap_or_default().chunks_exact(2);
    words.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>()
        + u32::from(protocol)
        + len as u32
}

/// Reads a frame, tags and extension headers included.
pub fn checks(frame: &[u8]) -> Option<Checks> {
    let Place { ip, l4, protocol, is_fragment, is_v4 } = find(frame)?;
    let header = match is_v4 {
        true if internet_checksum(0, ip.get(..usize::from(ip[0] & 0xf) * 4)?) == 0 => Check::Right,
        true => Check::Wrong,
        false => Check::None,
    };
    let upper = if is_fragment { Check::None } else { upper(ip, l4, protocol) };
    Some(Checks { header, upper, protocol, hops: ip[if is_v4 { 8 } else { 7 }] })
}

/// The packet that an ICMP error in a frame quotes, as a frame.
pub fn quoted(frame: &[u8]) -> Option<Vec<u8>> {
    let Place { ip, l4, protocol, is_v4, .. } = find(frame)?;
    let is_error = match (protocol, *ip.get(l4)?) {
        (1, kind) => is_v4 && matches!(kind, 3 | 4 | 11 | 12),
        (58, kind) => !is_v4 && (1..=4).contains(&kind),
        _ => false,
    };
    let ether_type: [u8; 2] = if is_v4 { [8, 0] } else { [0x86, 0xdd] };
    is_error.then_some(())?;
    Some([&[0; 12][..], &ether_type, ip.get(l4 + 8..)?].concat())
}

/// Where things are in a frame.
struct Place<'f> {
    /// The IP packet, without padding.
    ip: &'f [u8],
    /// Where in it the upper layer begins.
    l4: usize,
    protocol: u8,
    is_fragment: bool,
    is_v4: bool,
}

fn find(frame: &[u8]) -> Option<Place<'_>> {
    let mut at = 12;
    while matches!(be16(frame, at)?, 0x8100 | 0x88a8) {
        at += 4;
    }
    let ip = &frame[at + 2..];
    match be16(frame, at)? {
        0x0800 => find_v4(ip),
        0x86dd => find_v6(ip),
        _ => None,
    }
}

fn find_v4(ip: &[u8]) -> Option<Place<'_>> {
    let (l4, len) = (usize::from(ip.first()? & 0xf) * 4, usize::from(be16(ip, 2)?));
    let (ip, protocol) = (ip.get(..len)?, *ip.get(9)?);
    Some(Place { ip, l4, protocol, is_fragment: be16(ip, 6)? & 0x3fff != 0, is_v4: true })
}

fn find_v6(ip: &[u8]) -> Option<Place<'_>> {
    let ip = ip.get(..usize::from(be16(ip, 4)?) + 40)?;
    let (mut protocol, mut l4, mut is_fragment) = (*ip.get(6)?, 40, false);
    while !is_fragment {
        let len = usize::from(*ip.get(l4 + 1).unwrap_or(&0));
        let step = match protocol {
            0 | 43 | 60 => (len + 1) * 8,
            51 => ((len + 2) * 4).max(8),
            44 => {
                // An offset, or more to come.
                is_fragment = be16(ip, l4 + 2)? & 0xfff9 != 0;
                8
            }
            _ => break,
        };
        protocol = *ip.get(l4)?;
        l4 += step;
    }
    Some(Place { ip, l4, protocol, is_fragment, is_v4: false })
}

fn upper(ip: &[u8], at: usize, protocol: u8) -> Check {
    let Some(mut l4) = ip.get(at..) else { return Check::None };
    if protocol == 17 {
        // A datagram may end before its packet.
        let Some(len) = be16(l4, 4).filter(|len| *len >= 8) else { return Check::None };
        let Some(datagram) = l4.get(..usize::from(len)) else { return Check::None };
        l4 = datagram;
    }
    let least = match protocol {
        1 | 17 | 58 => 8,
        6 => 20,
        132 => 12,
        _ => return Check::None,
    };
    if l4.len() < least || (protocol == 17 && l4[6..8] == [0, 0]) {
        return Check::None;
    }
    let is_right = match protocol {
        132 => crc32c(&[&l4[..8], &[0; 4], &l4[12..]].concat()).to_le_bytes() == l4[8..12],
        1 => internet_checksum(0, l4) == 0,
        _ => internet_checksum(pseudo_header(ip, protocol, l4.len()), l4) == 0,
    };
    if is_right { Check::Right } else { Check::Wrong }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::{Check, checks, crc32c, internet_checksum};
    use crate::packets::{DNS, IcmpType, Net, Packet, SIGNALS, WEB};

    #[test]
    fn known_answers() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        // RFC 1071, section 3.
        assert_eq!(internet_checksum(0, &[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn what_is_built_is_right_and_what_is_spoilt_wrong() {
        for net in Net::ALL {
            let (client, stop) = (net.client(), |port| net.vip(port));
            let packets = [
                Packet::tcp(client, stop(WEB), "S", b"abc"),
                Packet::udp(client, stop(DNS), b"abc"),
                Packet::sctp_init(client, stop(SIGNALS)),
                Packet::icmp(net.client_ip, net.vip, IcmpType::EchoRequest, b"abc"),
            ];
            for packet in packets {
                let seen = checks(&packet.frame()).expect("an IP packet");
                assert_eq!(seen.upper, Check::Right, "{packet:?}");
                assert_eq!(seen.header, if net.is_v4() { Check::Right } else { Check::None });
                let last = packet.ip.len() - 1;
                let spoilt = packet.put(last, &[0xee]);
                assert_eq!(checks(&spoilt.frame()).expect("an IP packet").upper, Check::Wrong);
            }
        }
    }
}
