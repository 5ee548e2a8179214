//! The decided differences, so far as they show in a probe. `tests/differential/DIFFERENCES.md` has the reasons.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    bench::Outcomes,
    case::Stored,
    kept::{After, Survival},
    observe::{Compared, Observation, Source},
    places::{Family, Group},
    probe::Kind,
};

/// The number of the difference that explains `compared`, if one does.
pub fn explain(compared: &Compared, stored: &Stored) -> Option<&'static str> {
    let service = named(&compared.question.probe.service, stored)?;
    let silent = |seen: &Observation| seen.silent && !seen.rejected && seen.backends.is_empty();
    let probe = &compared.question.probe;
    match probe.kind {
        Kind::LoadBalancer(_) if silent(&compared.penstock) && only_other_family(service, probe.family) => {
            Some("D-3")
        }
        _ if matches!(probe.group, Group::Backend | Group::OneBackend(_))
            && reaches_itself_only_at_penstock(compared) =>
        {
            Some("D-7")
        }
        Kind::LoadBalancerNodePort if compared.kube.backends.is_empty() && compared.penstock.rejected => {
            Some("D-4")
        }
        _ => None,
    }
}

/// Whether the two differ in no more than what becomes of flows from a backend to itself.
fn reaches_itself_only_at_penstock(compared: &Compared) -> bool {
    let Compared { kube, penstock, .. } = compared;
    penstock.hairpin.iter().eq([&Source::Translated])
        && (kube.silent || kube.hairpin != penstock.hairpin)
        && (kube.sources == penstock.sources || kube.backends.is_empty())
        && kube.backends.is_subset(&penstock.backends)
        && !penstock.silent
        && (penstock.rejected, &penstock.odd) == (kube.rejected, &kube.odd)
}

/// The same of flows that were under way.
pub fn explain_survival(survival: &Survival, outcomes: &Outcomes) -> Option<&'static str> {
    let probe = &survival.question.probe;
    let service = named(&probe.service, &outcomes.after)?;
    let both = survival.kube.iter().filter_map(|(at, kube)| Some((kube, survival.penstock.get(at)?)));
    let differing: Vec<_> = both.filter(|(kube, penstock)| kube != penstock).collect();
    let is = |seen: &BTreeSet<After>, what: After| seen.iter().eq([&what]);
    // UDP flows that look for another backend are new ones.
    let is_closed = matches!(probe.kind, Kind::LoadBalancer(_)) && only_other_family(service, probe.family);
    if is_closed && differing.iter().all(|(_, penstock)| is(penstock, After::Silent)) {
        return Some("D-3");
    }
    // What they find may be the client itself.
    let is_lost = |kube: &BTreeSet<After>| {
        kube.contains(&After::Silent)
            && kube.iter().all(|after| matches!(after, After::Silent | After::Moved))
    };
    let is_backend = matches!(probe.group, Group::Backend | Group::OneBackend(_));
    let found_itself = |kube, penstock| is_lost(kube) && is(penstock, After::Moved);
    (is_backend && differing.iter().all(|(kube, penstock)| found_itself(kube, penstock))).then_some("D-7")
}

fn named<'s>(name: &str, stored: &'s Stored) -> Option<&'s Value> {
    stored.services.iter().find(|service| service["metadata"]["name"] == name)
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
