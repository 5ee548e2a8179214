//! Second stage: find the flows of a batch, in two phases.
//!
//! The first hashes every packet and prefetches its index bucket; of plain packets the classifier has done that. The second
//! finds the likely record there and prefetches that; it runs [`AHEAD`] packets ahead of the stages that need the record, so
//! that what a packet costs and what the next ones wait for overlap.

use super::packet::{Arrival, Arrivals};
use crate::{
    state::{Entry, FlowTable},
    wire::Family,
};

/// How many packets the second phase is ahead, and looks up at a time.
pub(super) const AHEAD: usize = 32;

/// First phase, for packets that are not plain: fills in [`Packet::hash`](super::Packet::hash).
#[cold]
#[inline(never)]
pub(super) fn unusual<F: Family>(table: &FlowTable<F>, arrivals: &mut Arrivals<F>) {
    for arrival in arrivals.queue.iter_mut() {
        if let Some(packet) = arrival.unusual().and_then(|number| arrivals.unusual.get_mut(number)) {
            packet.hash = table.hash(&packet.tuple);
            arrival.hash = packet.hash;
            arrival.bucket = table.prefetch_bucket(packet.hash);
        }
    }
}

/// The flows that the packets of a block most likely belong to.
pub(super) type Likely = [Entry; AHEAD];

/// Second phase: the flows that the first packets, a block of them, most likely belong to.
#[inline(never)]
pub(super) fn likely<F: Family>(table: &FlowTable<F>, arrivals: &[Arrival], found: &mut Likely) {
    for (arrival, found) in arrivals.iter().zip(found) {
        *found = table.prefetch_flow_of(arrival.bucket, arrival.hash);
    }
}
