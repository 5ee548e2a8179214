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
    io::{BATCH, Frame},
    prefetch::prefetch_start,
    state::{Direction, Entry, FlowId, Millis, Way},
    table::Transport,
    wire::{Family, VlanTags, acknowledgement},
};

/// How many frames ahead of the one being forwarded the headers are asked for again: frames start at like offsets, so
/// those of a batch push each other out of the nearest cache.
const PREFETCH_AHEAD: usize = 4;

/// What packets of known flows are forwarded by, borrowed for a run of them.
pub(super) struct Road<'s, F: Family> {
    /// The flows.
    pub(super) known: Known<'s, F>,
    /// By [`Direction`]: the ways to backends, and back to clients.
    ways: [&'s [Way]; 2],
    /// By [`Direction`]: what fits through any port in front of those.
    most: [u16; 2],
    /// The time.
    now: Millis,
}

impl<'s, F: Family> Road<'s, F> {
    /// The road of a stage.
    pub(super) fn of(stage: &'s mut Stage<'_, F>) -> Self {
        let Stage { flows, tables, ways, least_port_mtu, now, .. } = stage;
        let records = flows.table.records_mut();
        Self {
            known: Known { records, last_hops: flows.last_hops.all(), udp_epoch: tables.udp_epoch },
            ways: [ways, flows.last_hops.ways()],
            most: [u16::MAX, *least_port_mtu],
            now: *now,
        }
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
    for (arrival, likely) in arrivals.iter().zip(likely) {
        let at = usize::from(arrival.index);
        if let Some(ahead) = frames.get(at + PREFETCH_AHEAD) {
            prefetch_start(ahead, size_of::<F::PlainHead>());
        }
        let Some(frame) = frames.get_mut(at) else { break };
        let Some(Sent { verdict, is_full }) = one(&mut road, arrival, *likely, frame) else { break };
        verdicts[at % BATCH] = verdict;
        forwarded += 1;
        if is_full {
            return Ended { forwarded, full: Some((FlowId::of(*likely), likely.direction())) };
        }
    }
    Ended { forwarded, full: None }
}

/// What became of a packet.
struct Sent {
    verdict: Verdict,
    is_full: bool,
}

/// Forwards a packet. `None`: it is another kind, and nothing has happened.
#[inline(always)]
fn one<F: Family>(
    road: &mut Road<'_, F>,
    arrival: &Arrival,
    likely: Entry,
    frame: &mut Frame,
) -> Option<Sent> {
    let Arrival { ip_bytes, flags, transport, unusual: None, .. } = *arrival else { return None };
    let port = frame.port();
    let now = road.now;
    let head = F::plain_head_mut(frame)?;
    let looks = Looks {
        likely,
        ends: F::ends(head),
        transport,
        flags,
        hop_limit: F::plain_hop_limit(head),
        port,
        vlan: VlanTags::NONE,
    };
    let Steady { flow, direction } = conntrack::steady(&mut road.known, &looks, head.as_ref())?;
    let number = direction.select(flow.next_hop.0 as usize, flow.last_hop.place());
    let way = road.ways[direction as usize].get(number)?;
    if ip_bytes > way.mtu || ip_bytes > road.most[direction as usize] {
        return None;
    }
    let acknowledged = acknowledgement(F::plain_upper(head), flags);
    F::translate_plain(head, transport == Transport::Udp, flow.leaving(direction));
    let is_full = flow.note(direction, acknowledged, now, ip_bytes);
    way.address(head.as_mut());
    Some(Sent { verdict: Verdict::Forward(way.port), is_full })
}
