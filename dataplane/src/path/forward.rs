//! The stages behind the classifier, for the packets of one family in a batch: the flows of a block of packets are looked up
//! while those of the block before are forwarded.
//!
//! In: arrivals, as the classifier has queued them. Out: a verdict for each. Runs of packets of known flows go the short way
//! (`plain.rs`); new flows of a block are decided together (`newcomers.rs`); each of the others goes by itself.

use super::{
    Counters, DropReason, Half, Packet, PathConfig, Refused, Stage, Verdict,
    conntrack::{self, Looks, Steady},
    echo, emit, icmp_error, lookup,
    newcomers::{self, Newcomers},
    open,
    packet::{Arrival, Arrivals, IcmpAbout, Part},
    plain::{self, Road},
    relay, reply,
    rewrite::{self, Translation},
    steer,
};
use crate::{
    io::{BATCH, Frame},
    state::{Direction, Entry, FlowId, Millis, TokenBucket},
    table::Tables,
    wire::Family,
};

/// The stages for the packets of one family. How many of them went the short way.
#[expect(clippy::too_many_arguments, reason = "the borrows of a Path, taken apart")]
pub(super) fn run<F: Family>(
    config: &PathConfig,
    half: &mut Half<F>,
    tables: &Tables<F>,
    [replies, echoes]: [&mut TokenBucket; 2],
    counters: &mut Counters,
    now: Millis,
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> usize {
    let arrivals = &mut half.arrivals;
    if arrivals.queue.is_empty() && arrivals.icmp.is_empty() {
        return 0;
    }
    if !arrivals.unusual.is_empty() {
        lookup::unusual(&half.flows.table, arrivals);
    }
    steer::batch(&config.steering, tables, &half.flows.table, frames, arrivals, verdicts);
    let Arrivals { queue, unusual, icmp, .. } = arrivals;
    half.ways.follow(&tables.next_hops);
    half.flows.last_hops.fit(&tables.port_mtus);
    let (flows, ways) = (&mut half.flows, half.ways.all());
    let newcomers = Newcomers::none();
    let mut stage = Stage { config, tables, flows, ways, replies, echoes, counters, newcomers, now };
    let forwarded = forward_batch(&mut stage, queue, unusual, frames, verdicts);
    for packet in icmp.iter() {
        let at = usize::from(packet.index);
        let frame = &mut frames[at];
        verdicts[at] = match &packet.about {
            IcmpAbout::Error(quoted) => icmp_error::translate(&mut stage, packet, quoted, frame),
            IcmpAbout::Echo => echo::answer(&mut stage, packet, frame),
            IcmpAbout::Other => icmp_error::nobodys(&stage, packet, DropReason::IcmpQuery),
        };
    }
    queue.clear();
    unusual.clear();
    icmp.clear();
    forwarded
}

/// The packets of a batch in their order. The look-up is a block of packets ahead. How many went the short way.
fn forward_batch<F: Family>(
    stage: &mut Stage<'_, F>,
    mut queue: &[Arrival],
    unusual: &[Packet<F>],
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> usize {
    let mut forwarded = 0;
    let mut likely = [Entry::default(); lookup::AHEAD];
    lookup::likely(&stage.flows.table, queue, &mut likely);
    while !queue.is_empty() {
        let (block, later) = queue.split_at(queue.len().min(lookup::AHEAD));
        let block_likely = likely;
        lookup::likely(&stage.flows.table, later, &mut likely);
        forwarded +=
            forward_block(stage, [block, later], [&block_likely, &likely], unusual, frames, verdicts);
        queue = later;
    }
    forwarded
}

/// A block of packets, in their order. Of what is `later` the flows are looked at, for the first ones.
fn forward_block<F: Family>(
    stage: &mut Stage<'_, F>,
    [mut block, later]: [&[Arrival]; 2],
    [mut likely, later_likely]: [&[Entry]; 2],
    unusual: &[Packet<F>],
    frames: &mut [Frame],
    verdicts: &mut [Verdict; BATCH],
) -> usize {
    let mut in_short = 0;
    while let [arrival, ..] = block {
        if stage.newcomers.forecast(arrival.index).is_none() {
            let plain::Ended { forwarded, full } =
                plain::run(Road::of(stage), block, likely, frames, verdicts);
            in_short += forwarded;
            (block, likely) = (&block[forwarded..], &likely[forwarded..]);
            if let Some((flow, direction)) = full {
                stage.flows.table.settle(flow, direction);
                continue;
            }
        }
        let ([arrival, ..], [flow, ..]) = (block, likely) else { break };
        if *flow == Entry::NONE && !stage.newcomers.include(block.len() + later.len()) {
            newcomers::decide(stage, [block, later], [likely, later_likely], unusual, frames);
        }
        let at = usize::from(arrival.index);
        verdicts[at] = forward(stage, arrival, *flow, unusual, &mut frames[at]);
        stage.newcomers.pass(arrival.index);
        (block, likely) = (&block[1..], &likely[1..]);
    }
    in_short
}

/// One packet of a flow, known or new. What has a forecast is likely of none.
#[inline(never)]
fn forward<F: Family>(
    stage: &mut Stage<'_, F>,
    arrival: &Arrival,
    likely: Entry,
    unusual: &[Packet<F>],
    frame: &mut Frame,
) -> Verdict {
    let Some(packet) = &arrival.packet(unusual, frame) else { return Verdict::Drop(DropReason::Malformed) };
    if stage.newcomers.forecast(packet.index).is_none()
        && let Some(verdict) = forward_steady(stage, packet, likely, frame)
    {
        return verdict;
    }
    forward_with_care(stage, packet, frame).unwrap_or_else(|refused| refuse(stage, packet, frame, refused))
}

/// As [`plain::run`], for a packet that is not plain or leaves by another VLAN.
fn forward_steady<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    likely: Entry,
    frame: &mut Frame,
) -> Option<Verdict> {
    if packet.part == Part::Later {
        return None;
    }
    let (tables, now) = (stage.tables, stage.now);
    let (mut known, last_hops) = Road::with_hops(stage);
    let (ends, ip_bytes) = (packet.tuple.ends(), packet.layout.ip_bytes());
    let looks = Looks {
        likely,
        ends: &ends,
        protocol: packet.tuple.transport.protocol(),
        flags: packet.flags,
        hop_limit: packet.hop_limit,
        port: frame.port(),
        vlan: packet.layout.vlan,
    };
    let Steady { flow, direction } = conntrack::steady(&mut known, &looks, frame)?;
    let (link, mtu) = match direction {
        Direction::Forward => conntrack::way_out(packet, tables.next_hop(flow.next_hop())).ok()?,
        Direction::Reply => {
            let link = &last_hops.get(flow.last_hop())?.link;
            (link, tables.port_mtu(link.port))
        }
    };
    if ip_bytes > mtu {
        return None;
    }
    let translation = Translation::of(flow, direction, link, mtu);
    let is_full = flow.note(direction, packet.acknowledgement, now, ip_bytes);
    rewrite::translate_whole(packet, frame, &translation);
    let verdict = emit::send(frame, &packet.layout, link);
    if is_full {
        stage.flows.table.settle(FlowId::of(likely), direction);
    }
    Some(verdict)
}

/// The same, where more may change than counters.
#[inline(never)]
fn forward_with_care<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
) -> Result<Verdict, Refused> {
    if let Some(found) = stage.flows.table.find(packet.hash, &packet.tuple)
        && let Some(translation) = conntrack::track(stage, packet, frame, found)?
    {
        return Ok(send(packet, frame, &translation));
    }
    // Of a plain one nobody has asked yet, and no flow has another.
    if !F::is_unicast_source(packet.tuple.source) {
        return Err(Refused::Drop(DropReason::Martian));
    }
    if let Some(relayed) = relay::packet(stage, packet, frame) {
        return Ok(relayed);
    }
    open::open(stage, packet, frame)
}

/// Translated, and on its way.
pub(super) fn send<F: Family>(
    packet: &Packet<F>,
    frame: &mut Frame,
    translation: &Translation<'_, F>,
) -> Verdict {
    rewrite::translate(packet, frame, translation);
    match emit::send(frame, &packet.layout, translation.link) {
        Verdict::Forward(port) if packet.layout.ip_bytes() > translation.mtu => {
            Verdict::Split(port, translation.mtu)
        }
        verdict => verdict,
    }
}

#[cold]
fn refuse<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &Packet<F>,
    frame: &mut Frame,
    refused: Refused,
) -> Verdict {
    match refused {
        Refused::Drop(reason) => Verdict::Drop(reason),
        Refused::Pass => Verdict::Pass,
        Refused::Answer(answer) => reply::answer(stage, packet, frame, answer),
    }
}
