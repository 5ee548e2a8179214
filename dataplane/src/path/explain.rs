//! Says what the path would do with a packet and why, by running the same decision and changing nothing.

use super::{
    Decision, Masquerade, Refusal, Remembered, SourceClass, conntrack, decide, relay, select::Choice,
    steer::Steering,
};
use crate::{
    lane::{FlowLane, WhyNot},
    state::{Flow, Tuple},
    table::{Backend, NextHop, Ring, Tables, TrafficPolicy, VipKind},
    wire::{EtherAddr, Family},
};
use serde::Serialize;
use std::net::SocketAddr;

/// What would happen to the first packet of a flow.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The packet.
    pub packet: String,
    /// "forward", "reject", "pass" (to the kernel) or "drop".
    pub outcome: &'static str,
    /// Why, in a sentence.
    pub because: String,
    /// The Service port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// How it was addressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<VipKind>,
    /// The flow that already exists and is used instead of a new decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<ExistingFlow>,
    /// The decision for a new flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<NewFlow>,
    /// The former owner of the address, to which goes what is of no flow here and is not the first packet of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relayed_to: Option<EtherAddr>,
    /// The lane it would take.
    pub lane: LaneAnswer,
}

/// Which lane a packet would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaneAnswer {
    /// Whether the classifier forwards it by itself.
    pub fast: bool,
    /// Why, or why not; or which packets of the flow it leaves to its worker.
    pub because: String,
}

impl LaneAnswer {
    fn of<F: Family>(tables: &Tables<F>, tuple: &Tuple<F>, flow: Option<&Flow<F>>, retired: bool) -> Self {
        let not = |because: String| Self { fast: false, because };
        let Some(flow) = flow else {
            return not("no worker has a flow of it: new flows are their worker's until they are busy".into());
        };
        match flow.lane {
            FlowLane::User(why) => not(why.to_string()),
            FlowLane::Fast(_) if retired => not(WhyNot::Unsettled.to_string()),
            FlowLane::Fast(_) => {
                let longest = match flow.original == *tuple {
                    true => format!("longer than {} bytes", tables.next_hop(flow.next_hop).mtu),
                    false => "too long for the way to the client".into(),
                };
                let because = format!(
                    "the flow is promoted; but for what has SYN, FIN, RST or no ACK, IP options or extension headers, \
                     no hop left, is a fragment, comes by another way, or is {longest}"
                );
                Self { fast: true, because }
            }
        }
    }
}

/// A flow that is already there.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExistingFlow {
    /// Its state.
    pub state: String,
    /// Its backend.
    pub backend: SocketAddr,
    /// The source the backend sees.
    pub source: SocketAddr,
}

/// How a new flow's backend is found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewFlow {
    /// Who sends, by the local detector.
    pub source_class: SourceClass,
    /// The endpoint list in use.
    pub list: TrafficPolicy,
    /// ClientIP affinity: the hash is of the client's address alone.
    pub affinity: bool,
    /// The age of the affinity record that decides instead of the slot, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_age_ms: Option<u64>,
    /// Size of the Maglev ring.
    pub ring_size: usize,
    /// The slot.
    pub slot: usize,
    /// The backend: the slot's, or the one on record.
    pub backend: SocketAddr,
    /// Whether the backend's next hop is known.
    pub reachable: bool,
    /// Masquerading, and why.
    pub masquerade: Masquerade,
    /// The source the backend would see, if its first candidate is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SocketAddr>,
    /// The other backends of the ring, and why it was not they.
    pub others: Vec<OtherBackend>,
}

/// A backend that was not chosen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherBackend {
    /// Where it is.
    pub backend: SocketAddr,
    /// Slots of the ring it holds.
    pub slots: usize,
    /// Why not.
    pub because: String,
}

/// Explains the first packet of `tuple`. `flow` is the flow it already has, if its owner knows one.
pub fn explain<F: Family>(
    tables: &Tables<F>,
    steering: &Steering,
    tuple: &Tuple<F>,
    remembered: Remembered<'_>,
    flow: Option<&Flow<F>>,
) -> Explanation {
    let retired = flow.is_some_and(|flow| conntrack::is_retired(&flow.original, &flow.reply, tables));
    let mut explanation = Explanation {
        packet: tuple.to_string(),
        outcome: "drop",
        because: String::new(),
        service: None,
        kind: None,
        flow: flow.map(existing),
        decision: None,
        relayed_to: match flow {
            Some(_) => None,
            None => relay::former_owner(tables, tuple).map(|relay| relay.destination),
        },
        lane: LaneAnswer::of(tables, tuple, flow, retired),
    };
    let (outcome, because) = match decide(tables, tuple, remembered) {
        Decision::NotAService => (
            "pass",
            "no Service has this destination, and it is no VIP of ours: it is the kernel's".to_owned(),
        ),
        Decision::Unallocated => ("drop", "the address is in serviceCIDRs, but no Service has it".to_owned()),
        Decision::UnservedPort(kind) => {
            explanation.kind = Some(kind);
            (
                "reject",
                format!(
                    "the address is a {kind:?}, but no Service serves {} {} on it",
                    tuple.transport, tuple.destination_port
                ),
            )
        }
        Decision::Refused { service, kind, refusal } => {
            explanation.kind = Some(kind);
            explanation.service = Some(service.name.to_string());
            refusal_text(refusal)
        }
        Decision::Serve(choice) => {
            explanation.kind = Some(choice.kind);
            explanation.service = Some(choice.service.name.to_string());
            let next_hop = tables.next_hop(choice.backend.next_hop);
            let source = source(steering, tuple, &choice, next_hop, tables);
            explanation.decision = Some(NewFlow {
                source_class: choice.source,
                list: choice.list,
                affinity: choice.service.affinity.is_some(),
                record_age_ms: choice
                    .record
                    .map(|record| remembered.now.since(record.used).as_millis() as u64),
                ring_size: choice.ring.size(),
                slot: choice.slot,
                backend: address::<F>(choice.backend.addr, choice.backend.port),
                reachable: next_hop.link.is_some(),
                masquerade: choice.masquerade,
                source,
                others: others(choice.ring, choice.slot, &choice.backend, choice.record.is_some()),
            });
            match next_hop.link {
                Some(_) if choice.record.is_some() => {
                    ("forward", "the client is on record with this backend (ClientIP affinity)".to_owned())
                }
                Some(_) => (
                    "forward",
                    format!("slot {} of {} belongs to this backend", choice.slot, choice.ring.size()),
                ),
                None => ("drop", "the chosen backend's route or neighbour is not known yet".to_owned()),
            }
        }
    };
    (explanation.outcome, explanation.because) = (outcome, because);
    if retired {
        explanation.because.insert_str(0, "the flow's backend serves no more, so it is decided anew: ");
    } else if flow.is_some() {
        explanation.outcome = "forward";
        explanation.because = "a flow exists, and keeps its backend whatever the tables say now".to_owned();
    }
    explanation
}

fn existing<F: Family>(flow: &Flow<F>) -> ExistingFlow {
    ExistingFlow {
        state: flow.state.get().to_string(),
        backend: address::<F>(flow.reply.source, flow.reply.source_port),
        source: address::<F>(flow.reply.destination, flow.reply.destination_port),
    }
}

fn refusal_text(refusal: Refusal) -> (&'static str, String) {
    match refusal {
        Refusal::SourceRange => {
            ("drop", "the source is in none of the Service's loadBalancerSourceRanges".to_owned())
        }
        Refusal::NoLocalEndpoint => {
            ("drop", "the policy is Local and this node has no endpoint, though others have".to_owned())
        }
        Refusal::NoEndpoint => ("reject", "the Service has no usable endpoint anywhere".to_owned()),
    }
}

/// The source that the backend would see.
fn source<F: Family>(
    steering: &Steering,
    tuple: &Tuple<F>,
    choice: &Choice<'_, F>,
    next_hop: &NextHop<F>,
    tables: &Tables<F>,
) -> Option<SocketAddr> {
    if !choice.masquerade.is_on() {
        return Some(address::<F>(tuple.source, tuple.source_port));
    }
    let pool = &*tables.snat_addresses;
    let addresses = if pool.is_empty() { next_hop.source.as_slice() } else { pool };
    let ports = &steering.ports;
    let candidates = || {
        let candidates = ports.candidates(addresses.len(), crate::state::client_hash(tuple));
        candidates.map(|(which, port)| (addresses[which], port))
    };
    let come_home = steering.replies(tables, &choice.backend, tuple.transport, next_hop);
    let (addr, port) = come_home
        .and_then(|mut come_home| {
            candidates().take(ports.preferred()).find(|(address, port)| come_home(*address, *port))
        })
        .or_else(|| candidates().next())?;
    Some(address::<F>(addr, port))
}

fn others<F: Family>(ring: &Ring<F>, slot: usize, chosen: &Backend<F>, on_record: bool) -> Vec<OtherBackend> {
    let mut slots = vec![0usize; ring.backends().len()];
    ring.slots().for_each(|backend| slots[backend] += 1);
    let others = ring.backends().iter().zip(slots).filter(|(backend, _)| *backend != chosen);
    others
        .map(|(backend, slots)| OtherBackend {
            backend: address::<F>(backend.addr, backend.port),
            slots,
            because: match on_record && backend == ring.at(slot) {
                true => format!("holds slot {slot}, but the client is on record with another"),
                false => format!("holds {slots} of {} slots, but not slot {slot}", ring.size()),
            },
        })
        .collect()
}

fn address<F: Family>(addr: F::Addr, port: u16) -> SocketAddr {
    SocketAddr::new(F::to_ip(addr), port)
}
