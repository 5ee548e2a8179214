//! Whose packet is this? Each flow belongs to one worker, and both of its directions must meet there.
//!
//! A packet of a flow that this worker has is its own: nothing more is asked, so packets that NICs bring to the right
//! queue cost one look at the table that is looked at anyway, and an owner keeps its flows whatever becomes of Services,
//! policies and NICs. For all others the owner follows from the packet and the port it came in on, so that every worker
//! comes to the same answer:
//! 1. Sent to a SNAT address and port: the worker that the port names (port mod workers).
//! 2. Sent to a Service that masquerades its source: the worker of the queue that the NIC's hash chooses for it, where
//!    key, table and hashed fields of the port it came in on are known (`table/rss.rs`). It is there already.
//! 3. Anything else: the worker that follows from the client's address: of what is sent to us the source, else (a
//!    reply to a client that kept its address) the destination.
//!
//! Replies of masqueraded flows come home at once too, where the egress port of their backend has facts: a new flow
//! takes a SNAT port that names its owner *and* is hashed to a queue of it ([`Steering::replies`]). That costs as many
//! tries as there are workers, of two loads each. The hash alone could name the owner, and every port would do for
//! somebody. But then each reply would be hashed, and a changed table, another way back or a snapshot more or less would
//! lose flows. This way facts only make packets arrive well. Each direction gains by itself, and where no port of those
//! few is free any other of the owner's is taken, so that no port is lost.
//!
//! Facts may be wrong or change (`ethtool -X`), ports may differ: then a packet comes to another worker, which hands it
//! over by the same rule. Only rule 2 changes with them. A flow whose owner by rule 2 becomes another worker goes on as
//! long as the NIC brings it to the one that has it. What the NIC now brings to the new owner begins anew there: for TCP that
//! is the end of the connection, as it is when a gateway fails. The same goes for flows that move between ports whose
//! facts differ.
//!
//! An ICMP error belongs to the owner of the packet it quotes, turned round; a fragment to that of its first, whose
//! ports all workers know (`state/fragments.rs`). With one worker there is nothing to decide, and it costs nothing.

use super::{
    Verdict, lookup,
    packet::{Arrivals, IcmpAbout},
    select,
};
use crate::{
    io::{Frame, PortId},
    state::{Entry, FlowTable, SnatPorts, Tuple},
    table::{Backend, FlowHash, NextHop, Tables, Transport},
    wire::Family,
};

/// The rule by which a worker knows its own packets.
#[derive(Debug, Clone)]
pub struct Steering {
    /// The worker's SNAT ports.
    pub ports: SnatPorts,
    worker: u16,
    workers: u16,
}

impl Steering {
    /// The rule for `worker` of `workers`.
    pub fn new(ports: SnatPorts, worker: u16, workers: u16) -> Self {
        Self { ports, worker, workers }
    }

    /// Which worker this is.
    pub fn worker(&self) -> u16 {
        self.worker
    }

    /// The owner of a packet with this tuple that came in on `port`, if no worker has its flow.
    pub fn owner<F: Family>(&self, tuple: &Tuple<F>, port: PortId, tables: &Tables<F>) -> u16 {
        if self.workers == 1 {
            return self.worker;
        }
        let own = tables.is_own(tuple.destination);
        if own
            && let Some(owner) = self.ports.owner(tuple.destination_port)
            // A VIP may be one of our addresses too and serve a port of the range, which is then no SNAT port.
            && !tables.vips.serves(tuple.destination, tuple.transport, tuple.destination_port)
        {
            return owner;
        }
        if !own && !tables.vips.captures(tuple.destination) {
            return self.of_client::<F>(tuple.destination);
        }
        self.chosen(tuple, port, tables).unwrap_or_else(|| self.of_client::<F>(tuple.source))
    }

    /// The worker to whose queue the NIC brings what is masqueraded.
    fn chosen<F: Family>(&self, tuple: &Tuple<F>, port: PortId, tables: &Tables<F>) -> Option<u16> {
        let rss = tables.rss.of(port)?;
        let (from, to) = ((tuple.source, tuple.source_port), (tuple.destination, tuple.destination_port));
        let worker = rss.worker::<F>(tuple.transport, from, to).filter(|worker| *worker < self.workers)?;
        select::is_masqueraded(tables, tuple).then_some(worker)
    }

    /// Tells of a SNAT address and port whether the replies of this backend to them come to a queue of this worker's.
    /// `None`: nobody knows, or it makes no difference.
    pub(super) fn replies<'t, F: Family>(
        &self,
        tables: &'t Tables<F>,
        backend: &Backend<F>,
        transport: Transport,
        next_hop: &NextHop<F>,
    ) -> Option<impl FnMut(F::Addr, u16) -> bool + use<'t, F>> {
        if self.workers == 1 {
            return None;
        }
        let rss = tables.rss.of(next_hop.link?.port)?;
        let mut arrivals = rss.arrivals::<F>(transport, backend.addr, backend.port)?;
        let worker = self.worker;
        Some(move |address, port| arrivals.worker(address, port) == Some(worker))
    }

    /// Whether a packet with this tuple is this worker's.
    pub(super) fn is_mine<F: Family>(
        &self,
        tuple: &Tuple<F>,
        port: PortId,
        tables: &Tables<F>,
        flows: &FlowTable<F>,
    ) -> bool {
        self.stranger(flows.hash(tuple), tuple, port, tables, flows).is_none()
    }

    /// The worker that a packet is to be handed to, if it is not this one's. `hash` is its tuple's in the flow table.
    #[inline]
    fn stranger<F: Family>(
        &self,
        hash: u64,
        tuple: &Tuple<F>,
        port: PortId,
        tables: &Tables<F>,
        flows: &FlowTable<F>,
    ) -> Option<u16> {
        if flows.find(hash, tuple).is_some() {
            return None;
        }
        Some(self.owner(tuple, port, tables)).filter(|owner| *owner != self.worker)
    }

    #[inline]
    fn of_client<F: Family>(&self, client: F::Addr) -> u16 {
        (((FlowHash::of_client::<F>(client) >> 32) * u64::from(self.workers)) >> 32) as u16
    }
}

/// Takes out of a batch what is another worker's, and says whose. The packets' hashes and index buckets are at hand; their
/// flows are asked for all at once here, so that looking for them is looking at what has come.
///
/// A packet quoted by an ICMP error was sent towards whoever complains, so the answer to it is what would arrive here.
pub(super) fn batch<F: Family>(
    steering: &Steering,
    tables: &Tables<F>,
    flows: &FlowTable<F>,
    frames: &[Frame],
    arrivals: &mut Arrivals<F>,
    verdicts: &mut [Verdict],
) {
    if steering.workers == 1 {
        return;
    }
    let Arrivals { queue, unusual, icmp, .. } = arrivals;
    for block in queue.chunks(lookup::AHEAD) {
        lookup::likely(flows, block, &mut [Entry::default(); lookup::AHEAD]);
    }
    let mut stays = |hash: u64, tuple: &Tuple<F>, index: u8| {
        let at = usize::from(index);
        let stranger = steering.stranger(hash, tuple, frames[at].port(), tables, flows);
        if let Some(owner) = stranger {
            verdicts[at] = Verdict::Handoff(owner);
        }
        stranger.is_none()
    };
    queue.retain(|arrival| {
        let tuple = arrival.tuple(unusual, &frames[usize::from(arrival.index)]);
        tuple.is_none_or(|tuple| stays(arrival.hash, &tuple, arrival.index))
    });
    icmp.retain(|packet| match packet.about {
        IcmpAbout::Error(quoted) => {
            let answer = quoted.reversed();
            stays(flows.hash(&answer), &answer, packet.index)
        }
        IcmpAbout::Echo | IcmpAbout::Other => true,
    });
}
