//! The short way: plain packets of flows that they leave as they are, which nearly all packets are.
//!
//! In: arrivals of a batch, the flows they most likely belong to, and their frames. Out: how many of them, from the first
//! on, were forwarded here; the one behind those is another kind ([`run`]). Does what the third, fifth and last stage do,
//! in one go. Of a flow it changes the counters, the time, and what was acknowledged.
//!
//! The loop calls nothing and keeps what it needs in registers ([`Road`]); where something rare is due it ends.

use super::{
    Stage, Verdict,
    conntrack::{self, Known, Looks, Steady},
    packet::Arrival,
};
use crate::{
    io::{BATCH, Frame, PortId},
    prefetch::{prefetch_near, prefetch_start},
    state::{Direction, Entry, FlowId, Flows, LastHops, Millis, Record, Way},
    wire::{Family, IpProtocol, VlanTags, acknowledgement},
};

/// How many packets ahead of the one being forwarded its headers are asked for again, since frames start at like offsets, so
/// that those of a batch push each other out of the nearest cache; and its flow, which the look-up has brought no further than
/// into the second one.
const PREFETCH_AHEAD: usize = 4;

/// What packets of known flows are forwarded by, borrowed for a run of them.
pub(super) struct Road<'s, F: Family> {
    /// The flows.
    pub(super) known: Known<'s, F>,
    /// By [`Direction`]: the ways to backends, and back to clients.
    ways: [&'s [Way]; 2],
    /// The time.
    now: Millis,
}

impl<'s, F: Family> Road<'s, F> {
    /// The road of a stage.
    pub(super) fn of(stage: &'s mut Stage<'_, F>) -> Self {
        let (ways, now) = (stage.ways, stage.now);
        let (known, last_hops) = Self::with_hops(stage);
        Self { known, ways: [ways, last_hops.ways()], now }
    }

    /// What it knows flows by, and the ways back to clients.
    pub(super) fn with_hops(stage: &'s mut Stage<'_, F>) -> (Known<'s, F>, &'s LastHops) {
        let Flows { table, last_hops, .. } = stage.flows;
        let (inbound, udp_epoch) = (last_hops.inbound(), stage.tables.udp_epoch);
        (Known { records: table.records_mut(), inbound, from_client: [u64::MAX, 0], udp_epoch }, last_hops)
    }
}

/// Where a run ended.
pub(super) struct Ended {
    /// How many packets were forwarded.
    pub(super) forwarded: usize,
    /// The last of them filled its flow's count: [`FlowTable::settle`](crate::state::FlowTable::settle) is due.
    pub(super) full: Option<(FlowId, Direction)>,
}

/// Forwards plain packets as long as they come.
#[inline(never)]
pub(super) fn run<F: Family>(
    mut road: Road<'_, F>,
    arrivals: &[Arrival],
    likely: &[Entry],
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> Ended {
    let mut forwarded = 0;
    for (turn, (arrival, flow)) in arrivals.iter().zip(likely).enumerate() {
        let at = usize::from(arrival.index);
        if let Some(ahead) = frames.get(at + PREFETCH_AHEAD) {
            prefetch_start(ahead, size_of::<F::PlainHead>());
        }
        if let Some(ahead) = likely.get(turn + PREFETCH_AHEAD) {
            prefetch_near(road.known.records, ahead.flow() as usize);
        }
        let Some(frame) = frames.get_mut(at) else { break };
        let Some(Sent { flow: record, direction, acknowledged, port }) =
            one(&mut road.known, &road.ways, arrival, *flow, frame)
        else {
            break;
        };
        verdicts[at % BATCH] = Verdict::Forward(port);
        forwarded += 1;
        if record.note(direction, acknowledged, road.now, arrival.ip_bytes) {
            return Ended { forwarded, full: Some((FlowId::of(*flow), direction)) };
        }
    }
    Ended { forwarded, full: None }
}

/// A packet that is ready to leave, and to be noted in its flow.
struct Sent<'r, F: Family> {
    flow: &'r mut Record<F>,
    direction: Direction,
    acknowledged: u32,
    port: PortId,
}

/// Translates and addresses a packet. `None`: it is another kind, and nothing has happened.
#[inline(always)]
fn one<'r, F: Family>(
    known: &'r mut Known<'_, F>,
    ways: &[&[Way]; 2],
    arrival: &Arrival,
    likely: Entry,
    frame: &mut Frame,
) -> Option<Sent<'r, F>> {
    let Arrival { ip_bytes, flags, protocol, .. } = *arrival;
    let port = frame.port();
    let head = F::plain_head_mut(frame)?;
    let looks = Looks {
        likely,
        ends: F::ends(head),
        protocol,
        flags,
        hop_limit: F::plain_hop_limit(head),
        port,
        vlan: VlanTags::NONE,
    };
    let Steady { flow, direction } = conntrack::steady(known, &looks, head.as_ref())?;
    let way = ways[direction as usize].get(flow.hop(direction))?;
    if ip_bytes > way.mtu {
        return None;
    }
    F::translate_plain(head, protocol == IpProtocol::UDP, flow.leaving(direction));
    way.address(head.as_mut());
    let acknowledged = acknowledgement(F::plain_upper(head), flags);
    Some(Sent { flow, direction, acknowledged, port: way.port })
}
