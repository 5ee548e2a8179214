//! Third stage: the packet's flow, its state, its account.
//!
//! In: a packet and where its flow most likely is. Out: how to translate it; or nothing, if it has no flow; or why it
//! is refused. A refused packet changes nothing: neither state nor timer nor account. A reset outside of what its receiver
//! would take is refused, as what the state forbids is (§6.1). A SYN on a connection that is
//! over ends it, and then has no flow (§6.1). Nor has a UDP packet whose flow's backend serves no more (§3.12): that is
//! looked at once after each change of UDP endpoints, on the flow's next packet.
//!
//! Nearly every packet leaves all but its flow's counters as they are. [`steady`] knows these, in a few nanoseconds and
//! without a branch on what is as good as random: which way the packet goes, and its protocol. [`track`] is for the rest,
//! and says for all of them the same. A flow that a packet changes leaves the fast lane first, and knows what was
//! acknowledged there; one that it leaves as it is stays in it.

use super::{
    Answer, DropReason, Packet, Refused, Stage, packet::Part, rewrite::Translation, split::can_split,
};
use crate::{
    io::{Frame, PortId},
    state::{
        Direction, Entry, FlowState, Found, Inbound, LastHop, Record, SctpEvent, SctpState, TcpEvent,
        TcpState, Timeouts, Transition, Tuple, reset_is_in_window,
    },
    table::{Link, NextHop, Tables, Transport, VipMatch},
    wire::{Family, IpProtocol, Tcp, TcpFlags, VlanTags},
};
use std::time::Duration;

/// A flow that its packet leaves as it is.
pub(super) struct Steady<'t, F: Family> {
    /// The flow, in which the packet is yet to be counted.
    pub(super) flow: &'t mut Record<F>,
    /// Which way the packet goes.
    pub(super) direction: Direction,
}

/// What a packet that has its transport header is known and decided by.
pub(super) struct Looks<'p, F: Family> {
    /// The flow it most likely belongs to.
    pub(super) likely: Entry,
    /// Its ends.
    pub(super) ends: &'p F::Ends,
    /// Its protocol.
    pub(super) protocol: IpProtocol,
    /// TCP's flags; empty for the others.
    pub(super) flags: TcpFlags,
    /// Its TTL or hop limit.
    pub(super) hop_limit: u8,
    /// The port it came to.
    pub(super) port: PortId,
    /// The tags it came with.
    pub(super) vlan: VlanTags,
}

/// What is known of flows, and says of a packet whether it is one of theirs.
pub(super) struct Known<'s, F: Family> {
    /// The flows by number.
    pub(super) records: &'s mut [Record<F>],
    /// Where clients' packets come from.
    pub(super) inbound: &'s [Inbound],
    /// By [`Direction`]: all bits where that matters, else none. Read from memory: of anything it can compute the compiler
    /// makes a branch.
    pub(super) from_client: [u64; 2],
    /// See [`Tables::udp_epoch`].
    pub(super) udp_epoch: u16,
}

/// The flow of a packet, if it is what it most likely was, the packet changes nothing about it, and has a
/// hop left. `None`: it is another kind. Nothing has happened yet. Of the frame the start will do.
#[inline(always)]
pub(super) fn steady<'t, F: Family>(
    known: &'t mut Known<'_, F>,
    looks: &Looks<'_, F>,
    frame: &[u8],
) -> Option<Steady<'t, F>> {
    let flow = known.records.get_mut(looks.likely.flow() as usize)?;
    let direction = looks.likely.direction();
    let Looks { ends, protocol, flags, .. } = *looks;
    if !flow.is_settled_of(direction, ends, protocol, flags, known.udp_epoch) {
        return None;
    }
    let inbound = known.inbound.get(flow.last_hop().place())?;
    let moved = inbound.difference(frame, looks.port, looks.vlan) & known.from_client[direction as usize];
    if moved != 0 || looks.hop_limit <= 1 {
        return None;
    }
    Some(Steady { flow, direction })
}

/// The same for any packet whose flow is `found`, if it has one still.
pub(super) fn track<'t, F: Family>(
    stage: &'t mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &Frame,
    found: Found,
) -> Result<Option<Translation<'t, F>>, Refused> {
    let Found { id, direction } = found;
    let created = stage.flows.table.created(id);
    let counted = stage.flows.lane.counted(id);
    let Some(flow) = stage.flows.table.record_mut(id) else { return Ok(None) };
    if let Some(counted) = &counted {
        flow.catch_up_acked(counted.acked);
    }
    let protocol = packet.tuple.transport.protocol();
    // Of a later fragment it says no where that takes TCP's flags, which it does not have.
    let next = match flow.is_settled(direction, protocol, packet.flags, stage.tables.udp_epoch) {
        true => Next::Same,
        false => transition(flow, direction, packet, frame, stage.now.since(created), stage.tables),
    };
    match next {
        Next::Same | Next::State(_) => {}
        Next::Reopen | Next::Retired => {
            stage.flows.close(id, stage.now);
            return Ok(None);
        }
        Next::Invalid(reason) => return Err(Refused::Drop(reason)),
    }
    let last_hops = &mut stage.flows.last_hops;
    let last_hop = flow.last_hop();
    let (link, mtu) = match direction {
        Direction::Forward => {
            let way = way_out(packet, stage.tables.next_hop(flow.next_hop()))?;
            let way_back = packet.layout.way_back(frame);
            // A client's router may change in the middle of a connection, and is followed. Another gateway is no router of
            // its: it relays what came to it because it announces the address now (`relay`), while answers still leave
            // by the way known. Learning the way from first packets alone would do without a list of gateways, but the
            // end of a router would then be the end of every connection through it.
            if way_back.is_between_hosts() && !stage.tables.peers.have(way_back.destination) {
                flow.set_last_hop(last_hops.note(last_hop, way_back));
            }
            way
        }
        Direction::Reply => {
            let Some(LastHop { link, .. }) = last_hops.get(last_hop) else { return Ok(None) };
            let mtu = stage.tables.port_mtu(link.port);
            check_limits(packet, mtu)?;
            (link, mtu)
        }
    };
    let is_moved = flow.last_hop() != last_hop;
    let was_unsettled = flow.udp_epoch != stage.tables.udp_epoch;
    flow.udp_epoch = stage.tables.udp_epoch;
    if packet.part != Part::Later {
        flow.acked[direction as usize] = packet.acknowledgement;
    }
    flow.last_seen = stage.now;
    let translation = Translation::of(flow, direction, link, mtu);
    if flow.count(direction, packet.layout.ip_bytes()) {
        stage.flows.table.settle(id, direction);
    }
    let (table, lane) = (&mut stage.flows.table, &mut stage.flows.lane);
    if counted.is_some() {
        let changes = is_moved || matches!(next, Next::State(_));
        if changes {
            lane.demote(table, id, last_hop, stage.now);
        } else if was_unsettled {
            // Its slots are to have the epoch in force.
            table.note_busy(id);
        }
    }
    if let Next::State(state) = next {
        table.set_state(id, state, stage.now, &stage.config.timeouts);
        lane.consider(table, id);
    }
    Ok(Some(translation))
}

/// The link to a backend and its MTU, if the packet may take it.
#[inline]
pub(super) fn way_out<'t, F: Family>(
    packet: &Packet<F>,
    next_hop: &'t NextHop<F>,
) -> Result<(&'t Link, u16), Refused> {
    check_limits(packet, next_hop.mtu)?;
    let link = next_hop.link.as_ref().ok_or(Refused::Drop(DropReason::NextHop))?;
    Ok((link, next_hop.mtu))
}

/// Whether it has no hop left, or is too long.
#[inline(always)]
fn is_limited<F: Family>(packet: &Packet<F>, mtu: u16) -> bool {
    packet.hop_limit <= 1 || packet.layout.ip_bytes() > mtu
}

/// TTL and MTU, as a router checks them. What is too long but may be cut passes, and is cut as it leaves.
fn check_limits<F: Family>(packet: &Packet<F>, mtu: u16) -> Result<(), Refused> {
    if !is_limited(packet, mtu) {
        return Ok(());
    }
    if packet.hop_limit <= 1 {
        return Err(Refused::Answer(Answer::TimeExceeded));
    }
    if packet.dont_fragment {
        return Err(Refused::Answer(Answer::TooBig { mtu }));
    }
    if can_split(packet, mtu) { Ok(()) } else { Err(Refused::Drop(DropReason::TooBig)) }
}

enum Next {
    Same,
    State(FlowState),
    Reopen,
    Retired,
    Invalid(DropReason),
}

/// What a packet makes of its flow.
#[inline(never)]
fn transition<F: Family>(
    flow: &Record<F>,
    direction: Direction,
    packet: &Packet<F>,
    frame: &Frame,
    age: Duration,
    tables: &Tables<F>,
) -> Next {
    if packet.part == Part::Later {
        return Next::Same;
    }
    match flow.state().get() {
        FlowState::Tcp(state) => {
            let event = TcpEvent::of(packet.flags);
            if direction == Direction::Forward && event == TcpEvent::Syn && state.reopens() {
                return Next::Reopen;
            }
            match state.on(direction, event) {
                _ if event == TcpEvent::Rst && !is_in_window(flow, direction, packet.layout.l4(frame)) => {
                    Next::Invalid(DropReason::TcpInvalid)
                }
                Transition::To(next) if next == state => Next::Same,
                Transition::To(next) => Next::State(FlowState::Tcp(next)),
                Transition::Ignore => Next::Same,
                Transition::Invalid => Next::Invalid(DropReason::TcpInvalid),
            }
        }
        FlowState::UdpUnreplied | FlowState::UdpReplied | FlowState::UdpStream
            if flow.udp_epoch != tables.udp_epoch
                && is_retired(&flow.tuple(Direction::Forward), &flow.tuple(Direction::Reply), tables) =>
        {
            Next::Retired
        }
        FlowState::UdpUnreplied if direction == Direction::Reply => Next::State(FlowState::UdpReplied),
        FlowState::UdpReplied if age > Timeouts::UDP_STREAM_AGE => Next::State(FlowState::UdpStream),
        FlowState::UdpUnreplied | FlowState::UdpReplied | FlowState::UdpStream => Next::Same,
        FlowState::Sctp(state) => next_sctp_state(state, direction, packet.layout.l4(frame)),
    }
}

/// Whether the receiver of a reset would take it.
#[cold]
fn is_in_window<F: Family>(flow: &Record<F>, direction: Direction, l4: &[u8]) -> bool {
    let [client, backend] = flow.acked;
    let acked = direction.select(backend, client);
    Tcp::parse(l4).is_ok_and(|tcp| reset_is_in_window(acked, tcp.seq()))
}

#[cold]
fn next_sctp_state(state: SctpState, direction: Direction, l4: &[u8]) -> Next {
    match SctpEvent::of(l4) {
        None => Next::Invalid(DropReason::SctpInvalid),
        Some(SctpEvent::Init) if direction == Direction::Forward && state.reopens() => Next::Reopen,
        Some(event) => Next::State(FlowState::Sctp(state.on(direction, event))),
    }
}

/// Whether a UDP flow must be decided anew: what it was sent to is a Service's, some endpoint of that serves, and the
/// flow's is none of them. What counts is whose destination it is now, as for kube-proxy.
#[cold]
pub(super) fn is_retired<F: Family>(original: &Tuple<F>, reply: &Tuple<F>, tables: &Tables<F>) -> bool {
    let Tuple { destination, destination_port, transport, .. } = *original;
    if transport != Transport::Udp {
        return false;
    }
    let VipMatch::Service(target) = tables.vips.find(destination, transport, destination_port) else {
        return false;
    };
    let serving = tables.service(target.service).and_then(|service| service.serving.as_ref());
    let backend = (reply.source, reply.source_port);
    serving.is_some_and(|serving| serving.binary_search(&backend).is_err())
}

/// The state a new flow starts in, by its first packet. A segment in the middle of a connection is taken as open, so
/// that a peer gateway can take over; others but SYN are invalid (§6.1).
pub(super) fn first_state<F: Family>(packet: &Packet<F>, frame: &Frame) -> Result<FlowState, Refused> {
    match packet.tuple.transport {
        Transport::Tcp => match TcpState::None.on(Direction::Forward, TcpEvent::of(packet.flags)) {
            Transition::To(state) => Ok(FlowState::Tcp(state)),
            Transition::Ignore | Transition::Invalid => Err(Refused::Drop(DropReason::TcpInvalid)),
        },
        Transport::Udp => Ok(FlowState::UdpUnreplied),
        Transport::Sctp => SctpEvent::of(packet.layout.l4(frame))
            .and_then(SctpState::first)
            .map(FlowState::Sctp)
            .ok_or(Refused::Drop(DropReason::SctpInvalid)),
    }
}
