//! Fourth stage, for packets without a flow: decide, and remember the decision.
//!
//! In: a packet that no flow claims. Out: how to translate it, with a flow in the table that will translate the rest;
//! or why it is refused. Nothing is remembered of a refused packet.

use super::{
    Answer, Decision, DropReason, Packet, Refusal, Refused, Stage, Verdict, conntrack, decide,
    forward::send,
    packet::Part,
    rewrite::{Translation, flow_deltas},
    select::{Choice, Remembered},
};
use crate::{
    io::Frame,
    lane::FlowLane,
    state::{Direction, Flow, LastHopId, OpenError, Reply, SnatPorts, Traffic, Tuple, reply_tuple},
    table::{NextHop, Tables},
    wire::Family,
};

pub(super) fn open<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
) -> Result<Verdict, Refused> {
    if packet.part == Part::Later {
        return Err(match stage.tables.is_ours(packet.tuple.destination) {
            true => Refused::Drop(DropReason::FragmentLost),
            false => Refused::Pass,
        });
    }
    let way_back = packet.layout.way_back(frame);
    let remembered = Remembered { table: &stage.config.affinity, now: stage.now };
    let (decision, first) = match stage.newcomers.forecast(packet.index) {
        Some(forecast) => (Decision::Serve(forecast.choice), forecast.reply),
        None => (decide(stage.tables, &packet.tuple, remembered), None),
    };
    let choice = match decision {
        Decision::NotAService => return Err(not_ours(stage, &packet.tuple)),
        Decision::Unallocated => return Err(Refused::Drop(DropReason::Unallocated)),
        _ if way_back.destination.is_multicast() || goes_round(stage, &packet.tuple) => {
            return Err(Refused::Drop(DropReason::Martian));
        }
        Decision::Serve(_) if way_back.source.is_multicast() => {
            return Err(Refused::Drop(DropReason::Martian));
        }
        Decision::Serve(choice) => choice,
        Decision::UnservedPort(_) => return Err(Refused::Answer(Answer::Reject)),
        Decision::Refused { refusal, .. } => return Err(refusal.into()),
    };
    let state = conntrack::first_state(packet, frame)?;
    let next_hop = stage.tables.next_hop(choice.backend.next_hop);
    let (link, mtu) = conntrack::way_out(packet, next_hop)?;
    if stage.flows.lane.has_strays() {
        stage.flows.lane.claim(&packet.tuple, stage.now);
    }
    let reply = reply(stage, packet, &choice, next_hop, first)?;
    let first = Traffic { packets: 1, bytes: u64::from(packet.layout.ip_bytes()) };
    let flow = Flow {
        original: packet.tuple,
        reply: reply.tuple,
        state: state.into(),
        deltas: flow_deltas(&packet.tuple, &reply.tuple),
        next_hop: choice.backend.next_hop,
        backend: choice.backend.id,
        service: choice.service.id,
        acked: [packet.acknowledgement, 0],
        udp_epoch: stage.tables.udp_epoch,
        last_hop: LastHopId::default(),
        created: stage.now,
        last_seen: stage.now,
        traffic: [first, Traffic::default()],
        lane: FlowLane::default(),
    };
    let translation = Translation {
        tuple: reply.tuple.reversed(),
        deltas: flow.deltas[Direction::Forward as usize],
        link,
        mtu,
    };
    stage.flows.open(flow, [packet.hash, reply.hash], way_back, &stage.config.timeouts)?;
    stage.counters.flows_opened += 1;
    choice.remember(packet.tuple.source, remembered);
    Ok(send(packet, frame, &translation))
}

/// Whether a question looks like a Service's answer: two backends would answer each other for ever, and LAND, whose
/// source is its own destination, one itself. Other packets from a VIP are as good as any, as it may be a node's address.
fn goes_round<F: Family>(stage: &Stage<'_, F>, tuple: &Tuple<F>) -> bool {
    *tuple == tuple.reversed() || stage.tables.vips.serves(tuple.source, tuple.transport, tuple.source_port)
}

/// What becomes of a packet that is no Service's. A stray answer to a masqueraded flow ends here, since the kernel would
/// reset the connection; anything else was sent here for its address alone, and is the kernel's.
fn not_ours<F: Family>(stage: &Stage<'_, F>, tuple: &Tuple<F>) -> Refused {
    let Tuple { destination, destination_port, .. } = *tuple;
    let is_snat_port = stage.config.steering.ports.owner(destination_port).is_some();
    let pooled = stage.tables.snat_addresses.contains(&destination);
    if pooled || is_snat_port && stage.tables.locality.host.contains(&destination) {
        return Refused::Drop(DropReason::NoService);
    }
    Refused::Pass
}

/// What the backend's answers will carry.
fn reply<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    choice: &Choice<'_, F>,
    next_hop: &NextHop<F>,
    first: Option<Reply<F>>,
) -> Result<Reply<F>, Refused> {
    let (flows, tables, steering) = (&mut *stage.flows, stage.tables, &stage.config.steering);
    if !choice.masquerade.is_on() {
        return Ok(flows.keep_client(&packet.tuple, &choice.backend, choice.hash, first)?);
    }
    let addresses = snat_addresses(tables, next_hop);
    if addresses.is_empty() {
        return Err(Refused::Drop(DropReason::NoSnatAddress));
    }
    let transport = packet.tuple.transport;
    let claimed = |addr, port| tables.vips.serves(addr, transport, port);
    let come_home = steering.replies(tables, &choice.backend, transport, next_hop);
    let from = (transport, choice.hash);
    Ok(flows.masquerade(&steering.ports, addresses, from, &choice.backend, claimed, come_home, first)?)
}

/// The same, as it nearly always is where replies come home by themselves, before it is asked whether that is free.
#[inline]
pub(super) fn first_reply<F: Family>(
    tables: &Tables<F>,
    ports: &SnatPorts,
    tuple: &Tuple<F>,
    Choice { backend, masquerade, hash, .. }: &Choice<'_, F>,
) -> Option<Tuple<F>> {
    let (addr, port) = if masquerade.is_on() {
        let addresses = snat_addresses(tables, tables.next_hop(backend.next_hop));
        let mut candidates = ports.candidates(addresses.len(), *hash);
        candidates.next().map(|(address, port)| (addresses[address], port))?
    } else {
        (tuple.source, tuple.source_port)
    };
    Some(reply_tuple(backend, tuple.transport, addr, port))
}

/// Our addresses for flows that go this way: the pool, or what the gateway itself would use.
fn snat_addresses<'t, F: Family>(tables: &'t Tables<F>, next_hop: &'t NextHop<F>) -> &'t [F::Addr] {
    match &*tables.snat_addresses {
        [] => next_hop.source.as_slice(),
        pool => pool,
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SourceRange => Self::Drop(DropReason::SourceRange),
            Refusal::NoLocalEndpoint => Self::Drop(DropReason::NoLocalEndpoint),
            Refusal::NoEndpoint => Self::Answer(Answer::Reject),
        }
    }
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::TableFull => Self::Drop(DropReason::TableFull),
            OpenError::SnatExhausted => Self::Drop(DropReason::SnatExhausted),
            OpenError::LastHopsFull => Self::Drop(DropReason::LastHopsFull),
        }
    }
}
