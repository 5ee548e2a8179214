//! Second stage: find the flows of a batch, in two phases.
//!
//! The first hashes every packet and prefetches its index bucket; of plain packets the classifier has done that. The second
//! finds the likely record there and prefetches that; it runs some packets ahead of the stages that need the record, so
//! that what a packet costs and what the next ones wait for overlap.

use super::Packet;
use crate::{state::FlowTable, wire::Family};

/// How many packets the second phase is ahead: so many lines a processor fetches at a time.
pub(super) const AHEAD: usize = 16;

/// First phase, for packets that are not plain: fills in [`Packet::hash`].
#[cold]
#[inline(never)]
pub(super) fn unusual<F: Family>(table: &FlowTable<F>, packets: &mut [Packet<F>]) {
    for packet in packets.iter_mut().filter(|packet| !packet.is_plain) {
        packet.hash = table.hash(&packet.tuple);
        table.prefetch_bucket(packet.hash);
    }
}

/// Second phase: fills in [`Packet::likely`].
#[inline(always)]
pub(super) fn likely<F: Family>(table: &FlowTable<F>, packet: &mut Packet<F>) {
    packet.likely = table.prefetch_flow(packet.hash);
}
