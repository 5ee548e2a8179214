//! Flows that a former process promoted, and that went on while nobody was there: they are rebuilt from their slots.
//!
//! In: what the slots of a live pair say ([`Stray`]), and the tables. Out: a flow, as it was when it was promoted, for
//! which the lane goes on; or that the pair ends. TCP is established and UDP a stream, else it had not been there; deltas
//! follow from the tuples; Service, backend and next hop from the tables, by their addresses; the way back from the hop
//! that answers take. When a flow was opened nobody remembers: it begins now, with what the lane has counted.
//!
//! What the tables do not have yet is waited for. A flow ends if its destination or its backend is no Service's any more,
//! if its UDP backend does not serve, if its SNAT port is another worker's now, or if there is another flow by now.
//!
//! Until it is adopted, the classifier serves a flow as before. What of it comes to a worker meanwhile is judged as a packet
//! without a flow: if it opens one, the pair ends. A segment in the middle of a connection does so, to the same backend and
//! from the same SNAT port if nothing has changed, and the connection goes on by its worker; an answer is dropped, and
//! sent again.

use super::{PathConfig, conntrack::is_retired, rewrite::flow_deltas};
use crate::{
    lane::{Fate, FlowLane, STRAYS_A_TURN, Stray},
    state::{Flow, FlowState, Flows, LastHopId, Millis, TcpState, Traffic, Tuple},
    table::{Backend, Endpoints, Service, Tables, Transport, VipMatch},
    wire::Family,
};
use arrayvec::ArrayVec;

/// Looks at some of the pairs that a former process left. `is_complete`: there are Services, of either family.
#[cold]
pub(super) fn some<F: Family>(
    config: &PathConfig,
    flows: &mut Flows<F>,
    tables: &Tables<F>,
    is_complete: bool,
    now: Millis,
) {
    let strays = flows.lane.strays();
    let decided: ArrayVec<_, STRAYS_A_TURN> = strays
        .into_iter()
        .map(|stray| {
            let fate = decide(config, flows, tables, &stray, now);
            (stray, fate)
        })
        .collect();
    let Flows { table, last_hops, lane, .. } = flows;
    lane.settle_strays(&decided, is_complete, (table, last_hops), tables);
}

fn decide<F: Family>(
    config: &PathConfig,
    flows: &mut Flows<F>,
    tables: &Tables<F>,
    stray: &Stray<F>,
    now: Millis,
) -> Fate {
    let [forward, answer] = &stray.entries;
    let (original, reply) = (forward.arrives, answer.arrives);
    let is_whole = forward.leaves == reply.reversed()
        && answer.leaves == original.reversed()
        && [forward.deltas, answer.deltas] == flow_deltas(&original, &reply);
    let is_known = |tuple: &Tuple<F>| flows.table.find(flows.table.hash(tuple), tuple).is_some();
    let is_masqueraded = reply.destination != original.source;
    let is_ours = !is_masqueraded
        || config.steering.ports.owner(reply.destination_port) == Some(config.steering.worker());
    let Some(last_hop) = stray.last_hop else { return Fate::Ended };
    if !is_whole
        || !is_ours
        || is_known(&original)
        || is_known(&reply)
        || is_retired(&original, &reply, tables)
    {
        return Fate::Ended;
    }
    let Some((service, backend)) = served(tables, &original, &reply) else { return Fate::Later };
    if tables.next_hop(backend.next_hop).link.is_none() {
        return Fate::Later;
    }
    let flow = Flow {
        original,
        reply,
        state: match original.transport {
            Transport::Udp => FlowState::UdpStream,
            Transport::Tcp | Transport::Sctp => FlowState::Tcp(TcpState::Established),
        }
        .into(),
        deltas: [forward.deltas, answer.deltas],
        next_hop: backend.next_hop,
        backend: backend.id,
        service: service.id,
        acked: [forward.acked, answer.acked],
        udp_epoch: tables.udp_epoch,
        last_hop: LastHopId::default(),
        created: now,
        // Nobody told the classifier the time while there was no process, so it is given a whole timeout.
        last_seen: now,
        traffic: [Traffic::default(); 2],
        lane: FlowLane::default(),
    };
    let hashes = flows.table.hashes(&original, &reply);
    match flows.open(flow, hashes, last_hop, &config.timeouts) {
        Ok(id) => Fate::Adopted(id),
        Err(_) => Fate::Ended,
    }
}

/// Whose flow this is.
fn served<'t, F: Family>(
    tables: &'t Tables<F>,
    original: &Tuple<F>,
    reply: &Tuple<F>,
) -> Option<(&'t Service<F>, &'t Backend<F>)> {
    let Tuple { destination, destination_port, transport, .. } = *original;
    let VipMatch::Service(target) = tables.vips.find(destination, transport, destination_port) else {
        return None;
    };
    let service = tables.service(target.service)?;
    let rings = [&service.cluster, &service.local].into_iter().filter_map(|list| match list {
        Endpoints::Ring(ring) => Some(ring.backends()),
        Endpoints::Drop | Endpoints::Reject => None,
    });
    let is_it = |backend: &&Backend<F>| (backend.addr, backend.port) == (reply.source, reply.source_port);
    Some((service, rings.flatten().find(is_it)?))
}
