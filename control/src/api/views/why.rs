//! `penstock why`: how far a Service has come on its way to clients, and what holds it up.
//!
//! In: the objects as they were taken in last, what is wrong with them, and the published tables. Out: the steps of the
//! way in order (object, addresses, endpoints, tables, announcement), each with its state and what it is made of, and one
//! sentence that names the first step that is not done. Reads copies only.

use crate::{
    fault::Severity,
    ipam::ADDRESS_ASSIGNED,
    model::{Endpoint, ReadSlice},
    objects::{ObjectKey, ObjectKind, Objects, Subject},
    runtime::{Appliance, Known},
};
use k8s_openapi::api::core::v1 as api;
use penstock_dataplane::{
    table::{Endpoints, Snapshot, Tables, TrafficPolicy},
    wire::Family,
};
use serde::Serialize;

/// The story of a Service.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct WhyView {
    service: String,
    /// What a person wants to know first.
    answer: String,
    steps: Vec<Step>,
}

/// A step on its way.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: &'static str,
    state: State,
    /// A line for each fact.
    facts: Vec<String>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum State {
    Done,
    /// Done, but not all of it, or not as its author may think.
    Doubtful,
    Wrong,
    /// Nothing of the kind is wanted.
    NotNeeded,
}

pub(super) fn view(appliance: &Appliance, snapshot: &Snapshot, key: &ObjectKey) -> Result<WhyView, String> {
    let known = appliance.known();
    story(&known, snapshot, key)
}

fn story(known: &Known, snapshot: &Snapshot, key: &ObjectKey) -> Result<WhyView, String> {
    let Some(service) = known.objects.services.get(key) else {
        return Err(absent(&known.objects, key));
    };
    let service = &service.value;
    let steps = vec![
        object(known, key, service),
        addresses(known, service),
        endpoints(&known.objects, key),
        tables(snapshot, key),
        announcement(known, key, service),
    ];
    let blocked = steps.iter().find(|step| step.state == State::Wrong);
    let answer = match blocked {
        Some(step) => format!("{}: {}", step.name, step.facts.first().map_or("", String::as_str)),
        None => "served".to_owned(),
    };
    Ok(WhyView { service: key.to_string(), answer, steps })
}

/// There is no such Service; perhaps there is one of the name elsewhere.
fn absent(objects: &Objects, key: &ObjectKey) -> String {
    if objects.pending {
        return "the objects have not been listed yet: the source cannot be reached, or is slow".to_owned();
    }
    let elsewhere = objects.services.keys().filter(|other| other.name == key.name).take(3);
    let elsewhere: Vec<_> = elsewhere.map(ToString::to_string).collect();
    match elsewhere.is_empty() {
        true => format!("there is no Service {key}"),
        false => format!("there is no Service {key}; there is {}", elsewhere.join(", ")),
    }
}

/// What it is, and what is wrong with it or its slices.
fn object(known: &Known, key: &ObjectKey, service: &api::Service) -> Step {
    let spec = service.spec.clone().unwrap_or_default();
    let mut facts = Vec::new();
    let mut state = State::Done;
    let slices = slices(&known.objects, key)
        .map(|(slice, _)| Subject { kind: ObjectKind::EndpointSlice, key: slice.clone() });
    let subjects: Vec<_> = std::iter::once(Subject::service(key)).chain(slices).collect();
    for problem in known.problems.iter().flat_map(|found| found.iter()) {
        if problem.object.as_ref().is_some_and(|object| subjects.contains(object)) {
            let is_own = problem.object.as_ref() == Some(&subjects[0]);
            state = match (problem.severity, is_own) {
                (Severity::Error, true) => State::Wrong,
                _ if state == State::Done => State::Doubtful,
                _ => state,
            };
            facts.push(problem.to_string());
        }
    }
    if state == State::Wrong {
        facts.push("its last good version, if there was one, is in use until it is mended".to_owned());
    }
    let class = spec.load_balancer_class.map(|class| format!(", class {class}")).unwrap_or_default();
    facts.push(format!("type {}{class}", spec.type_.as_deref().unwrap_or("ClusterIP")));
    Step { name: "object", state, facts }
}

/// Which addresses it has, and why it lacks those it asks for.
fn addresses(known: &Known, service: &api::Service) -> Step {
    let spec = service.spec.clone().unwrap_or_default();
    let mut facts = Vec::new();
    let mut say = |what: &str, list: &[String]| {
        if !list.is_empty() {
            facts.push(format!("{what} {}", list.join(", ")));
        }
    };
    say("cluster IP", &spec.cluster_ips.unwrap_or_default());
    say("external IP", &spec.external_ips.unwrap_or_default());
    if spec.type_.as_deref() != Some("LoadBalancer") {
        return Step { name: "addresses", state: State::Done, facts };
    }
    let status = service.status.clone().unwrap_or_default();
    let ingress = status.load_balancer.and_then(|status| status.ingress).unwrap_or_default();
    let ips: Vec<_> = ingress.into_iter().filter_map(|entry| entry.ip).collect();
    say("load balancer IP", &ips);
    if !ips.is_empty() {
        return Step { name: "addresses", state: State::Done, facts };
    }
    let pending =
        status.conditions.into_iter().flatten().find(|condition| condition.type_ == ADDRESS_ASSIGNED);
    let why = match (pending, known.is_ours(spec.load_balancer_class.as_deref())) {
        (Some(condition), true) => format!("none is assigned: {}", condition.message),
        (None, true) => {
            "none is assigned yet, and no gateway has said why: is one of them running, and may it write \
            services/status? (`kubectl get lease -A`, the log of the gateways)"
                .to_owned()
        }
        (_, false) => match spec.load_balancer_class {
            Some(class) => format!("none is assigned: its class {class} is somebody else's to serve"),
            None => "none is assigned: it has no class, and `kubernetes.classless` is not set here; give it \
                spec.loadBalancerClass, or set that"
                .to_owned(),
        },
    };
    facts.insert(0, why);
    Step { name: "addresses", state: State::Wrong, facts }
}

/// How many endpoints there are, by what they may get.
fn endpoints(objects: &Objects, key: &ObjectKey) -> Step {
    let (mut ready, mut terminating, mut others, mut count) = (0, 0, 0, 0);
    for (_, slice) in slices(objects, key) {
        count += 1;
        for endpoint in slice.slice().into_iter().flat_map(|slice| &slice.endpoints) {
            match endpoint {
                Endpoint { ready: true, .. } => ready += 1,
                Endpoint { serving: true, terminating: true, .. } => terminating += 1,
                _ => others += 1,
            }
        }
    }
    let facts = match count {
        0 => vec![
            "no EndpointSlice is labelled kubernetes.io/service-name of it: does its selector match pods?"
                .to_owned(),
        ],
        _ => vec![format!(
            "{ready} ready, {terminating} terminating that still serve, {others} not ready, in {count} slices"
        )],
    };
    let state = if ready + terminating == 0 { State::Wrong } else { State::Done };
    Step { name: "endpoints", state, facts }
}

fn slices<'o>(
    objects: &'o Objects,
    key: &'o ObjectKey,
) -> impl Iterator<Item = (&'o ObjectKey, &'o ReadSlice)> {
    let all = objects.slices.iter().map(|(key, slice)| (key, slice.value.as_ref()));
    all.filter(move |(slice, value)| {
        slice.namespace == key.namespace && value.service.as_deref() == Some(&*key.name)
    })
}

/// What the workers use.
fn tables(snapshot: &Snapshot, key: &ObjectKey) -> Step {
    let mut facts = of_family(&snapshot.v4, key);
    facts.extend(of_family(&snapshot.v6, key));
    let state = if facts.is_empty() { State::Wrong } else { State::Done };
    if facts.is_empty() {
        facts.push("no port of it is in the tables: headless and ExternalName Services are not proxied, nor one without a cluster IP".to_owned());
    }
    Step { name: "tables", state, facts }
}

fn of_family<F: Family>(tables: &Tables<F>, key: &ObjectKey) -> Vec<String> {
    let services = tables.services.iter().flatten();
    let of_key =
        services.filter(|service| service.name.namespace == key.namespace && service.name.name == key.name);
    let describe = |endpoints: &Endpoints<F>| match endpoints {
        Endpoints::Ring(ring) => format!("{} backends", ring.backends().len()),
        Endpoints::Drop => "drops new flows".to_owned(),
        Endpoints::Reject => "rejects new flows".to_owned(),
    };
    let line = |service: &penstock_dataplane::table::Service<F>| {
        let by = |policy| match policy {
            TrafficPolicy::Cluster => describe(&service.cluster),
            TrafficPolicy::Local => format!("{} of this node", describe(&service.local)),
        };
        let (inside, outside) = (by(service.internal_policy), by(service.external_policy));
        let served = if inside == outside { inside } else { format!("{inside} inside, {outside} outside") };
        format!("{} {} port {:?}: {served}", F::NAME, service.name.transport, service.name.port_name)
    };
    of_key.map(line).collect()
}

/// Whether clients on the link find a way to it.
fn announcement(known: &Known, key: &ObjectKey, service: &api::Service) -> Step {
    let step = |state, fact: String| Step { name: "announcement", state, facts: vec![fact] };
    let is_load_balancer =
        service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    if !is_load_balancer {
        return step(State::NotNeeded, "only addresses of LoadBalancer Services are announced".to_owned());
    }
    let Some(decision) = known.plan.decisions.get(key) else {
        let why = "it is not ours to announce, or nothing is announced here (`announce.enabled`)";
        return step(State::NotNeeded, why.to_owned());
    };
    match &decision.owner {
        Some(owner) => {
            let here = if **owner == known.node_name { " (this gateway)" } else { "" };
            step(State::Done, format!("by {owner}{here}: {:#}", decision.why))
        }
        None => step(State::Wrong, format!("by nobody: {:#}", decision.why)),
    }
}

#[cfg(test)]
mod tests;
