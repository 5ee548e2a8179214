//! Fifth stage: new addresses, new ports, one hop less, and the checksums with them.
//!
//! Checksums are changed by the flow's cached deltas (RFC 1624), never computed anew, so a packet that arrived broken
//! stays broken (RFC 3022 §4.1). Writes to the first lines of the packet only.

use super::packet::{Packet, Part};
use crate::{
    state::{Deltas, Direction, Record, Tuple},
    table::{Link, Transport},
    wire::{Delta, Family, Sctp, Sum, translate_ports},
};

/// How one packet of a flow is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Translation<'t, F: Family> {
    /// What it leaves with.
    pub(super) tuple: Tuple<F>,
    /// What that adds to its checksums.
    pub(super) deltas: Deltas,
    /// Where it goes.
    pub(super) link: &'t Link,
    /// The longest packet that goes there.
    pub(super) mtu: u16,
}

impl<'t, F: Family> Translation<'t, F> {
    #[inline]
    pub(super) fn of(flow: &Record<F>, direction: Direction, link: &'t Link, mtu: u16) -> Self {
        Self { tuple: flow.translated(direction), deltas: flow.deltas(direction), link, mtu }
    }
}

/// What a flow caches: how both directions change the checksums.
pub(crate) fn flow_deltas<F: Family>(original: &Tuple<F>, reply: &Tuple<F>) -> [Deltas; 2] {
    let (header, transport) = deltas(original, &reply.reversed());
    // A sum does not know which way round its words are, so what one direction adds the other takes off.
    [(header, transport), (header.negate(), transport.negate())]
        .map(|(header, transport)| Deltas { transport, header: header.plus(F::HOP) })
}

/// The change in the sum of the addresses, and of addresses and ports, from one tuple to another.
pub(super) fn deltas<F: Family>(from: &Tuple<F>, to: &Tuple<F>) -> (Delta, Delta) {
    let addresses = |tuple: &Tuple<F>| F::addr_sum(tuple.source).plus(F::addr_sum(tuple.destination));
    let ports =
        |tuple: &Tuple<F>| Sum::zero().add_u16_be(tuple.source_port).add_u16_be(tuple.destination_port);
    let (old, new) = (addresses(from), addresses(to));
    (Delta::between(old, new), Delta::between(old.plus(ports(from)), new.plus(ports(to))))
}

/// Translates a packet of TCP or UDP that has its transport header.
#[inline(always)]
pub(super) fn translate_whole<F: Family>(
    packet: &Packet<F>,
    frame: &mut [u8],
    translation: &Translation<'_, F>,
) {
    let Translation { tuple, deltas, .. } = translation;
    if let Some(l4) = translate_header(packet, frame, translation) {
        let is_udp = tuple.transport == Transport::Udp;
        translate_ports(l4, is_udp, tuple.source_port, tuple.destination_port, deltas.transport);
    }
}

/// Translates any packet.
pub(super) fn translate<F: Family>(packet: &Packet<F>, frame: &mut [u8], translation: &Translation<'_, F>) {
    let Translation { tuple, deltas, .. } = translation;
    if let Some(l4) = translate_header(packet, frame, translation)
        && packet.part != Part::Later
    {
        let whole = l4.len();
        set_tuple(l4, whole, tuple, deltas.transport);
    }
}

/// Translates the IP header. What is behind it.
#[inline(always)]
fn translate_header<'f, F: Family>(
    packet: &Packet<F>,
    frame: &'f mut [u8],
    translation: &Translation<'_, F>,
) -> Option<&'f mut [u8]> {
    let Translation { tuple, deltas, .. } = translation;
    let l3 = packet.layout.l3_mut(frame);
    F::translate(l3, tuple.source, tuple.destination, deltas.header);
    l3.get_mut(packet.layout.header_len()..)
}

/// Replaces the ports of a transport header and repairs its checksum, where the bytes reach that far (those quoted by
/// ICMP may not). `whole` is the length of the packet from that header on, quoted whole or not.
#[inline]
pub(super) fn set_tuple<F: Family>(l4: &mut [u8], whole: usize, tuple: &Tuple<F>, delta: Delta) {
    if tuple.transport == Transport::Sctp {
        return Sctp::apply_ports(l4, whole, tuple.source_port, tuple.destination_port);
    }
    let is_udp = tuple.transport == Transport::Udp;
    translate_ports(l4, is_udp, tuple.source_port, tuple.destination_port, delta);
}
