//! New flows of a block of packets, decided step by step together, so that they wait for memory together.
//!
//! In: arrivals of which some are in no flow's index bucket. Out: for each of those that a Service takes, what is decided before
//! its turn ([`Forecast`]), with the lines of memory asked for that its turn will need.
//!
//! The way of a new flow is over lines that each name the next: destination, Service, slot of the ring, backend, next hop,
//! index bucket of the first SNAT candidate. Of many Services none of them is in a cache, and one flow alone waits for all of
//! them, one behind the other. Here a block takes each step together, and then asks for what the next one reads: in a loop that
//! does nothing else, since a processor goes no further than its window while it looks for the page of a line, and of a short loop
//! more requests are in there.
//!
//! Nothing is changed, and nothing is believed of flows: whether a packet has one is asked again when its turn has come, since
//! a packet before it may have opened it. What is decided here follows from the tables alone, which stay for the batch.
//! Where a client's affinity record may decide, which a packet before may have changed, lines are asked for and that is all.

use super::{
    Packet, Stage, lookup, open,
    packet::Arrival,
    select::{self, Admitted, Choice},
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
    decided: Block<Forecast<'t, F>>,
    /// The first of those whose turn has yet to come.
    next: usize,
    /// How many packets of the batch are behind those that were looked at.
    beyond: usize,
}

/// A packet that is likely of no flow.
struct Newcomer<F: Family> {
    /// Its place in the batch.
    index: u8,
    tuple: Tuple<F>,
}

/// A packet, and what is decided of its flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forecast<'t, F: Family> {
    /// Its place in the batch.
    index: u8,
    /// Its backend.
    pub(super) choice: Choice<'t, F>,
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

    /// Forgets those of before. So many packets of the batch are `beyond` those that will be decided.
    fn begin(&mut self, beyond: usize) {
        self.decided.clear();
        (self.next, self.beyond) = (0, beyond);
    }

    /// What is decided of the packet at this place of the batch, whose turn has come, if anything is.
    #[inline]
    pub(super) fn forecast(&self, index: u8) -> Option<&Forecast<'t, F>> {
        self.decided.get(self.next).filter(|next| next.index == index)
    }

    /// The turn of the packet at this place of the batch is over. Turns come in their order.
    #[inline]
    pub(super) fn pass(&mut self, index: u8) {
        self.next += usize::from(self.forecast(index).is_some());
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
    let (tables, flows, ports) = (stage.tables, &stage.flows.table, &stage.config.steering.ports);
    let mut new: Block<Newcomer<F>> = ArrayVec::new();
    let [first, second] = likely;
    let all = block.iter().zip(first).chain(later.iter().zip(second));
    for (arrival, _) in all.filter(|(_, likely)| **likely == Entry::NONE) {
        if let Some(tuple) = arrival.tuple(unusual, &frames[usize::from(arrival.index)])
            && !flows.holds(Entry::NONE, &tuple)
        {
            new.push(Newcomer { index: arrival.index, tuple });
        }
    }
    for Newcomer { tuple, .. } in &new {
        tables.vips.tuples.prefetch(tuple.destination, tuple.transport, tuple.destination_port);
    }
    let mut found: Block<(&Newcomer<F>, Target)> = ArrayVec::new();
    for new in &new {
        if let Ok(target) = select::target(tables, &new.tuple) {
            found.push((new, target));
        }
    }
    found.iter().for_each(|(_, target)| tables.services.prefetch(target.service.0 as usize));
    let mut admitted: Block<(&Newcomer<F>, Admitted<'_, F>)> = ArrayVec::new();
    for (new, target) in &found {
        if let Ok(taken) = select::admit(tables, &new.tuple, *target) {
            admitted.push((new, taken));
        }
    }
    admitted.iter().for_each(|(_, taken)| taken.prefetch_slot());
    let backends: Block<_> = admitted.iter().map(|(_, taken)| taken.backend()).collect();
    backends.iter().for_each(|backend| prefetch(*backend));
    backends.iter().for_each(|backend| tables.next_hops.prefetch(backend.next_hop.0 as usize));
    stage.newcomers.begin(later.len().saturating_sub(second.len()));
    for ((Newcomer { index, tuple }, taken), backend) in admitted.iter().zip(backends) {
        let choice = taken.choose(tables, tuple.source, backend, None);
        let reply = open::first_reply(tables, ports, tuple, &choice).map(|first| {
            let hash = flows.hash(&first);
            flows.prefetch_bucket(hash);
            Reply { tuple: first, hash }
        });
        if !taken.has_affinity() {
            stage.newcomers.decided.push(Forecast { index: *index, choice, reply });
        }
    }
}
