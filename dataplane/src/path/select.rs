//! The decision for a new flow: which Service, which list, which backend, masqueraded or not.
//!
//! In: the tables and a tuple. Out: a [`Decision`] with every step of its reasoning, which the packet path acts on and
//! `explain` prints: there is one code for both. Changes nothing, the affinity records included. Rules: `service-semantics.md` §3.5 (verdicts), §3.6 (source
//! ranges), §3.7 (masquerading), §3.10 (affinity). Costs a hash look-up, a hash, and four lines of memory of which each names
//! the next: destination, Service, slot, backend.

use super::masquerade::{Masquerade, SourceClass, classify_source, masquerade};
use crate::{
    state::{AffinityTable, Millis, Tuple, client_hash},
    table::{
        Backend, Endpoints, FlowHash, PinId, Ring, Service, Tables, Target, TrafficPolicy, VipKind, VipMatch,
    },
    wire::Family,
};
use serde::Serialize;
use std::time::Duration;

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
    /// The hash of the client's tuple, which the first SNAT candidate follows from ([`client_hash`]).
    pub hash: u64,
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

/// Decides for a new flow with this tuple.
pub fn decide<'t, F: Family>(
    tables: &'t Tables<F>,
    tuple: &Tuple<F>,
    remembered: Remembered<'_>,
) -> Decision<'t, F> {
    match target(tables, tuple).and_then(|target| admit(tables, tuple, target)) {
        Ok(admitted) => {
            Decision::Serve(admitted.choose(tables, tuple.source, admitted.backend(), Some(remembered)))
        }
        Err(decision) => decision,
    }
}

/// The first step of a decision: what the destination is. The steps are apart so that a batch of new flows can take each of
/// them together (`newcomers.rs`).
#[inline]
pub(super) fn target<'t, F: Family>(tables: &Tables<F>, tuple: &Tuple<F>) -> Result<Target, Decision<'t, F>> {
    match tables.vips.find(tuple.destination, tuple.transport, tuple.destination_port) {
        VipMatch::Service(target) => Ok(target),
        VipMatch::UnservedPort(kind) => Err(Decision::UnservedPort(kind)),
        VipMatch::None if tables.is_unallocated(tuple.destination) => Err(Decision::Unallocated),
        VipMatch::None => Err(Decision::NotAService),
    }
}

/// A flow that its Service takes, before its backend is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admitted<'t, F: Family> {
    service: &'t Service<F>,
    ring: &'t Ring<F>,
    /// The client's ([`client_hash`]).
    hash: u64,
    slot: usize,
    kind: VipKind,
    source: SourceClass,
    list: TrafficPolicy,
}

/// The second step: whether the Service takes the flow, and the slot of its ring that the flow falls into. Reads nothing
/// but the Service.
#[inline]
pub(super) fn admit<'t, F: Family>(
    tables: &'t Tables<F>,
    tuple: &Tuple<F>,
    Target { service, kind }: Target,
) -> Result<Admitted<'t, F>, Decision<'t, F>> {
    let Some(service) = tables.service(service) else {
        return Err(Decision::UnservedPort(kind));
    };
    let refused = |refusal| Err(Decision::Refused { service, kind, refusal });
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
    let hash = client_hash(tuple);
    // With ClientIP affinity all flows of a client fall into one slot, whichever gateway sees them.
    let slot = ring.slot(match service.affinity {
        Some(_) => FlowHash::of_client::<F>(tuple.source),
        None => hash,
    });
    Ok(Admitted { service, ring, hash, slot, kind, source, list })
}

impl<'t, F: Family> Admitted<'t, F> {
    /// The last step: this backend, which is the slot's, or the one on record for this client, and whether it sees the client.
    /// Without the records it is the slot's.
    #[inline]
    pub(super) fn choose(
        &self,
        tables: &Tables<F>,
        client: F::Addr,
        likely: &Backend<F>,
        remembered: Option<Remembered<'_>>,
    ) -> Choice<'t, F> {
        let Self { service, ring, hash, slot, kind, source, list } = *self;
        let recorded = remembered.and_then(|remembered| recorded(service, client, ring, remembered));
        let record = recorded.map(|(record, _)| record);
        let backend = recorded.map_or(*likely, |(_, backend)| backend);
        let masquerade = masquerade(tables, service, kind, source, client == backend.addr);
        Choice { service, kind, source, list, ring, hash, slot, backend, record, masquerade }
    }

    /// Asks for the slot.
    #[inline]
    pub(super) fn prefetch_slot(&self) {
        self.ring.prefetch_slot(self.slot);
    }

    /// The backend of the slot, which is that of the flow if no record of its client says otherwise.
    #[inline]
    pub(super) fn backend(&self) -> &'t Backend<F> {
        self.ring.at(self.slot)
    }

    /// Whether it may be another, that a record names.
    #[inline]
    pub(super) fn has_affinity(&self) -> bool {
        self.service.affinity.is_some()
    }
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

/// The backend a client is held to: of its records that are young enough and name a backend of the list, the first in
/// order of the endpoints' texts (§3.10). A record as old as the timeout has expired.
#[inline]
fn recorded<F: Family>(
    service: &Service<F>,
    client: F::Addr,
    ring: &Ring<F>,
    remembered: Remembered<'_>,
) -> Option<(Recorded, Backend<F>)> {
    service.affinity?;
    best_record(service, client, ring, remembered)
}

fn best_record<F: Family>(
    service: &Service<F>,
    client: F::Addr,
    ring: &Ring<F>,
    remembered: Remembered<'_>,
) -> Option<(Recorded, Backend<F>)> {
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
    let Some(timeout) = service.affinity else { return false };
    now.since(used) < Duration::from_secs(timeout.get().into()) && service.pins.find(pin).is_some()
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

/// Which endpoint list serves: the policy's, but local sources of external traffic take the short cut (§3.5).
fn list<F: Family>(service: &Service<F>, kind: VipKind, source: SourceClass) -> TrafficPolicy {
    match (kind, source) {
        (VipKind::ClusterIp, _) => service.internal_policy,
        (_, SourceClass::Pod | SourceClass::Host) => TrafficPolicy::Cluster,
        (_, SourceClass::Outside) => service.external_policy,
    }
}
