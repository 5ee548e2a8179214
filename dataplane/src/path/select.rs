//! The decision for a new flow: which Service, which list, which backend, masqueraded or not.
//!
//! In: the tables and a tuple. Out: a [`Decision`] with every step of its reasoning, which the packet path acts on and
//! `explain` prints: there is one code for both. Changes nothing, the affinity records included. Rules: `service-semantics.md` §3.5 (verdicts), §3.6 (source
//! ranges), §3.7 (masquerading), §3.10 (affinity). Costs a hash look-up, a hash and two loads.

use crate::{
    state::{AffinityTable, Millis, Tuple},
    table::{
        Backend, Endpoints, FlowHash, PinId, Ring, Service, Tables, Target, TrafficPolicy, VipKind, VipMatch,
    },
    wire::Family,
};
use serde::Serialize;

/// What is decided for a new flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'t, F: Family> {
    /// The destination is no Service's.
    NotAService,
    /// The destination is in the range of Service addresses, but no Service's.
    Unallocated,
    /// The destination is a VIP, but nobody serves this port there.
    UnservedPort(VipKind),
    /// A Service's, but not for this flow.
    Refused {
        /// The Service port.
        service: &'t Service<F>,
        /// How it was addressed.
        kind: VipKind,
        /// Why not.
        refusal: Refusal,
    },
    /// Goes to a backend.
    Serve(Choice<'t, F>),
}

/// A backend, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'t, F: Family> {
    /// The Service port.
    pub service: &'t Service<F>,
    /// How it was addressed.
    pub kind: VipKind,
    /// Who asks.
    pub source: SourceClass,
    /// Which endpoint list was used.
    pub list: TrafficPolicy,
    /// Its ring.
    pub ring: &'t Ring<F>,
    /// The slot of the ring.
    pub slot: usize,
    /// The backend: that of the slot, or the one on record.
    pub backend: Backend<F>,
    /// The affinity record that decided instead of the slot.
    pub record: Option<Recorded>,
    /// Whether the backend sees our address.
    pub masquerade: Masquerade,
}

/// The affinity records, as they are at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Remembered<'a> {
    /// The records.
    pub table: &'a AffinityTable,
    /// The moment.
    pub now: Millis,
}

/// An affinity record that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// What it names.
    pub pin: PinId,
    /// When it was last used.
    pub used: Millis,
}

/// Why a Service does not take a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Refusal {
    /// The source is outside `loadBalancerSourceRanges`: dropped in silence.
    SourceRange,
    /// The list is empty, though there are endpoints elsewhere: dropped in silence.
    NoLocalEndpoint,
    /// There are no endpoints: rejected.
    NoEndpoint,
}

/// Who sends (§3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SourceClass {
    /// A pod, says the local detector.
    Pod,
    /// An address of this node.
    Host,
    /// Anybody else.
    Outside,
}

/// Whether the source is translated too, and by which row of §3.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Masquerade {
    /// The backend sees the client: a pod to a cluster IP (row 1).
    NoPodToClusterIp,
    /// The backend sees the client: no local detector is set (row 4).
    NoDetector,
    /// The backend sees the client: externalTrafficPolicy is Local (rows 6, 7).
    NoExternalLocal,
    /// Not from a local pod (row 2).
    YesNotLocal,
    /// masqueradeAll is set (row 3).
    YesAll,
    /// External traffic with policy Cluster (row 5).
    YesExternalCluster,
    /// External traffic from this node (row 8).
    YesHost,
    /// The client is the backend (row 9).
    YesHairpin,
}

impl Masquerade {
    /// Whether it is.
    pub fn is_on(self) -> bool {
        match self {
            Self::NoPodToClusterIp | Self::NoDetector | Self::NoExternalLocal => false,
            Self::YesNotLocal
            | Self::YesAll
            | Self::YesExternalCluster
            | Self::YesHost
            | Self::YesHairpin => true,
        }
    }
}

/// Decides for a new flow with this tuple.
pub fn decide<'t, F: Family>(
    tables: &'t Tables<F>,
    tuple: &Tuple<F>,
    remembered: Remembered<'_>,
) -> Decision<'t, F> {
    let Target { service, kind } =
        match tables.vips.find(tuple.destination, tuple.transport, tuple.destination_port) {
            VipMatch::Service(target) => target,
            VipMatch::UnservedPort(kind) => return Decision::UnservedPort(kind),
            VipMatch::None if tables.is_unallocated(tuple.destination) => return Decision::Unallocated,
            VipMatch::None => return Decision::NotAService,
        };
    let Some(service) = tables.service(service).map(AsRef::as_ref) else {
        return Decision::UnservedPort(kind);
    };
    let refused = |refusal| Decision::Refused { service, kind, refusal };
    if kind == VipKind::LoadBalancerIp
        && let Some(ranges) = &service.source_ranges
        && !ranges.iter().any(|range| range.contains(tuple.source))
    {
        return refused(Refusal::SourceRange);
    }
    let source = classify_source(tables, tuple.source);
    let list = list(service, kind, source);
    let endpoints = match list {
        TrafficPolicy::Cluster => &service.cluster,
        TrafficPolicy::Local => &service.local,
    };
    let ring = match endpoints {
        Endpoints::Ring(ring) => ring,
        Endpoints::Drop => return refused(Refusal::NoLocalEndpoint),
        Endpoints::Reject => return refused(Refusal::NoEndpoint),
    };
    let slot = ring.slot(selection_hash(service, tuple));
    let recorded = recorded(service, tuple.source, ring, remembered);
    let record = recorded.map(|(record, _)| record);
    let backend = recorded.map_or_else(|| *ring.at(slot), |(_, backend)| backend);
    let masquerade = masquerade(tables, service, kind, source, tuple.source == backend.addr);
    Decision::Serve(Choice { service, kind, source, list, ring, slot, backend, record, masquerade })
}

/// Whether new flows with this tuple are masqueraded, whichever backend is chosen: hairpins may be where this says no.
pub(super) fn is_masqueraded<F: Family>(tables: &Tables<F>, tuple: &Tuple<F>) -> bool {
    let Tuple { source, destination, transport, destination_port, .. } = *tuple;
    let VipMatch::Service(target) = tables.vips.find(destination, transport, destination_port) else {
        return false;
    };
    let source = classify_source(tables, source);
    tables
        .service(target.service)
        .is_some_and(|service| masquerade(tables, service, target.kind, source, false).is_on())
}

/// With ClientIP affinity all flows of a client fall into one slot, whichever gateway sees them.
fn selection_hash<F: Family>(service: &Service<F>, tuple: &Tuple<F>) -> u64 {
    match service.affinity {
        Some(_) => FlowHash::of_client::<F>(tuple.source),
        None => {
            FlowHash::of_flow::<F>(tuple.source, tuple.source_port, tuple.destination, tuple.destination_port)
        }
    }
}

/// The backend a client is held to: of its records that are young enough and name a backend of the list, the first in
/// order of the endpoints' texts (§3.10). A record as old as the timeout has expired.
fn recorded<F: Family>(
    service: &Service<F>,
    client: F::Addr,
    ring: &Ring<F>,
    remembered: Remembered<'_>,
) -> Option<(Recorded, Backend<F>)> {
    service.affinity?;
    let mut best: Option<(u32, Recorded, Backend<F>)> = None;
    remembered.table.visit::<F>(service.id, client, |pin, used| {
        if is_alive(service, pin, used, remembered.now)
            && let Some(found) = service.pins.find(pin)
            && let Some(backend) = ring.find(found.addr, found.port)
            && best.is_none_or(|(rank, ..)| found.rank < rank)
        {
            best = Some((found.rank, Recorded { pin, used }, *backend));
        }
    });
    best.map(|(_, record, backend)| (record, backend))
}

/// Whether an affinity record of a Service may still decide.
fn is_alive<F: Family>(service: &Service<F>, pin: PinId, used: Millis, now: Millis) -> bool {
    service.affinity.is_some_and(|timeout| now.since(used) < timeout) && service.pins.find(pin).is_some()
}

impl<F: Family> Choice<'_, F> {
    /// Notes the choice among the affinity records, if the Service has affinity.
    pub(super) fn remember(&self, client: F::Addr, remembered: Remembered<'_>) {
        let Remembered { table, now } = remembered;
        if self.service.affinity.is_some()
            && let Some(pin) = self.service.pins.of(self.backend.addr, self.backend.port)
        {
            let alive = |pin, used| is_alive(self.service, pin, used, now);
            table.note::<F>(self.service.id, client, pin, now, alive);
        }
    }
}

fn classify_source<F: Family>(tables: &Tables<F>, source: F::Addr) -> SourceClass {
    let locality = &tables.locality;
    if locality.host.contains(&source) {
        SourceClass::Host
    } else if locality.pods.is_some_and(|pods| pods.contains(source)) {
        SourceClass::Pod
    } else {
        SourceClass::Outside
    }
}

/// Which endpoint list serves: the policy's, but local sources of external traffic take the short cut (§3.5).
fn list<F: Family>(service: &Service<F>, kind: VipKind, source: SourceClass) -> TrafficPolicy {
    match (kind, source) {
        (VipKind::ClusterIp, _) => service.internal_policy,
        (_, SourceClass::Pod | SourceClass::Host) => TrafficPolicy::Cluster,
        (_, SourceClass::Outside) => service.external_policy,
    }
}

/// The rows of §3.7, in the order that decides.
fn masquerade<F: Family>(
    tables: &Tables<F>,
    service: &Service<F>,
    kind: VipKind,
    source: SourceClass,
    hairpin: bool,
) -> Masquerade {
    if hairpin {
        return Masquerade::YesHairpin;
    }
    if kind == VipKind::ClusterIp {
        return match (tables.locality.masquerade_all, tables.locality.pods, source) {
            (true, _, _) => Masquerade::YesAll,
            (false, None, _) => Masquerade::NoDetector,
            (false, Some(_), SourceClass::Pod) => Masquerade::NoPodToClusterIp,
            (false, Some(_), SourceClass::Host | SourceClass::Outside) => Masquerade::YesNotLocal,
        };
    }
    match (service.external_policy, source) {
        (TrafficPolicy::Cluster, _) => Masquerade::YesExternalCluster,
        (TrafficPolicy::Local, SourceClass::Host) => Masquerade::YesHost,
        (TrafficPolicy::Local, SourceClass::Pod | SourceClass::Outside) => Masquerade::NoExternalLocal,
    }
}
