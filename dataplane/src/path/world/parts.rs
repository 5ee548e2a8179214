//! Fragments of the test world: cut and put together by plain code that shares nothing with the path.

use super::*;
use crate::wire::Family;

/// Cuts a packet (from its IP header on, without options) into fragments of at most `most` bytes of payload each.
pub(crate) fn cut<F: Family>(ip: &[u8], id: u16, most: usize) -> Vec<Vec<u8>> {
    let header = F::MIN_HEADER;
    let (head, payload) = ip.split_at(header);
    let chunks: Vec<_> = payload.chunks(most).collect();
    let last = chunks.len() - 1;
    let parts =
        chunks.iter().enumerate().map(|(number, chunk)| part(head, id, number * most, number < last, chunk));
    parts.collect()
}

/// One fragment, with the header of the whole packet.
pub(crate) fn part(head: &[u8], id: u16, offset: usize, more: bool, chunk: &[u8]) -> Vec<u8> {
    assert!(offset.is_multiple_of(8));
    let mut bytes = head.to_vec();
    if head.len() == 20 {
        bytes[2..4].copy_from_slice(&((20 + chunk.len()) as u16).to_be_bytes());
        bytes[4..6].copy_from_slice(&id.to_be_bytes());
        bytes[6..8].copy_from_slice(&((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes());
        fix_ipv4(&mut bytes);
    } else {
        bytes[4..6].copy_from_slice(&((8 + chunk.len()) as u16).to_be_bytes());
        bytes[6] = 44;
        bytes.extend([head[6], 0]);
        bytes.extend((offset as u16 | u16::from(more)).to_be_bytes());
        bytes.extend(u32::from(id).to_be_bytes());
    }
    bytes.extend(chunk);
    bytes
}

/// Makes the checksum of an IPv4 header right.
pub(crate) fn fix_ipv4(bytes: &mut [u8]) {
    let len = usize::from(bytes[0] & 0xf) * 4;
    bytes[10..12].copy_from_slice(&[0, 0]);
    let sum = !ones_complement_sum(&bytes[..len]);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Puts the fragments in these frames (untagged) together, in whatever order they are, and checks every checksum.
pub(crate) fn reassemble<F: Family>(frames: &[Vec<u8>]) -> Ip {
    let be16 = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut parts = Vec::new();
    let mut head = Vec::new();
    for frame in frames {
        let ip = &frame[14..];
        let (offset_more, chunk) = if F::ADDR_LEN == 4 {
            assert_eq!(ones_complement_sum(&ip[..20]), 0xffff, "IPv4 header checksum");
            let field = be16(ip, 6);
            (((field & 0x1fff) * 8, field & 0x2000 != 0), &ip[20..usize::from(be16(ip, 2))])
        } else {
            assert_eq!(ip[6], 44, "a fragment header");
            ((be16(ip, 42) & 0xfff8, ip[43] & 1 == 1), &ip[48..40 + usize::from(be16(ip, 4))])
        };
        if offset_more.0 == 0 {
            head = ip[..F::MIN_HEADER].to_vec();
            if F::ADDR_LEN == 16 {
                head[6] = ip[40];
            }
        }
        parts.push((offset_more, chunk.to_vec()));
    }
    parts.sort();
    let mut payload = Vec::new();
    let count = parts.len();
    for (number, ((offset, more), chunk)) in parts.into_iter().enumerate() {
        assert_eq!(usize::from(offset), payload.len(), "no gap, no overlap");
        assert_eq!(more, number + 1 < count, "only the last is the last");
        payload.extend(chunk);
    }
    if F::ADDR_LEN == 4 {
        head[2..4].copy_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
        head[6..8].copy_from_slice(&[0, 0]);
        fix_ipv4(&mut head);
    } else {
        head[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    let whole = Ip::read(&[head, payload].concat());
    whole.check();
    whole
}
