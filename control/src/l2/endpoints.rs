//! Which nodes have an endpoint that makes a Service worth announcing (§5.6).
//!
//! An endpoint counts if it is ready, or nobody says otherwise, or it is said to serve. That is not what the packet path
//! asks of one (there, what is not said to serve does), so slices are read here as they come from the API. A slice of any
//! family counts for all addresses of its Service.
//!
//! Where only nodes with an endpoint of their own may announce, those with a ready one come first, and those whose last
//! one is ending only if there is no other. MetalLB knows no such order: there an address leaves a node when its last
//! endpoint is gone, and what comes until it is elsewhere is refused.

use super::election::Candidate;
use crate::{
    model::differences,
    objects::{Kind, ObjectKey},
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const SERVICE: &str = "kubernetes.io/service-name";

/// Where usable endpoints are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Usable {
    /// Whether there is one anywhere.
    pub(super) any: bool,
    /// The nodes that have one; one without a node is local to nobody.
    pub(super) nodes: BTreeSet<Arc<str>>,
    /// Those of them that have a ready one.
    pub(super) ready: BTreeSet<Arc<str>>,
}

impl Usable {
    fn of(slice: &EndpointSlice) -> Self {
        let mut usable = Self::default();
        for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| is_usable(endpoint)) {
            usable.any = true;
            let node = endpoint.node_name.as_deref().map(Arc::from);
            usable.ready.extend(node.clone().filter(|_| is_ready(endpoint)));
            usable.nodes.extend(node);
        }
        usable
    }
}

fn is_usable(endpoint: &Endpoint) -> bool {
    is_ready(endpoint)
        || endpoint.conditions.as_ref().and_then(|conditions| conditions.serving).unwrap_or(false)
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// The endpoints of all Services, followed as they change.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    slices: BTreeMap<ObjectKey, Slice>,
    /// Slices by the Service they are of.
    of: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

#[derive(Debug)]
struct Slice {
    raw: Arc<EndpointSlice>,
    service: Option<ObjectKey>,
    usable: Usable,
}

impl Endpoints {
    /// Takes in the objects, and adds the Services that may be concerned to `touched`.
    pub(super) fn update(&mut self, objects: &Kind<EndpointSlice>, touched: &mut BTreeSet<ObjectKey>) {
        let (gone, stale) =
            differences(&self.slices, objects.iter(), |slice, object| Arc::ptr_eq(&slice.raw, &object.value));
        for key in gone {
            if let Some(old) = self.slices.remove(&key) {
                self.unlink(&key, old.service, touched);
            }
        }
        for (key, object) in stale {
            let raw = Arc::clone(&object.value);
            let labels = raw.metadata.labels.as_ref();
            let service = labels.and_then(|labels| labels.get(SERVICE)).filter(|name| !name.is_empty());
            let service = service.map(|name| ObjectKey::new(key.namespace.clone(), name.clone()));
            let usable = Usable::of(&raw);
            match self.slices.get_mut(key) {
                Some(old) if (&old.service, &old.usable) == (&service, &usable) => old.raw = raw,
                _ => {
                    if let Some(old) = self.slices.remove(key) {
                        self.unlink(key, old.service, touched);
                    }
                    if let Some(service) = &service {
                        self.of.entry(service.clone()).or_default().insert(key.clone());
                        touched.insert(service.clone());
                    }
                    self.slices.insert(key.clone(), Slice { raw, service, usable });
                }
            }
        }
    }

    fn unlink(&mut self, slice: &ObjectKey, service: Option<ObjectKey>, touched: &mut BTreeSet<ObjectKey>) {
        let Some(service) = service else { return };
        if let Some(slices) = self.of.get_mut(&service) {
            slices.remove(slice);
            if slices.is_empty() {
                self.of.remove(&service);
            }
        }
        touched.insert(service);
    }

    fn usable(&self, service: &ObjectKey) -> impl Iterator<Item = &Usable> {
        let keys = self.of.get(service).into_iter().flatten();
        keys.filter_map(|key| self.slices.get(key)).map(|slice| &slice.usable)
    }

    /// Whether a Service has a usable endpoint anywhere.
    pub(super) fn any(&self, service: &ObjectKey) -> bool {
        self.usable(service).any(|usable| usable.any)
    }

    /// Those of the candidates that have a ready endpoint of a Service; if none has, those with one that still serves.
    pub(super) fn local_to(&self, service: &ObjectKey, candidates: &[Candidate]) -> Vec<Candidate> {
        let on = |nodes: fn(&Usable) -> &BTreeSet<Arc<str>>| -> Vec<Candidate> {
            let has = |node: &str| self.usable(service).any(|usable| nodes(usable).contains(node));
            candidates.iter().filter(|candidate| has(&candidate.node)).cloned().collect()
        };
        let ready = on(|usable| &usable.ready);
        if ready.is_empty() { on(|usable| &usable.nodes) } else { ready }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn usable(conditions: Value) -> bool {
        let slice = json!({
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n", "conditions": conditions}],
        });
        let usable = Usable::of(&serde_json::from_value(slice).unwrap());
        assert_eq!(usable.any, usable.nodes.contains("n"));
        usable.any
    }

    // S-229
    #[test]
    fn not_ready_and_not_said_to_serve_is_not_usable() {
        for (conditions, expected) in [
            (json!({}), true),
            (json!({"ready": true}), true),
            (json!({"ready": true, "serving": false}), true),
            (json!({"serving": false}), true),
            (json!({"ready": false}), false),
            (json!({"ready": false, "serving": false}), false),
            (json!({"ready": false, "serving": true, "terminating": true}), true),
        ] {
            assert_eq!(usable(conditions.clone()), expected, "{conditions}");
        }
    }
}
