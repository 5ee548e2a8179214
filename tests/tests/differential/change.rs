//! What happens to objects while flows are under way: endpoints come, go and fail, Services change and are deleted.

use serde_json::{Value, json};

use crate::{
    case::Case,
    generate,
    places::{self, Family, Group},
    random::Random,
};

/// One change, of an object by name. A change of what is not there does nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    RemoveEndpoint {
        slice: String,
        address: String,
    },
    AddEndpoint {
        slice: String,
        endpoint: Value,
    },
    SetConditions {
        slice: String,
        address: String,
        conditions: Value,
    },
    DeleteSlice(String),
    DeleteService(String),
    /// A field of a Service's `spec`.
    SetField {
        service: String,
        field: &'static str,
        value: Value,
    },
    /// The number of a port of a Service, by the port's place.
    SetPort {
        service: String,
        place: usize,
        number: u16,
    },
    /// The load balancer's addresses.
    SetIngress {
        service: String,
        ingress: Value,
    },
}

/// What a change is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Service,
    ServiceStatus,
    Slice,
}

impl Kind {
    pub fn is_service(self) -> bool {
        self != Kind::Slice
    }

    pub fn is_status(self) -> bool {
        self == Kind::ServiceStatus
    }
}

impl Change {
    /// Changes `case`, and returns the kind and name of the object with its merge patch; null means: delete it.
    pub fn apply(&self, case: &mut Case) -> Option<(Kind, String, Value)> {
        let name = |object: &Value| object["metadata"]["name"].as_str().map(str::to_owned);
        let (Change::RemoveEndpoint { slice: wanted, .. }
        | Change::AddEndpoint { slice: wanted, .. }
        | Change::SetConditions { slice: wanted, .. }
        | Change::DeleteSlice(wanted)
        | Change::DeleteService(wanted)
        | Change::SetField { service: wanted, .. }
        | Change::SetPort { service: wanted, .. }
        | Change::SetIngress { service: wanted, .. }) = self;
        let of_slices = matches!(
            self,
            Change::RemoveEndpoint { .. }
                | Change::AddEndpoint { .. }
                | Change::SetConditions { .. }
                | Change::DeleteSlice(_)
        );
        let objects = if of_slices { &mut case.slices } else { &mut case.services };
        let index = objects.iter().position(|object| name(object).as_ref() == Some(wanted))?;
        let object = &mut objects[index];
        let is_at = |endpoint: &Value, address: &str| endpoint["addresses"][0] == address;
        let (kind, patch) = match self {
            Change::RemoveEndpoint { address, .. } => {
                object["endpoints"].as_array_mut()?.retain(|endpoint| !is_at(endpoint, address));
                (Kind::Slice, json!({"endpoints": object["endpoints"]}))
            }
            Change::AddEndpoint { endpoint, .. } => {
                object["endpoints"].as_array_mut()?.push(endpoint.clone());
                (Kind::Slice, json!({"endpoints": object["endpoints"]}))
            }
            Change::SetConditions { address, conditions, .. } => {
                for endpoint in object["endpoints"].as_array_mut()? {
                    if is_at(endpoint, address) {
                        endpoint["conditions"] = conditions.clone();
                    }
                }
                (Kind::Slice, json!({"endpoints": object["endpoints"]}))
            }
            Change::SetField { field, value, .. } => {
                object["spec"][*field] = value.clone();
                (Kind::Service, json!({"spec": {*field: value}}))
            }
            Change::SetPort { place, number, .. } => {
                *object["spec"]["ports"].get_mut(*place)?.get_mut("port")? = (*number).into();
                (Kind::Service, json!({"spec": {"ports": object["spec"]["ports"]}}))
            }
            Change::SetIngress { ingress, .. } => {
                let status = json!({"loadBalancer": {"ingress": ingress}});
                object["status"] = status.clone();
                (Kind::ServiceStatus, json!({"status": status}))
            }
            Change::DeleteSlice(_) | Change::DeleteService(_) => {
                objects.remove(index);
                let kind = if of_slices { Kind::Slice } else { Kind::Service };
                return Some((kind, wanted.clone(), Value::Null));
            }
        };
        Some((kind, wanted.clone(), patch))
    }

    /// Some that suit `case`: of Services, or of one slice of each Service and family. The gateways may see what is
    /// between two of them or not, and UDP flows are looked after each time, so no more than that can be compared.
    pub fn some(random: &mut Random, mut case: Case) -> Vec<Change> {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let of_slices = random.chance(55);
        let mut touched: Vec<String> = Vec::new();
        let mut changes = Vec::new();
        for _ in 0..1 + random.below(3) {
            let objects = if of_slices { &case.slices } else { &case.services };
            if objects.is_empty() {
                break;
            }
            let object = random.pick(objects).clone();
            let change = if of_slices {
                let siblings: Vec<&Value> =
                    case.slices.iter().filter(|slice| is_sibling(slice, &object)).collect();
                let is_touched = siblings.iter().any(|sibling| touched.contains(&name(sibling)));
                if is_touched && !touched.contains(&name(&object)) {
                    continue;
                }
                touched.push(name(&object));
                let others = siblings.into_iter().filter(|sibling| name(sibling) != name(&object));
                let elsewhere: Vec<Value> = others.flat_map(addresses).collect();
                of_slice(random, &object, name(&object), &elsewhere)
            } else {
                Some(of_service(random, &object, name(&object)))
            };
            if let Some(change) = change {
                change.apply(&mut case);
                changes.push(change);
            }
        }
        changes
    }
}

/// Whether two slices are of one Service and family.
pub fn is_sibling(a: &Value, b: &Value) -> bool {
    a["metadata"]["labels"] == b["metadata"]["labels"] && a["addressType"] == b["addressType"]
}

fn addresses(slice: &Value) -> Vec<Value> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints.map(|endpoint| endpoint["addresses"][0].clone()).collect()
}

/// `elsewhere` are addresses that other slices have too: which copy then counts is not defined.
fn of_slice(random: &mut Random, object: &Value, slice: String, elsewhere: &[Value]) -> Option<Change> {
    if random.chance(8) {
        return Some(Change::DeleteSlice(slice));
    }
    let mine = addresses(object);
    let alone: Vec<&str> =
        mine.iter().filter(|address| !elsewhere.contains(address)).filter_map(Value::as_str).collect();
    if alone.is_empty() || random.chance(15) {
        let family = if object["addressType"] == "IPv4" { Family::V4 } else { Family::V6 };
        let mut free: Vec<Value> = places::backends(family).iter().map(|address| json!(address)).collect();
        free.retain(|address| !mine.contains(address) && !elsewhere.contains(address));
        if free.is_empty() {
            return None;
        }
        let mut endpoint = generate::endpoint(random, false);
        endpoint["addresses"] = json!([random.pick(&free)]);
        return Some(Change::AddEndpoint { slice, endpoint });
    }
    let address = (*random.pick(&alone)).to_owned();
    let conditions = |ready: bool, serving: bool, terminating: bool| json!({"ready": ready, "serving": serving, "terminating": terminating});
    let conditions = match random.below(6) {
        0 | 1 => return Some(Change::RemoveEndpoint { slice, address }),
        2 => conditions(false, false, false),
        3 => conditions(false, true, true),
        4 => conditions(false, false, true),
        _ => conditions(true, true, false),
    };
    Some(Change::SetConditions { slice, address, conditions })
}

fn of_service(random: &mut Random, object: &Value, service: String) -> Change {
    let spec = &object["spec"];
    let is_open = spec["type"] != "ClusterIP";
    let other = |field: &str| if spec[field] == "Local" { "Cluster" } else { "Local" };
    let (field, value): (&'static str, Value) = match random.below(9) {
        0 => return Change::DeleteService(service),
        1 | 2 => {
            let place = random.below(spec["ports"].as_array().map_or(0, Vec::len));
            return Change::SetPort { service, place, number: 1000 + random.below(1000) as u16 };
        }
        3 if is_open => ("externalTrafficPolicy", other("externalTrafficPolicy").into()),
        4 if spec["type"] == "LoadBalancer" => {
            ("loadBalancerSourceRanges", json!([random.pick(&Group::NETWORKS).network(Family::V4)]))
        }
        5 if spec["type"] == "LoadBalancer" => {
            let ingress = object["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
            return Change::SetIngress { service, ingress: ingress.into_iter().skip(1).collect() };
        }
        6 => {
            let external = spec["externalIPs"].as_array().cloned().unwrap_or_default();
            ("externalIPs", external.into_iter().skip(1).collect())
        }
        7 if spec["sessionAffinity"] == "ClientIP" => ("sessionAffinity", "None".into()),
        7 => ("sessionAffinity", "ClientIP".into()),
        _ => ("internalTrafficPolicy", other("internalTrafficPolicy").into()),
    };
    Change::SetField { service, field, value }
}
