//! Fifth stage: new addresses, new ports, one hop less, and the checksums with them.
//!
//! Checksums are changed by the flow's cached deltas (RFC 1624), never computed anew, so a packet that arrived broken
//! stays broken (RFC 3022 §4.1). Writes to the first lines of the packet only.

use super::Packet;
use crate::{
    state::{Direction, Flow, Tuple},
    table::{Link, Transport},
    wire::{Delta, Family, Sum, apply_checksum, set_ports},
};

/// How one packet of a flow is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Translation<'t, F: Family> {
    /// What it leaves with.
    pub(super) tuple: Tuple<F>,
    /// What that adds to its TCP or UDP checksum.
    pub(super) delta: Delta,
    /// What that adds to its IPv4 header checksum.
    pub(super) header_delta: Delta,
    /// Where it goes.
    pub(super) link: &'t Link,
}

impl<'t, F: Family> Translation<'t, F> {
    #[inline]
    pub(super) fn of(flow: &Flow<F>, direction: Direction, link: &'t Link) -> Self {
        let turn = |delta: Delta| direction.select(delta, delta.negate());
        Self {
            tuple: flow.translated(direction),
            delta: turn(flow.delta),
            header_delta: turn(flow.header_delta),
            link,
        }
    }
}

/// The change in the sum of the addresses, and of addresses and ports, from one tuple to another.
pub(super) fn deltas<F: Family>(from: &Tuple<F>, to: &Tuple<F>) -> (Delta, Delta) {
    let addresses = |tuple: &Tuple<F>| F::addr_sum(tuple.source).plus(F::addr_sum(tuple.destination));
    let ports =
        |tuple: &Tuple<F>| Sum::zero().add_u16_be(tuple.source_port).add_u16_be(tuple.destination_port);
    let (old, new) = (addresses(from), addresses(to));
    (Delta::between(old, new), Delta::between(old.plus(ports(from)), new.plus(ports(to))))
}

/// Translates a packet.
#[inline(always)]
pub(super) fn translate<F: Family>(packet: &Packet<F>, frame: &mut [u8], translation: &Translation<'_, F>) {
    let tuple = &translation.tuple;
    let l3 = packet.layout.l3_mut(frame);
    F::translate(l3, tuple.source, tuple.destination, translation.header_delta);
    if let Some(l4) = l3.get_mut(packet.layout.header_len()..) {
        set_tuple(l4, tuple, translation.delta);
    }
}

/// Replaces the ports of a TCP or UDP header and repairs its checksum, where the bytes reach that far (those quoted by
/// ICMP may not).
#[inline]
pub(super) fn set_tuple<F: Family>(l4: &mut [u8], tuple: &Tuple<F>, delta: Delta) {
    set_ports(l4, tuple.source_port, tuple.destination_port);
    match tuple.transport {
        Transport::Tcp | Transport::Udp => apply_checksum(l4, tuple.transport == Transport::Udp, delta),
        Transport::Sctp => {}
    }
}
