//! Third stage: the packet's flow, its state, its account.
//!
//! In: a packet and where its flow most likely is. Out: how to translate it; or nothing, if it has no flow; or why it
//! is refused. A refused packet changes nothing: neither state nor timer nor account. A SYN on a connection that is
//! over ends it, and then has no flow (§6.1).

use super::{Answer, DropReason, Packet, Refused, Stage, rewrite::Translation};
use crate::{
    io::Frame,
    state::{Direction, Flow, FlowState, Millis, TcpEvent, TcpState, Timeouts, Transition},
    table::{Link, NextHop},
    wire::Family,
};

/// The largest IP packet there is: the limit of a way without one.
const NO_LIMIT: u16 = u16::MAX;

#[inline]
pub(super) fn track<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &Frame,
) -> Result<Option<Translation<F>>, Refused> {
    let table = &mut stage.flows.table;
    let Some(found) = table.find_likely(packet.likely, packet.hash, &packet.tuple) else { return Ok(None) };
    let Some(flow) = table.get_mut(found.id) else { return Ok(None) };
    let direction = found.direction;
    let state = match next_state(flow, direction, packet, stage.now) {
        Next::State(state) => state,
        Next::Reopen => {
            stage.flows.close(found.id);
            return Ok(None);
        }
        Next::Invalid => return Err(Refused::Drop(DropReason::TcpInvalid)),
    };
    let link = match direction {
        Direction::Forward => way_out(packet, stage.tables.next_hop(flow.next_hop))?,
        Direction::Reply => {
            check_limits(packet, NO_LIMIT)?;
            flow.client
        }
    };
    flow.last_seen = stage.now;
    let traffic = &mut flow.traffic[direction as usize];
    traffic.packets += 1;
    traffic.bytes += u64::from(packet.layout.ip_bytes());
    if direction == Direction::Forward {
        flow.client = packet.layout.way_back(frame);
    }
    let translation = Translation::of(flow, direction, link);
    if flow.state != state {
        table.set_state(found.id, state, stage.now, &stage.config.timeouts);
    }
    Ok(Some(translation))
}

/// The link to a backend, if the packet may take it.
#[inline]
pub(super) fn way_out<F: Family>(packet: &Packet<F>, next_hop: &NextHop<F>) -> Result<Link, Refused> {
    check_limits(packet, next_hop.mtu)?;
    next_hop.link.ok_or(Refused::Drop(DropReason::NextHop))
}

/// TTL and MTU, as a router checks them.
#[inline]
fn check_limits<F: Family>(packet: &Packet<F>, mtu: u16) -> Result<(), Refused> {
    if packet.hop_limit <= 1 {
        return Err(Refused::Answer(Answer::TimeExceeded));
    }
    if packet.layout.ip_bytes() > mtu {
        return Err(if packet.dont_fragment {
            Refused::Answer(Answer::TooBig { mtu })
        } else {
            Refused::Drop(DropReason::TooBig)
        });
    }
    Ok(())
}

enum Next {
    State(FlowState),
    Reopen,
    Invalid,
}

#[inline]
fn next_state<F: Family>(flow: &Flow<F>, direction: Direction, packet: &Packet<F>, now: Millis) -> Next {
    match flow.state {
        FlowState::Tcp(state) => {
            let event = TcpEvent::of(packet.flags);
            if direction == Direction::Forward && event == TcpEvent::Syn && state.reopens() {
                return Next::Reopen;
            }
            match state.on(direction, event) {
                Transition::To(next) => Next::State(FlowState::Tcp(next)),
                Transition::Ignore => Next::State(flow.state),
                Transition::Invalid => Next::Invalid,
            }
        }
        FlowState::UdpUnreplied if direction == Direction::Reply => Next::State(FlowState::UdpReplied),
        FlowState::UdpReplied if now.since(flow.created) > Timeouts::UDP_STREAM_AGE => {
            Next::State(FlowState::UdpStream)
        }
        FlowState::UdpUnreplied | FlowState::UdpReplied | FlowState::UdpStream | FlowState::Sctp => {
            Next::State(flow.state)
        }
    }
}

/// The state a new flow starts in, by its first packet. A segment in the middle of a connection is taken as open, so
/// that a peer gateway can take over; others but SYN are invalid (§6.1).
pub(super) fn first_state<F: Family>(packet: &Packet<F>) -> Result<FlowState, Refused> {
    match packet.tuple.transport {
        crate::table::Transport::Tcp => {
            match TcpState::None.on(Direction::Forward, TcpEvent::of(packet.flags)) {
                Transition::To(state) => Ok(FlowState::Tcp(state)),
                Transition::Ignore | Transition::Invalid => Err(Refused::Drop(DropReason::TcpInvalid)),
            }
        }
        crate::table::Transport::Udp => Ok(FlowState::UdpUnreplied),
        crate::table::Transport::Sctp => Ok(FlowState::Sctp),
    }
}
