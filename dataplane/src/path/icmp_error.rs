//! ICMP errors about a flow's packets, translated like the packets themselves (RFC 5508 §4, RFC 7915 has the same idea).
//!
//! An error travels in the direction opposite to the packet it quotes. Its outer addresses become those that a packet
//! of the flow in its own direction would leave with, so a client sees the VIP whoever complains, and the quoted
//! packet becomes what its sender had sent: addresses, ports, and checksums where the quotation reaches them. It
//! neither refreshes nor changes the flow.

use super::{
    DropReason, Stage, Verdict, emit,
    packet::{IcmpAbout, IcmpPacket},
    relay,
    rewrite::{deltas, set_tuple},
};
use crate::{
    io::Frame,
    state::{Direction, Tuple},
    wire::{Family, IcmpMessage},
};

/// Translates an ICMP error whose checksum is right, about a packet with the tuple `quoted`.
pub(super) fn translate<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &IcmpPacket<F>,
    quoted: &Tuple<F>,
    frame: &mut Frame,
) -> Verdict {
    if packet.destination != quoted.source {
        // Errors go to whom they are about; Linux's conntrack asks the same.
        return Verdict::Drop(DropReason::IcmpUnrelated);
    }
    let answer = quoted.reversed();
    let table = &stage.flows.table;
    let found = table.find(table.hash(&answer), &answer);
    let Some((found, flow)) = found.and_then(|found| Some((found, table.record(found.id)?))) else {
        return relay::error(stage, packet, frame)
            .unwrap_or_else(|| nobodys(stage, packet, DropReason::IcmpUnrelated));
    };
    let link = match found.direction {
        Direction::Forward => stage.tables.next_hop(flow.next_hop()).link,
        Direction::Reply => stage.flows.last_hops.get(flow.last_hop()).map(|hop| hop.link),
    };
    let Some(link) = link else { return Verdict::Drop(DropReason::NextHop) };
    if packet.hop_limit <= 1 {
        return Verdict::Drop(DropReason::ReplyForbidden);
    }
    let outer = flow.translated(found.direction);
    rewrite_quotation::<F>(packet.layout.l4_mut(frame), quoted, &outer.reversed());
    rewrite_outer(packet, frame, &outer);
    emit::send(frame, &packet.layout, &link)
}

/// What becomes of a message about no flow of ours: if neither it nor what it quotes names an address of ours, it is the
/// kernel's.
pub(super) fn nobodys<F: Family>(
    stage: &Stage<'_, F>,
    packet: &IcmpPacket<F>,
    reason: DropReason,
) -> Verdict {
    let quoted = match packet.about {
        IcmpAbout::Error(quoted) => Some([quoted.source, quoted.destination]),
        IcmpAbout::Echo | IcmpAbout::Other => None,
    };
    let mut addresses = quoted.into_iter().flatten().chain([packet.destination]);
    match addresses.any(|address| stage.tables.is_ours(address)) {
        true => Verdict::Drop(reason),
        false => Verdict::Pass,
    }
}

fn rewrite_quotation<F: Family>(message: &mut [u8], old: &Tuple<F>, new: &Tuple<F>) {
    let (header_delta, delta) = deltas(old, new);
    let quoted = &mut message[IcmpMessage::<F>::LEN..];
    let Ok(header) = F::parse_quoted(quoted) else { return };
    F::set_source(quoted, new.source);
    F::set_destination(quoted, new.destination);
    F::apply_header_delta(quoted, header_delta);
    let whole = usize::from(header.upper_len());
    set_tuple(&mut quoted[usize::from(header.header_len)..], whole, new, delta);
}

fn rewrite_outer<F: Family>(packet: &IcmpPacket<F>, frame: &mut Frame, new: &Tuple<F>) {
    let old = Tuple { source: packet.source, destination: packet.destination, ..*new };
    let (header_delta, _) = deltas(&old, new);
    let l3 = packet.layout.l3_mut(frame);
    F::set_source(l3, new.source);
    F::set_destination(l3, new.destination);
    F::apply_header_delta(l3, header_delta);
    F::decrement_hop_limit(l3);
    let l4 = packet.layout.l4_mut(frame);
    let sum = F::icmp_sum(new.source, new.destination, l4.len() as u32);
    IcmpMessage::<F>::fill_checksum(l4, sum);
}
