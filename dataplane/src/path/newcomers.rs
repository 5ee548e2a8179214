//! New flows of a block of packets, decided step by step together, so that they wait for memory together.
//!
//! In: arrivals of which some are in no flow's index bucket. Out: for each of those that a Service takes, how far it can be
//! decided before its turn ([`Admitted`]), with the lines of memory asked for that its turn will need.
//!
//! The way of a new flow is over lines that each name the next: destination, Service, slot of the ring, backend, next hop,
//! index bucket of the first SNAT candidate. Of many Services none of them is in a cache, and one flow alone waits for all of
//! them, one behind the other. Here a block takes each step together, and each step asks for what the next one reads.
//!
//! Nothing is changed, and nothing is believed of flows: whether a packet has one is asked again when its turn has come, since
//! a packet before it may have opened it. What is decided here follows from the tables alone, which stay for the batch.

use super::{
    Packet, Stage, lookup, open,
    packet::Arrival,
    select::{self, Admitted},
};
use crate::{
    io::Frame,
    prefetch::prefetch,
    state::{Entry, Reply, Tuple},
    table::Target,
    wire::Family,
};
use arrayvec::ArrayVec;

/// One of each packet of a block and the one behind it. Those of one block alone have not waited long enough for a step
/// when the next one comes.
type Block<T> = ArrayVec<T, { 2 * lookup::AHEAD }>;

/// See the module.
#[derive(Debug)]
pub(super) struct Newcomers<'t, F: Family> {
    decided: Block<Newcomer<'t, F>>,
    /// The first of those whose turn has yet to come.
    next: usize,
    /// How many packets of the batch are behind those that were looked at.
    beyond: usize,
}

#[derive(Debug)]
struct Newcomer<'t, F: Family> {
    /// Its place in the batch.
    index: u8,
    tuple: Tuple<F>,
    forecast: Forecast<'t, F>,
}

/// How far a packet's flow is decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forecast<'t, F: Family> {
    /// Its Service and slot.
    pub(super) admitted: Admitted<'t, F>,
    /// What its answers carry, if that is free and nobody has a better idea.
    pub(super) reply: Option<Reply<F>>,
}

impl<'t, F: Family> Newcomers<'t, F> {
    pub(super) const fn none() -> Self {
        Self { decided: ArrayVec::new_const(), next: 0, beyond: usize::MAX }
    }

    /// Whether the first of the last `left` packets of the batch has been looked at.
    #[inline]
    pub(super) fn include(&self, left: usize) -> bool {
        left > self.beyond
    }

    /// Whether the next one that is decided is the packet at this place of the batch.
    #[inline]
    pub(super) fn have_next(&self, index: u8) -> bool {
        self.decided.get(self.next).is_some_and(|next| next.index == index)
    }

    /// What is decided of the packet at this place of the batch, if anything is and its turn has come. Packets ask in their
    /// order.
    #[inline]
    pub(super) fn take(&mut self, index: u8) -> Option<Forecast<'t, F>> {
        if !self.have_next(index) {
            return None;
        }
        self.next += 1;
        Some(self.decided[self.next - 1].forecast)
    }
}

/// Takes the steps for those packets of a block, and of the one behind it, that are likely of no flow. `later` is what is
/// left of the batch behind the first block; `likely` are the flows of both.
#[inline(never)]
pub(super) fn decide<F: Family>(
    stage: &mut Stage<'_, F>,
    [block, later]: [&[Arrival]; 2],
    likely: [&[Entry]; 2],
    unusual: &[Packet<F>],
    frames: &[Frame],
) {
    let tables = stage.tables;
    let mut new: Block<(u8, Tuple<F>)> = ArrayVec::new();
    let [first, second] = likely;
    let all = block.iter().zip(first).chain(later.iter().zip(second));
    for (arrival, _) in all.filter(|(_, likely)| **likely == Entry::NONE) {
        if let Some(tuple) = arrival.tuple(unusual, &frames[usize::from(arrival.index)])
            && !stage.flows.table.holds(Entry::NONE, &tuple)
        {
            tables.vips.tuples.prefetch(tuple.destination, tuple.transport, tuple.destination_port);
            new.push((arrival.index, tuple));
        }
    }
    let mut found: Block<(u8, Tuple<F>, Target)> = ArrayVec::new();
    for (index, tuple) in new {
        if let Ok(target) = select::target(tables, &tuple) {
            tables.services.prefetch(target.service.0 as usize);
            found.push((index, tuple, target));
        }
    }
    for (.., target) in &found {
        if let Some(service) = tables.service(target.service) {
            prefetch(&service.cluster);
            prefetch(&service.source_ranges);
        }
    }
    let decided = found.into_iter().filter_map(|(index, tuple, target)| {
        let admitted = select::admit(tables, &tuple, target).ok()?;
        admitted.prefetch_slot();
        Some(Newcomer { index, tuple, forecast: Forecast { admitted, reply: None } })
    });
    let beyond = later.len().saturating_sub(second.len());
    stage.newcomers = Newcomers { decided: decided.collect(), next: 0, beyond };
    let decided = &mut stage.newcomers.decided;
    for newcomer in decided.iter() {
        prefetch(newcomer.forecast.admitted.backend());
    }
    for newcomer in decided.iter() {
        tables.next_hops.prefetch(newcomer.forecast.admitted.backend().next_hop.0 as usize);
    }
    let (table, ports) = (&stage.flows.table, &stage.config.steering.ports);
    for Newcomer { tuple, forecast: Forecast { admitted, reply }, .. } in decided {
        if let Some(first) = open::first_reply(tables, ports, tuple, admitted) {
            let hash = table.hash(&first);
            table.prefetch_bucket(hash);
            *reply = (!admitted.has_affinity()).then_some(Reply { tuple: first, hash });
        }
    }
}
