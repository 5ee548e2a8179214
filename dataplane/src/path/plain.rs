//! The short way: plain packets of flows that they leave as they are, which nearly all packets are.
//!
//! In: arrivals of a batch, the flows they most likely belong to, and their frames. Out: how many of them, from the first
//! on, were forwarded here; the one behind those is another kind ([`run`]). Does what the third, fifth and last stage do,
//! in one go. Of a flow it changes the counters, the time, and what was acknowledged.
//!
//! The loop calls nothing and keeps what it needs in registers ([`Road`]); where something rare is due it ends.

use super::{
    Stage, Verdict,
    conntrack::{self, Looks, Steady},
    packet::Arrival,
};
use crate::{
    io::{BATCH, Frame},
    prefetch::prefetch_start,
    state::{Direction, Entry, FlowId, LastHop, Millis, Record},
    table::{NextHop, Rows, Transport},
    wire::{Family, VlanTags, acknowledgement, set_addresses},
};

/// How many frames ahead of the one being forwarded the headers are asked for again: frames start at like offsets, so
/// those of a batch push each other out of the nearest cache.
const PREFETCH_AHEAD: usize = 4;

/// What packets of known flows are forwarded by, borrowed for a run of them.
pub(super) struct Road<'s, F: Family> {
    /// The flows.
    pub(super) records: &'s mut [Record<F>],
    /// The ways back to clients.
    pub(super) last_hops: &'s [LastHop],
    /// The ways to backends.
    pub(super) next_hops: Rows<'s, NextHop<F>>,
    /// See [`Tables::udp_epoch`](crate::table::Tables::udp_epoch).
    pub(super) udp_epoch: u16,
    /// See [`Stage::least_port_mtu`].
    pub(super) least_port_mtu: u16,
    /// The time.
    pub(super) now: Millis,
}

impl<'s, F: Family> Road<'s, F> {
    /// The road of a stage.
    pub(super) fn of(stage: &'s mut Stage<'_, F>) -> Self {
        Self {
            records: stage.flows.table.records_mut(),
            last_hops: stage.flows.last_hops.all(),
            next_hops: stage.tables.next_hops.rows(),
            udp_epoch: stage.tables.udp_epoch,
            least_port_mtu: stage.least_port_mtu,
            now: stage.now,
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
        ip_bytes,
        port,
        vlan: VlanTags::NONE,
    };
    let Steady { flow, direction, link } = conntrack::steady(road, &looks, head.as_ref())?;
    if !link.vlan.is_empty() {
        return None;
    }
    let acknowledged = acknowledgement(F::plain_upper(head), flags);
    F::translate_plain(head, transport == Transport::Udp, flow.leaving(direction));
    let is_full = flow.note(direction, acknowledged, now, ip_bytes);
    set_addresses(head.as_mut(), &link.destination, &link.source);
    Some(Sent { verdict: Verdict::Forward(link.port), is_full })
}
