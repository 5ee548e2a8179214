//! Sets of objects, how they get into the API server and to both gateways, and what comes of it.
//!
//! Several cases are served at once, each in a namespace of its own with load balancer addresses of its own (its
//! *slot*), because what takes time is waiting, and one wait does for all. All are put, then all are changed.

use anyhow::{Context, Result};
use penstock::demo::Appliance;
use penstock_tests::cluster::{Api, ApiError};
use serde_json::{Value, json};

use crate::{arena::Arena, canary::Canary, change::Change};

/// How many cases are served at once.
pub const SLOTS: usize = 10;

/// Objects as a user would write them. A Service's `status` is what a load balancer's controller would write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Case {
    pub slot: usize,
    pub services: Vec<Value>,
    pub slices: Vec<Value>,
    /// What happens to them then.
    pub changes: Vec<Change>,
    /// The zone that the gateway's Node is in, before and after.
    pub zones: [&'static str; 2],
}

/// The objects as the API server has them.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub services: Vec<Value>,
    /// What the API server said of objects that it did not take.
    pub refused: Vec<String>,
}

/// Replaces what was compared before by `cases`, at both gateways, and waits until they serve them.
pub fn put(cases: &[Case], arena: &mut Arena, canary: &mut Canary) -> Result<Vec<Stored>> {
    let api = arena.cluster.api().clone();
    let zone = cases.first().map_or("zone-a", |case| case.zones[0]);
    set_zone(&api, zone)?;
    let refused = at_once(0..SLOTS, |slot| {
        let (services, slices) = (services_path(&namespace(slot)), slices_path(&namespace(slot)));
        api.delete(&slices)?;
        api.delete(&services)?;
        let mut refused = Vec::new();
        for case in cases.iter().filter(|case| case.slot == slot) {
            for service in &case.services {
                create(&api, &services, service, &mut refused)?;
            }
            for slice in &case.slices {
                create(&api, &slices, slice, &mut refused)?;
            }
        }
        Ok(refused)
    })?;
    settle(cases, zone, refused, arena, canary)
}

/// Does what the cases say happens, and waits until both gateways serve what comes of it.
pub fn change(cases: &mut [Case], arena: &mut Arena, canary: &mut Canary) -> Result<Vec<Stored>> {
    let api = arena.cluster.api().clone();
    let zone = cases.first().map_or("zone-a", |case| case.zones[1]);
    set_zone(&api, zone)?;
    let requests: Vec<_> = cases.iter_mut().map(Case::make_changes).collect();
    let refused = at_once(0..requests.len(), |index| {
        let mut refused = Vec::new();
        for (path, patch) in &requests[index] {
            let answer = if patch.is_null() { api.delete(path) } else { api.patch(path, patch) };
            note_refusal(answer, &mut refused)?;
        }
        Ok(refused)
    })?;
    let mut by_slot = vec![Vec::new(); SLOTS];
    for (case, refused) in cases.iter().zip(refused) {
        by_slot[case.slot] = refused;
    }
    settle(cases, zone, by_slot, arena, canary)
}

/// Waits until both serve what was written, and reads back what that is.
fn settle(
    cases: &[Case],
    zone: &str,
    mut refused: Vec<Vec<String>>,
    arena: &mut Arena,
    canary: &mut Canary,
) -> Result<Vec<Stored>> {
    canary.advance(arena.cluster.api(), zone)?;
    let documents = read_back(arena.cluster.api())?;
    arena.manifests.write("cluster.yaml", &documents)?;
    canary.wait(arena)?;
    let stored = cases.iter().map(|case| {
        let name = namespace(case.slot);
        let is_mine =
            |object: &&Value| object["kind"] == "Service" && object["metadata"]["namespace"] == name.as_str();
        Stored {
            services: documents.iter().filter(is_mine).cloned().collect(),
            refused: std::mem::take(&mut refused[case.slot]),
        }
    });
    Ok(stored.collect())
}

/// Makes the namespaces of the slots.
pub fn install(api: &Api) -> Result<()> {
    for slot in 0..SLOTS {
        api.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace(slot)}}))?;
    }
    Ok(())
}

impl Case {
    /// Changes the objects, and returns what to ask of the API server: paths with patches, nothing to delete them. One
    /// request an object, since what is between two of them one gateway may see and the other not.
    fn make_changes(&mut self) -> Vec<(String, Value)> {
        let namespace = namespace(self.slot);
        let changes = std::mem::take(&mut self.changes);
        let requests = changes.iter().filter_map(|change| {
            let (kind, name, patch) = change.apply(self)?;
            let collection =
                if kind.is_service() { services_path(&namespace) } else { slices_path(&namespace) };
            let status = if kind.is_status() { "/status" } else { "" };
            Some((format!("{collection}/{name}{status}"), patch))
        });
        let mut merged: Vec<(String, Value)> = Vec::new();
        for (path, patch) in requests {
            match merged.iter_mut().find(|(before, _)| *before == path) {
                Some((_, before)) => merge(before, patch),
                None => merged.push((path, patch)),
            }
        }
        self.changes = changes;
        merged
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        let objects: Vec<&Value> = self.services.iter().chain(&self.slices).collect();
        let text = serde_json::to_string_pretty(&objects).unwrap_or_default();
        let changes: Vec<String> = self.changes.iter().map(|change| format!("then {change:?}\n")).collect();
        format!("{text}\nzones {:?}\n{}", self.zones, changes.concat())
    }
}

/// `work` for every number, four at a time: the API server takes its time for each request.
fn at_once<T: Send>(
    numbers: std::ops::Range<usize>,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    const THREADS: usize = 4;
    let numbers: Vec<usize> = numbers.collect();
    let share = numbers.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .chunks(share)
            .map(|share| scope.spawn(|| share.iter().map(|number| work(*number)).collect::<Result<Vec<T>>>()))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

/// Makes one merge patch of two.
fn merge(first: &mut Value, second: Value) {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            for (name, value) in second {
                merge(first.entry(name).or_insert(Value::Null), value);
            }
        }
        (first, second) => *first = second,
    }
}

fn set_zone(api: &Api, zone: &str) -> Result<()> {
    let labels = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
    api.patch(&format!("/api/v1/nodes/{}", Appliance::NODE_NAME), &labels)?;
    Ok(())
}

fn create(api: &Api, path: &str, object: &Value, refused: &mut Vec<String>) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let was_taken = note_refusal(api.create(path, object), refused)?;
    if let Some(status) = object.get("status").filter(|_| was_taken) {
        note_refusal(api.patch(&format!("{path}/{name}/status"), &json!({"status": status})), refused)?;
    }
    Ok(())
}

/// False where the API server refused what was wrong.
fn note_refusal(answer: Result<Value, ApiError>, refused: &mut Vec<String>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error @ ApiError::Refused { code: 400..=499, .. }) => {
            refused.push(error.to_string());
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Everything that matters to a gateway, each with its kind, which lists leave out.
fn read_back(api: &Api) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for (path, version, kind) in [
        ("/api/v1/nodes", "v1", "Node"),
        ("/api/v1/services", "v1", "Service"),
        ("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    ] {
        let mut list = api.get(path)?;
        let items = list["items"].as_array_mut().with_context(|| format!("{path} is no list"))?;
        for mut object in items.drain(..) {
            object["apiVersion"] = version.into();
            object["kind"] = kind.into();
            // Long, and about who wrote what.
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            documents.push(object);
        }
    }
    Ok(documents)
}

pub fn namespace(slot: usize) -> String {
    format!("compared-{slot}")
}

pub fn services_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services")
}

pub fn slices_path(namespace: &str) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
}
