//! A flow as the table keeps it: what a packet touches apart from what only listings and ends of flows do.
//!
//! [`Record`] is one cache line in IPv4 and two in IPv6, because at a million flows the lines that a packet fetches are
//! most of what it costs. The rest is in its account (`account.rs`).
//!
//! Traffic is counted in 32 bits a direction: 8 of packets above 24 of bytes, one addition a packet. When the packets
//! overflow, once in 256, both go to the account; the bytes cannot overflow before, as no packet is longer than 65,535
//! bytes.

use super::{Deltas, Direction, Flow, LastHopId, Millis, StateCode, Tuple};
use crate::{
    lane::Counted,
    table::{NextHopId, Transport},
    wire::{Family, IpProtocol, Leaving, TcpFlags},
};

/// What packets of one direction look like as they arrive, and what translating them adds to their checksums. The ends
/// lie as in a packet, so that they are compared and copied in words.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Side<F: Family> {
    ends: F::Ends,
    deltas: Deltas,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Record<F: Family> {
    /// By [`Direction`].
    sides: [Side<F>; 2],
    /// TCP, by [`Direction`]: what its sender acknowledged last, or 0. Resets of the other direction are held against it.
    pub acked: [u32; 2],
    /// By [`Direction`]: what the account does not have yet.
    pub(super) recent: [u32; 2],
    /// When its last packet came, in either direction. In a free place, the next free place.
    pub last_seen: Millis,
    /// By [`Direction`], the number of the way out: to the backend, and back to the client, where its last packet came from.
    hops: [u32; 2],
    /// UDP: [`Tables::udp_epoch`](crate::table::Tables::udp_epoch) when its backend was last found serving.
    pub udp_epoch: u16,
    /// A [`Transport`]'s, or [`NONE`].
    protocol: IpProtocol,
    /// State. Changed by [`FlowTable::set_state`](super::FlowTable::set_state) alone.
    pub(super) state: StateCode,
}

/// Marks a free place: no packet that has a tuple is of this protocol (RFC 5237 reserves it).
const NONE: IpProtocol = IpProtocol(u8::MAX);

/// Bits of [`Record::recent`] that count bytes.
pub(super) const BYTES: u32 = 24;

impl<F: Family> Record<F> {
    /// The record of a new flow.
    pub(super) fn new(flow: &Flow<F>) -> Self {
        Self {
            sides: [
                Side { ends: flow.original.ends(), deltas: flow.deltas[Direction::Forward as usize] },
                Side { ends: flow.reply.ends(), deltas: flow.deltas[Direction::Reply as usize] },
            ],
            acked: flow.acked,
            recent: [0; 2],
            last_seen: flow.last_seen,
            hops: [flow.next_hop.0, flow.last_hop.0],
            udp_epoch: flow.udp_epoch,
            protocol: flow.original.transport.protocol(),
            state: flow.state,
        }
    }

    /// A place without a flow.
    pub(super) fn free() -> Self {
        let nobody = Side { ends: F::join([F::UNSPECIFIED; 2], [0; 2]), deltas: Deltas::default() };
        Self {
            sides: [nobody; 2],
            acked: [0; 2],
            recent: [0; 2],
            last_seen: Millis::default(),
            hops: [0; 2],
            udp_epoch: 0,
            protocol: NONE,
            state: StateCode::default(),
        }
    }

    /// Marks the place as free, with the next free one behind it.
    pub(super) fn release(&mut self, next_free: u32) {
        self.protocol = NONE;
        self.last_seen = Millis(next_free);
    }

    /// The free place behind this one, which is free.
    pub(super) fn next_free(&self) -> u32 {
        self.last_seen.0
    }

    /// Whether no flow is here.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.protocol == NONE
    }

    /// Whether a flow is here whose packets of this direction arrive with these ends.
    #[inline(always)]
    pub(crate) fn is_of(&self, direction: Direction, ends: &F::Ends, protocol: IpProtocol) -> bool {
        F::are_same(&self.sides[direction as usize].ends, ends) && self.protocol == protocol
    }

    /// Whether a flow is here whose packets of this direction arrive with these ends, and one of this protocol and, if it is TCP,
    /// with these flags leaves the flow as it is, as nearly all do.
    #[inline(always)]
    pub(crate) fn is_settled_of(
        &self,
        direction: Direction,
        ends: &F::Ends,
        protocol: IpProtocol,
        flags: TcpFlags,
        udp_epoch: u16,
    ) -> bool {
        F::are_same(&self.sides[direction as usize].ends, ends)
            && self.is_settled(direction, protocol, flags, udp_epoch)
    }

    /// Whether the flow is of this protocol, and a packet of this direction and, if it is TCP, with these flags leaves it as it
    /// is. In doubt it says no. Protocol, epoch and state are one word, and compared as one.
    #[inline(always)]
    pub(crate) fn is_settled(
        &self,
        direction: Direction,
        protocol: IpProtocol,
        flags: TcpFlags,
        udp_epoch: u16,
    ) -> bool {
        let word = |epoch: u16, protocol: IpProtocol, state: u8| {
            u32::from(epoch) | u32::from(protocol.0) << 16 | u32::from(state) << 24
        };
        let difference =
            word(self.udp_epoch, self.protocol, self.state.number()) ^ word(udp_epoch, protocol, 0);
        StateCode::is_steady(difference.rotate_left(8), direction, flags)
    }

    /// The tuple of arriving packets of this direction.
    #[inline]
    pub fn tuple(&self, direction: Direction) -> Tuple<F> {
        Tuple::between(&self.sides[direction as usize].ends, self.transport())
    }

    /// Those of both, by [`Direction`].
    pub fn tuples(&self) -> [Tuple<F>; 2] {
        [Direction::Forward, Direction::Reply].map(|direction| self.tuple(direction))
    }

    fn transport(&self) -> Transport {
        Transport::from_protocol(self.protocol).unwrap_or(Transport::Tcp)
    }

    /// The number of the way out for packets of this direction.
    #[inline(always)]
    pub fn hop(&self, direction: Direction) -> usize {
        self.hops[direction as usize] as usize
    }

    /// The way to the backend.
    #[inline]
    pub fn next_hop(&self) -> NextHopId {
        NextHopId(self.hops[Direction::Forward as usize])
    }

    /// The way back to the client: where its last packet came from.
    #[inline(always)]
    pub fn last_hop(&self) -> LastHopId {
        LastHopId(self.hops[Direction::Reply as usize])
    }

    /// Another way back to the client.
    #[inline]
    pub fn set_last_hop(&mut self, last_hop: LastHopId) {
        self.hops[Direction::Reply as usize] = last_hop.0;
    }

    /// The tuple that a packet of this direction leaves with.
    #[inline]
    pub fn translated(&self, direction: Direction) -> Tuple<F> {
        self.tuple(direction.other()).reversed()
    }

    /// What a packet of this direction leaves with.
    #[inline(always)]
    pub fn leaving(&self, direction: Direction) -> Leaving<'_, F> {
        let Deltas { header, transport } = self.deltas(direction);
        Leaving { answer: &self.sides[direction as usize ^ 1].ends, header, transport }
    }

    /// What translating a packet of this direction adds to its checksums.
    #[inline]
    pub fn deltas(&self, direction: Direction) -> Deltas {
        self.sides[direction as usize].deltas
    }

    /// Its state.
    #[inline]
    pub fn state(&self) -> StateCode {
        self.state
    }

    /// Takes over when its last packet came, and what was acknowledged, as they were seen elsewhere.
    pub(super) fn catch_up(&mut self, counted: &Counted) {
        if let Some(seen) = counted.last_seen
            && seen.reached(self.last_seen)
        {
            self.last_seen = seen;
        }
        self.catch_up_acked(counted.acked);
    }

    /// The same of what was acknowledged alone: the later one, as TCP's numbers go (RFC 9293 §3.4).
    pub fn catch_up_acked(&mut self, acked: [u32; 2]) {
        for (mine, theirs) in self.acked.iter_mut().zip(acked) {
            if *mine == 0 || theirs.wrapping_sub(*mine) as i32 > 0 {
                *mine = theirs;
            }
        }
    }

    /// Takes note of a packet that changes nothing else: what it acknowledges, when it came, and its bytes of IP. As
    /// [`count`](Self::count) it says whether the count is full.
    #[inline(always)]
    #[must_use]
    pub fn note(&mut self, direction: Direction, acknowledged: u32, now: Millis, ip_bytes: u16) -> bool {
        self.acked[direction as usize] = acknowledged;
        self.last_seen = now;
        self.count(direction, ip_bytes)
    }

    /// Counts a packet. Whether the count is full, and [`FlowTable::settle`](super::FlowTable::settle) is due before
    /// the next one.
    #[inline(always)]
    #[must_use]
    pub fn count(&mut self, direction: Direction, ip_bytes: u16) -> bool {
        let recent = &mut self.recent[direction as usize];
        let (sum, is_full) = recent.overflowing_add(1 << BYTES | u32::from(ip_bytes));
        *recent = sum;
        is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{V4, V6};

    /// What a packet of a flow touches, and none of it a neighbour's.
    #[test]
    fn a_record_is_whole_lines() {
        assert_eq!((size_of::<Record<V4>>(), align_of::<Record<V4>>()), (64, 64));
        assert_eq!((size_of::<Record<V6>>(), align_of::<Record<V6>>()), (2 * 64, 64));
    }
}
