//! The decided differences, and open faults, so far as they show in a probe. `tests/differential/DIFFERENCES.md` has the reasons.

use serde_json::Value;

use crate::{
    arena::Family,
    observe::{Compared, Observation},
    probe::Kind,
};

/// The number of the difference that explains `compared`, if one does.
pub fn explain(compared: &Compared, services: &[Value]) -> Option<&'static str> {
    let service =
        services.iter().find(|service| service["metadata"]["name"] == compared.probe.service.as_str())?;
    let silent = |seen: &Observation| seen.silent && !seen.rejected && seen.backends.is_empty();
    match compared.probe.kind {
        Kind::LoadBalancer(_)
            if silent(&compared.penstock) && only_other_family(service, compared.probe.family) =>
        {
            Some("D-3")
        }
        Kind::LoadBalancerNodePort if compared.kube.backends.is_empty() && compared.penstock.rejected => {
            Some("D-4")
        }
        _ => None,
    }
}

/// Whether the Service has source ranges, and none of `family`.
fn only_other_family(service: &Value, family: Family) -> bool {
    let ranges: Vec<_> = service["spec"]["loadBalancerSourceRanges"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    !ranges.is_empty() && ranges.iter().all(|range| range.contains(':') != (family == Family::V6))
}
