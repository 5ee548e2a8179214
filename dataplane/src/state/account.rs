//! What only listings and ends of flows read of a flow, in an array of its own beside the records: how much there was of
//! it, whose it is, and when it began.

use super::{Direction, Flow, Millis, Record, Traffic, record::BYTES};
use crate::{
    lane::FlowLane,
    table::{BackendId, ServiceId},
    wire::Family,
};
use std::num::NonZeroU8;

/// As far as an account counts packets. A record that is armed is ahead of its account, which then counts from below zero.
const MOST_PACKETS: u64 = (1 << 48) - 1;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    bytes: [u64; 2],
    /// 48 bits each.
    packets: [[u8; 6]; 2],
    backend: BackendId,
    service: ServiceId,
    created: Millis,
}

impl Account {
    /// Nobody's.
    pub(super) const EMPTY: Self = Self {
        bytes: [0; 2],
        packets: [[0; 6]; 2],
        backend: BackendId(0),
        service: ServiceId(0),
        created: Millis(0),
    };

    /// The account of a new flow.
    pub(super) fn new(flow: &Flow<impl Family>) -> Self {
        let Flow { backend, service, created, .. } = *flow;
        let mut account = Self { backend, service, created, ..Self::EMPTY };
        for (direction, traffic) in flow.traffic.into_iter().enumerate() {
            account.add(direction, traffic.packets, traffic.bytes);
        }
        account
    }

    /// When the flow was opened.
    pub(super) fn created(&self) -> Millis {
        self.created
    }

    fn add(&mut self, direction: usize, packets: u64, bytes: u64) {
        self.bytes[direction] += bytes;
        let sum = self.packets(direction).wrapping_add(packets);
        if let Some(low) = sum.to_le_bytes().first_chunk() {
            self.packets[direction] = *low;
        }
    }

    /// Has a record say that it is full after `after` packets more of each direction, instead of 256.
    pub(super) fn arm<F: Family>(&mut self, record: &mut Record<F>, after: NonZeroU8) {
        let ahead = u32::from(after.get().wrapping_neg());
        for (direction, recent) in record.recent.iter_mut().enumerate() {
            let recent = std::mem::replace(recent, ahead << BYTES);
            let packets = u64::from(recent >> BYTES).wrapping_sub(u64::from(ahead));
            self.add(direction, packets, u64::from(recent & ((1 << BYTES) - 1)));
        }
    }

    /// Takes over what was counted elsewhere.
    pub(super) fn take_over(&mut self, traffic: &[Traffic; 2]) {
        for (direction, Traffic { packets, bytes }) in traffic.iter().enumerate() {
            self.add(direction, *packets, *bytes);
        }
    }

    fn packets(&self, direction: usize) -> u64 {
        let [a, b, c, d, e, g] = self.packets[direction];
        u64::from_le_bytes([a, b, c, d, e, g, 0, 0])
    }

    /// Takes over what a record counted up to an overflow.
    #[cold]
    pub(super) fn settle<F: Family>(&mut self, record: &mut Record<F>, direction: Direction) {
        let recent = std::mem::take(&mut record.recent[direction as usize]);
        self.add(direction as usize, 1 << (u32::BITS - BYTES), u64::from(recent));
    }

    /// The whole flow.
    pub(super) fn flow<F: Family>(&self, record: &Record<F>) -> Flow<F> {
        let traffic = |direction: usize| {
            let recent = record.recent[direction];
            Traffic {
                packets: self.packets(direction).wrapping_add(u64::from(recent >> BYTES)) & MOST_PACKETS,
                bytes: self.bytes[direction] + u64::from(recent & ((1 << BYTES) - 1)),
            }
        };
        let Record { acked, last_seen, udp_epoch, state, .. } = *record;
        Flow {
            original: record.tuple(Direction::Forward),
            reply: record.tuple(Direction::Reply),
            state,
            deltas: [record.deltas(Direction::Forward), record.deltas(Direction::Reply)],
            next_hop: record.next_hop(),
            backend: self.backend,
            service: self.service,
            acked,
            udp_epoch,
            last_hop: record.last_hop(),
            created: self.created,
            last_seen,
            traffic: [traffic(0), traffic(1)],
            lane: FlowLane::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::V4;

    #[test]
    fn an_account_is_small() {
        assert_eq!(size_of::<Account>(), 40);
    }

    #[test]
    fn nothing_is_lost_between_record_and_account() {
        let (mut record, mut account) = (Record::<V4>::free(), Account::EMPTY);
        let mut expected = Traffic::default();
        for packet in 0..1000u32 {
            let bytes = if packet < 700 { u16::MAX } else { packet as u16 };
            if record.count(Direction::Reply, bytes) {
                account.settle(&mut record, Direction::Reply);
            }
            expected.packets += 1;
            expected.bytes += u64::from(bytes);
            assert_eq!(account.flow(&record).traffic, [Traffic::default(), expected]);
        }
        let mut filled = 0;
        account.arm(&mut record, const { NonZeroU8::new(8).unwrap() });
        for packet in 1..=264 {
            assert_eq!(
                account.flow(&record).traffic,
                [Traffic::default(), expected],
                "before packet {packet}"
            );
            expected.packets += 1;
            expected.bytes += 100;
            if record.count(Direction::Reply, 100) {
                account.settle(&mut record, Direction::Reply);
                filled += 1;
                assert!([8, 264].contains(&packet), "it is full after 8, then after 256: {packet}");
            }
        }
        assert_eq!(filled, 2);
        account.add(1, 1 << 40, 1 << 50);
        let [_, reply] = account.flow(&record).traffic;
        assert_eq!((reply.packets, reply.bytes), (expected.packets + (1 << 40), expected.bytes + (1 << 50)));
    }
}
