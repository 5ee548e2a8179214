//! Packets of a flow, right and wrong in every way there is a check for.

use super::{
    super::bench::Laned,
    both::{CLIENT_MTU, CLIENT_TAGS},
};
use crate::{
    io::PortId,
    path::world::*,
    state::{Direction, Flow},
    table::{Link, Transport},
    wire::TcpFlags,
};

/// A port that nothing comes from, but for packets that are to come by another way.
const OTHER_PORT: PortId = PortId(2);

/// Numbers that look random and are the same each time (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// How a packet is unlike the plainest one of its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Change {
    None,
    Flags,
    Hops,
    Length,
    Padding,
    CutShort,
    TotalLength,
    UpperLength,
    Checksum,
    HeaderChecksum,
    AnyBit,
    Options,
    Fragment,
    Class,
    OtherWay,
    OtherTags,
}

impl Change {
    pub(super) const ALL: [Change; 16] = [
        Self::None,
        Self::Flags,
        Self::Hops,
        Self::Length,
        Self::Padding,
        Self::CutShort,
        Self::TotalLength,
        Self::UpperLength,
        Self::Checksum,
        Self::HeaderChecksum,
        Self::AnyBit,
        Self::Options,
        Self::Fragment,
        Self::Class,
        Self::OtherWay,
        Self::OtherTags,
    ];
}

/// A frame, and the port it comes to.
pub(super) struct Arrival {
    pub(super) port: PortId,
    pub(super) bytes: Vec<u8>,
}

/// A packet of a flow, which comes from where that of a link's goes, changed in one way.
pub(super) fn packet<F: Laned>(
    random: &mut Random,
    flow: &Flow<F>,
    direction: Direction,
    link: Link,
) -> (Arrival, Change) {
    let change = if random.one_in(2) { Change::None } else { random.of(&Change::ALL) };
    let tuple = direction.select(flow.original, flow.reply);
    let mut spec = Spec::new(tuple, TcpFlags::ACK);
    (spec.seq, spec.ack) = (random.next() as u32, random.next() as u32);
    if random.one_in(4) {
        spec.flags = spec.flags | random.of(&[TcpFlags::PSH, TcpFlags::URG]);
    }
    spec.link = link;
    let most = random.of(&[0, 1, 40, 600, 1250]);
    spec.payload = (0..random.below(most + 1)).map(|_| random.next() as u8).collect();
    spec.no_checksum = F::ADDR_LEN == 4 && random.one_in(5);
    spec.dont_fragment = random.one_in(2);
    spec.hop_limit = random.of(&[2, 3, 64, 255]);
    let delta = flow.deltas[direction as usize].transport.bits().to_ne_bytes();
    match change {
        Change::Hops => spec.hop_limit = random.of(&[0, 1, 2]),
        // Up to and beyond each MTU.
        Change::Length => {
            let whole = random.of(&[1300, 1400, CLIENT_MTU.into(), 1500]) + random.below(5) - 2;
            let head = F::MIN_HEADER + if tuple.transport == Transport::Tcp { 20 } else { 8 };
            spec.payload = vec![0x5a; whole - head];
        }
        Change::OtherTags => spec.link.vlan = tags(random.of(&CLIENT_TAGS)),
        _ => {}
    }
    let mut port = spec.link.port;
    let mut bytes = spec.bytes();
    let ip = 14 + 4 * spec.link.vlan.len();
    let upper = ip + F::MIN_HEADER;
    let is_v4 = F::ADDR_LEN == 4;
    let is_tcp = tuple.transport == Transport::Tcp;
    match change {
        Change::None | Change::Hops | Change::Length | Change::OtherTags => {}
        Change::Flags if is_tcp => bytes[upper + 13] = random.next() as u8,
        Change::Flags => bytes[upper + 4 + random.below(2)] = random.next() as u8,
        Change::Padding => bytes.extend(vec![0xee; 1 + random.below(40)]),
        Change::CutShort => {
            let end = (bytes.len() - random.below(bytes.len().min(60))).max(14);
            bytes.truncate(end);
        }
        Change::TotalLength => {
            let at = ip + if is_v4 { 2 } else { 4 };
            let stated = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let other = match random.below(3) {
                0 => random.next() as u16,
                1 => stated.wrapping_sub(random.below(60) as u16),
                _ => stated.wrapping_add(random.below(60) as u16),
            };
            bytes[at..at + 2].copy_from_slice(&other.to_be_bytes());
            bytes.extend(vec![0; random.below(60)]);
        }
        Change::UpperLength if is_tcp => bytes[upper + 12] = random.next() as u8,
        Change::UpperLength => {
            let stated = u16::from_be_bytes([bytes[upper + 4], bytes[upper + 5]]);
            let other = stated.wrapping_add(random.below(20) as u16).wrapping_sub(10);
            bytes[upper + 4..upper + 6].copy_from_slice(&other.to_be_bytes());
        }
        // Among them one from which zero is computed.
        Change::Checksum => {
            let any = (random.next() as u16).to_ne_bytes();
            let check = random.of(&[[0, 0], [0xff, 0xff], delta, any]);
            let at = upper + if is_tcp { 16 } else { 6 };
            bytes[at..at + 2].copy_from_slice(&check);
        }
        Change::HeaderChecksum if is_v4 => {
            let any = (random.next() as u16).to_ne_bytes();
            let check = random.of(&[[0, 0], [0xff, 0xff], any]);
            bytes[ip + 10..ip + 12].copy_from_slice(&check);
        }
        Change::HeaderChecksum => bytes[ip] = random.next() as u8,
        Change::AnyBit => {
            let bit = random.below(8 * bytes.len().min(upper + 20));
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Change::Options => {
            let extra: &[u8] = if is_v4 { &[1; 4] } else { &[bytes[ip + 6], 0, 1, 4, 0, 0, 0, 0] };
            bytes.splice(upper..upper, extra.to_vec());
            let at = ip + if is_v4 { 2 } else { 4 };
            let stated = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + extra.len() as u16;
            bytes[at..at + 2].copy_from_slice(&stated.to_be_bytes());
            match is_v4 {
                true => bytes[ip] = 0x46,
                false => bytes[ip + 6] = random.of(&[0, 60, 60, 43]),
            }
        }
        Change::Fragment if is_v4 => {
            let field = random.of(&[0x2000u16, 0x0001, 0x2001, 0x4000, 0x8000, 0x1fff]);
            bytes[ip + 6..ip + 8].copy_from_slice(&field.to_be_bytes());
        }
        Change::Fragment => {
            let field = random.of(&[0u16, 1, 8, 9]).to_be_bytes();
            let header = [bytes[ip + 6], 0, field[0], field[1], 0, 0, 0, random.next() as u8];
            bytes.splice(upper..upper, header);
            let stated = u16::from_be_bytes([bytes[ip + 4], bytes[ip + 5]]) + 8;
            bytes[ip + 4..ip + 6].copy_from_slice(&stated.to_be_bytes());
            bytes[ip + 6] = 44;
        }
        Change::Class => bytes[ip + 1] = random.next() as u8,
        Change::OtherWay if random.one_in(2) => port = OTHER_PORT,
        Change::OtherWay => bytes[random.below(12)] ^= 1 << random.below(8),
    }
    let is_broken = matches!(change, Change::HeaderChecksum | Change::CutShort | Change::AnyBit);
    let has_header = bytes.get(ip).is_some_and(|first| bytes.len() >= ip + usize::from(first & 15) * 4);
    if is_v4 && !is_broken && has_header {
        fix_ipv4(&mut bytes[ip..]);
    }
    (Arrival { port, bytes }, change)
}
