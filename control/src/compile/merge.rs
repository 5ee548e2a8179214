//! The endpoints of one Service port, from all slices of the Service (§2.3).
//!
//! Joined by name and protocol of the port; the number is the slice's. Where two slices hold the same address and
//! port, the first one counts, unless it is terminating and the other is not. Only `addr` and conditions matter
//! later, so an endpoint is borrowed, not copied.

use super::environment::family;
use crate::model::{Endpoint, Joined, ServicePort};
use penstock_dataplane::wire::Family;
use std::collections::BTreeMap;

/// Endpoints by address and port, in that order.
pub(super) type Merged<'m, F> = BTreeMap<(<F as Family>::Addr, u16), &'m Endpoint>;

pub(super) fn merge<'m, F: Family>(joined: &'m Joined, port: &ServicePort) -> Merged<'m, F> {
    let mut merged = Merged::<F>::new();
    for slice in joined.slices.iter().filter(|slice| slice.family == family::<F>()) {
        let fits = |candidate: &&crate::model::SlicePort| {
            candidate.name == port.name && candidate.transport == port.transport
        };
        for number in slice.ports.iter().filter(fits).map(|port| port.port) {
            for endpoint in &slice.endpoints {
                let Some(addr) = F::from_ip(endpoint.addr) else { continue };
                let first = merged.entry((addr, number)).or_insert(endpoint);
                if first.terminating && !endpoint.terminating {
                    *first = endpoint;
                }
            }
        }
    }
    merged
}
