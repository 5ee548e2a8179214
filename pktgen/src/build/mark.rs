//! What a frame says of itself, in the 18 bytes that the smallest frame has room for.
//!
//! ```text
//!  0    2     4                10         14          18
//!  | PK | run | time, 48 bits  | flow     | number    |   behind the UDP or TCP header, in network order
//! ```
//! The time is that of CLOCK_MONOTONIC in nanoseconds, without its upper 16 bits: it comes round every 78 hours. Whether
//! a frame was changed on its way is told by its own checksum, which whoever translates it has to keep right.

use std::ops::Range;

use penstock_dataplane::wire::{Ethernet, Family, IpProtocol, Tcp, Udp, V4, V6};

use crate::bytes::{array, put};

/// Its length.
pub const MARK_BYTES: usize = 18;

pub(super) mod field {
    use super::Range;
    pub(in crate::build) const MAGIC: Range<usize> = 0..2;
    pub(in crate::build) const RUN: Range<usize> = 2..4;
    pub(in crate::build) const TIME: Range<usize> = 4..10;
    pub(in crate::build) const FLOW: Range<usize> = 10..14;
    pub(in crate::build) const NUMBER: Range<usize> = 14..18;
}

const MAGIC: [u8; 2] = *b"PK";
const TIME_BITS: u32 = 48;

/// A mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which run it is of: what an earlier one left on the way is not taken for ours.
    pub run: u16,
    /// When it was sent.
    pub time_ns: u64,
    /// Its flow.
    pub flow: u32,
    /// Its number in the flow, from 0.
    pub number: u32,
}

impl Mark {
    /// As bytes.
    pub fn to_bytes(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        put(&mut bytes[field::MAGIC], &MAGIC);
        put(&mut bytes[field::RUN], &self.run.to_be_bytes());
        put(&mut bytes[field::TIME], &self.time_ns.to_be_bytes()[2..]);
        put(&mut bytes[field::FLOW], &self.flow.to_be_bytes());
        put(&mut bytes[field::NUMBER], &self.number.to_be_bytes());
        bytes
    }

    /// From the start of a payload.
    pub fn read(payload: &[u8]) -> Option<Mark> {
        let bytes = payload.first_chunk::<MARK_BYTES>()?;
        let mut time = [0; 8];
        put(&mut time[2..], &bytes[field::TIME]);
        (bytes[field::MAGIC] == MAGIC).then(|| Mark {
            run: u16::from_be_bytes(array(&bytes[field::RUN])),
            time_ns: u64::from_be_bytes(time),
            flow: u32::from_be_bytes(array(&bytes[field::FLOW])),
            number: u32::from_be_bytes(array(&bytes[field::NUMBER])),
        })
    }

    /// How long it took until `now_ns`.
    pub fn age_ns(self, now_ns: u64) -> u64 {
        now_ns.wrapping_sub(self.time_ns) & ((1 << TIME_BITS) - 1)
    }
}

/// The mark of a frame, and whether its transport checksum is right. `None` if it has none.
pub fn find_mark(frame: &[u8]) -> Option<(Mark, bool)> {
    let ethernet = Ethernet::parse(frame).ok()?;
    match ethernet.ether_type() {
        kind if kind == V4::ETHER_TYPE => in_packet::<V4>(ethernet.payload()),
        kind if kind == V6::ETHER_TYPE => in_packet::<V6>(ethernet.payload()),
        _ => None,
    }
}

fn in_packet<F: Family>(l3: &[u8]) -> Option<(Mark, bool)> {
    let header = F::parse(l3).ok()?;
    let l4 = header.upper_layer(l3);
    let length = u32::try_from(l4.len()).ok()?;
    let sum = F::pseudo_header_sum(F::source(l3), F::destination(l3), header.protocol, length);
    if header.protocol == IpProtocol::UDP {
        let udp = Udp::parse(l4).ok()?;
        Some((Mark::read(udp.payload())?, udp.checksum_is_valid(sum)))
    } else if header.protocol == IpProtocol::TCP {
        let tcp = Tcp::parse(l4).ok()?;
        Some((Mark::read(tcp.payload())?, tcp.checksum_is_valid(sum)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back() {
        let mark = Mark { run: 0xabcd, time_ns: 0x1234_5678_9abc, flow: 7, number: u32::MAX };
        assert_eq!(Mark::read(&mark.to_bytes()), Some(mark));
        assert_eq!(Mark::read(&mark.to_bytes()[..17]), None);
        assert_eq!(Mark::read(&[0; 18]), None);
    }

    #[test]
    fn an_age_survives_the_clock_coming_round() {
        let mark = Mark { run: 0, time_ns: (1 << 48) - 5, flow: 0, number: 0 };
        assert_eq!(mark.age_ns((1 << 48) + 10), 15);
        assert_eq!(mark.age_ns((7 << 48) - 5), 0);
    }
}
