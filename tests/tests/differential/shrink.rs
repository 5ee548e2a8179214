//! Makes a case smaller for as long as its disagreement stays: drops objects, then their parts, then their fields.

use serde_json::Value;

use crate::case::Case;

/// Fields of a Service's `spec` that it does without, each with those that go with it.
const SPEC_FIELDS: [&[&str]; 9] = [
    &["internalTrafficPolicy"],
    &["externalTrafficPolicy"],
    &["sessionAffinity", "sessionAffinityConfig"],
    &["externalIPs"],
    &["loadBalancerSourceRanges"],
    &["allocateLoadBalancerNodePorts"],
    &["publishNotReadyAddresses"],
    &["trafficDistribution"],
    &["loadBalancerClass"],
];

/// Fields of an endpoint that it does without.
const ENDPOINT_FIELDS: [&str; 3] = ["conditions", "nodeName", "hints"];

/// The smallest case found, with at most `attempts` calls of `still_fails`.
pub fn shrink(mut case: Case, mut attempts: usize, mut still_fails: impl FnMut(&Case) -> bool) -> Case {
    // After a success the candidates are made anew; what failed before is tried once more, which is cheap enough.
    'again: loop {
        for candidate in candidates(&case) {
            if attempts == 0 {
                return case;
            }
            attempts -= 1;
            if still_fails(&candidate) {
                case = candidate;
                continue 'again;
            }
        }
        return case;
    }
}

/// Cases with one thing less each, the largest things first.
fn candidates(case: &Case) -> Vec<Case> {
    let mut found = Vec::new();
    for index in 0..case.changes.len() {
        let mut less = case.clone();
        less.changes.remove(index);
        found.push(less);
    }
    if case.zones[0] != case.zones[1] {
        found.push(Case { zones: [case.zones[0]; 2], ..case.clone() });
    }
    for index in 0..case.services.len() {
        let mut less = case.clone();
        let service = less.services.remove(index);
        let name = &service["metadata"]["name"];
        less.slices.retain(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] != *name);
        found.push(less);
    }
    for index in 0..case.slices.len() {
        let mut less = case.clone();
        less.slices.remove(index);
        found.push(less);
    }
    for (index, slice) in case.slices.iter().enumerate() {
        for list in ["endpoints", "ports"] {
            for item in 0..length(&slice[list]) {
                let mut less = case.clone();
                remove_item(&mut less.slices[index][list], item);
                found.push(less);
            }
        }
    }
    for (index, service) in case.services.iter().enumerate() {
        for list in [
            "/spec/ports",
            "/spec/externalIPs",
            "/spec/loadBalancerSourceRanges",
            "/status/loadBalancer/ingress",
        ] {
            let items = service.pointer(list).map_or(0, length);
            for item in (0..items).filter(|_| items > 1) {
                let mut less = case.clone();
                if let Some(list) = less.services[index].pointer_mut(list) {
                    remove_item(list, item);
                }
                found.push(less);
            }
        }
        for fields in SPEC_FIELDS {
            found.extend(without(case, |case| &mut case.services[index]["spec"], fields));
        }
    }
    for (index, slice) in case.slices.iter().enumerate() {
        for item in 0..length(&slice["endpoints"]) {
            for field in ENDPOINT_FIELDS {
                found.extend(without(case, |case| &mut case.slices[index]["endpoints"][item], &[field]));
            }
        }
    }
    found
}

/// The case without `fields` of the object that `place` finds, if it has any of them.
fn without(case: &Case, place: impl Fn(&mut Case) -> &mut Value, fields: &[&str]) -> Option<Case> {
    let mut less = case.clone();
    let object = place(&mut less).as_object_mut()?;
    let before = object.len();
    object.retain(|name, _| !fields.contains(&name.as_str()));
    (object.len() < before).then_some(less)
}

fn length(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

fn remove_item(list: &mut Value, item: usize) {
    if let Some(list) = list.as_array_mut() {
        list.remove(item);
    }
}
