//! Which UDP flows have to look for another backend (§3.12).
//!
//! Established TCP and SCTP flows keep their backend whatever happens. A UDP flow keeps its own while that serves,
//! even when it terminates. When it serves no more and somebody else does, the flow is to be decided anew. With nobody
//! left, everything stays as it is until somebody comes.

use super::merge::Merged;
use crate::model::Endpoint;
use penstock_dataplane::{
    table::{Sockets, Transport},
    wire::Family,
};
use std::collections::BTreeMap;

/// The endpoints whose numbers a Service port holds, and whether flows may be bound to them.
pub(super) type Held<F> = BTreeMap<(<F as Family>::Addr, u16), bool>;

/// What is held after a change, and which endpoints' flows are to be decided anew.
pub(super) fn retire<F: Family>(
    transport: Transport,
    old: &Held<F>,
    merged: &Merged<'_, F>,
) -> (Held<F>, Vec<(F::Addr, u16)>) {
    let mut held: Held<F> = merged.iter().map(|(key, endpoint)| (*key, serves(endpoint))).collect();
    if transport != Transport::Udp {
        return (held, Vec::new());
    }
    let bound = old.iter().filter(|(_, bound)| **bound).map(|(key, _)| *key);
    let gone: Vec<_> = bound.filter(|key| held.get(key) != Some(&true)).collect();
    if held.values().any(|serves| *serves) {
        return (held, gone);
    }
    held.extend(gone.into_iter().map(|key| (key, true)));
    (held, Vec::new())
}

/// `ready` without `serving` is how publishNotReadyAddresses looks: such endpoints get flows too.
fn serves(endpoint: &Endpoint) -> bool {
    endpoint.serving || endpoint.ready
}

/// The endpoints that UDP flows may stay with, in order; policies and hints do not matter. `None`: with all.
pub(super) fn serving<F: Family>(transport: Transport, merged: &Merged<'_, F>) -> Option<Sockets<F>> {
    if transport != Transport::Udp {
        return None;
    }
    let serving: Vec<_> =
        merged.iter().filter(|(_, endpoint)| serves(endpoint)).map(|(key, _)| *key).collect();
    (!serving.is_empty()).then(|| serving.into())
}
