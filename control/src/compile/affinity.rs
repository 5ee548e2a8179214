//! What ClientIP affinity may hold clients to (§3.10): the union of both lists, each backend with a number for its stay.
//!
//! A backend that stays in the union keeps its number. One that leaves and returns gets another one, as do all of them
//! when affinity is switched off and on: so the records of before mean nothing any more, wherever they are.

use penstock_dataplane::{
    table::{Endpoints, PinId, Pins, Service},
    wire::Family,
};
use std::{collections::BTreeSet, sync::Arc};

/// The pins of a Service port with these lists. `given` counts the numbers that were ever given.
pub(super) fn pins<F: Family>(
    lists: [&Endpoints<F>; 2],
    old: Option<&Service<F>>,
    given: &mut u64,
) -> Arc<Pins<F>> {
    let rings = lists.into_iter().filter_map(|list| match list {
        Endpoints::Ring(ring) => Some(ring.backends()),
        Endpoints::Drop | Endpoints::Reject => None,
    });
    let union: BTreeSet<_> = rings.flatten().map(|backend| (backend.addr, backend.port)).collect();
    let old = old.filter(|old| old.affinity.is_some()).map(|old| &old.pins);
    let pins = Pins::new(union.into_iter().map(|(addr, port)| {
        let id = old.and_then(|old| old.of(addr, port)).unwrap_or_else(|| {
            *given += 1;
            PinId(*given)
        });
        (id, addr, port)
    }));
    match old {
        Some(old) if **old == pins => Arc::clone(old),
        _ => Arc::new(pins),
    }
}
