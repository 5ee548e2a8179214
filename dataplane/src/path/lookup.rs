//! Second stage: find the flows of a batch, in two phases.
//!
//! The first hashes every packet and prefetches its index bucket, the second finds the likely record there and
//! prefetches that. By the time a packet is tracked both are in the cache, and the misses of a batch have overlapped.

use super::Packet;
use crate::{state::FlowTable, wire::Family};

/// Fills in [`Packet::hash`] and [`Packet::likely`].
#[inline(never)]
pub(super) fn batch<F: Family>(table: &FlowTable<F>, packets: &mut [Packet<F>]) {
    for packet in &mut *packets {
        packet.hash = table.hash(&packet.tuple);
        table.prefetch_bucket(packet.hash);
    }
    for packet in packets {
        packet.likely = table.prefetch_flow(packet.hash);
    }
}
