//! Beside the road, after an address has moved here: packets of flows that its former owner tracks are sent on to it.
//!
//! In: a packet to such an address that no flow here claims. Out: the same frame, from our MAC to that gateway's, if the
//! packet cannot be the first of a flow: a TCP segment without SYN, an SCTP packet without INIT, their fragments, an ICMP
//! error about a flow. Everything else of the frame stays, TTL and checksums too: at the former owner it is as if it had
//! come from the client. What begins a flow is ours, and so is UDP, any packet of which may be the first.
//!
//! Only a flow's owner knows that it has none, so a packet is relayed by the worker it is steered to, and not before.
//!
//! No loops, however stale the tables: what a gateway has sent is never sent on, but treated as a packet of ours is. A
//! flow is therefore lost if its address moves a second time to a third gateway. What the former owner knows nothing of
//! either, it opens as any gateway would, and answers by way of us.

use super::{
    Packet, Stage, Verdict,
    packet::{IcmpPacket, Layout, Part},
};
use crate::{
    io::Frame,
    state::{SctpEvent, TcpEvent, Tuple},
    table::{Relay, Tables, Transport},
    wire::{Family, set_destination, set_source},
};

/// Relays a packet that is of no flow here, if it may be of one of the former owner's. `None`: it is ours.
#[inline]
pub(super) fn packet<F: Family>(
    stage: &Stage<'_, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
) -> Option<Verdict> {
    if stage.tables.peers.is_relaying() && is_of_a_flow(packet, frame) {
        return send(stage, packet.tuple.destination, &packet.layout, frame);
    }
    None
}

/// The same of an ICMP error, which is about a packet that a flow's answer was.
pub(super) fn error<F: Family>(
    stage: &Stage<'_, F>,
    packet: &IcmpPacket<F>,
    frame: &mut Frame,
) -> Option<Verdict> {
    send(stage, packet.destination, &packet.layout, frame)
}

/// Where those packets with this tuple go that are of no flow here and begin none.
pub(super) fn former_owner<'t, F: Family>(tables: &'t Tables<F>, tuple: &Tuple<F>) -> Option<&'t Relay> {
    match tuple.transport {
        Transport::Tcp | Transport::Sctp => tables.peers.former_owner(tuple.destination),
        Transport::Udp => None,
    }
}

/// Whether a packet can belong to a flow, but not begin one.
#[cold]
fn is_of_a_flow<F: Family>(packet: &Packet<F>, frame: &Frame) -> bool {
    match packet.tuple.transport {
        // A later fragment has no flags; had its first begun a flow, it would be of that.
        Transport::Tcp if packet.part == Part::Later => true,
        Transport::Tcp => {
            matches!(TcpEvent::of(packet.flags), TcpEvent::Ack | TcpEvent::Fin | TcpEvent::Rst)
        }
        Transport::Sctp => {
            SctpEvent::of(packet.layout.l4(frame)).is_some_and(|event| event != SctpEvent::Init)
        }
        Transport::Udp => false,
    }
}

#[cold]
fn send<F: Family>(
    stage: &Stage<'_, F>,
    vip: F::Addr,
    layout: &Layout,
    frame: &mut Frame,
) -> Option<Verdict> {
    let peers = &stage.tables.peers;
    let relay = peers.former_owner(vip)?;
    let way_back = layout.way_back(frame);
    if !way_back.is_between_hosts() || peers.have(way_back.destination) {
        return None;
    }
    set_source(frame, relay.source);
    set_destination(frame, relay.destination);
    Some(Verdict::Relay(relay.port))
}
