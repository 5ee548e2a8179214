//! Which nodes have an endpoint that makes a Service worth announcing (§5.6).
//!
//! An endpoint counts if it is ready, or nobody says otherwise, or it is said to serve. A slice of any family counts for all
//! addresses of its Service, a wrong one as it was when it was right. Cost of an update: what has changed.
//!
//! Where only nodes with an endpoint of their own may announce, those with a ready one come first, and those whose last
//! one is ending only if there is no other. MetalLB knows no such order: there an address leaves a node when its last
//! endpoint is gone, and what comes until it is elsewhere is refused.

use super::election::Candidate;
use crate::{
    model::{ReadSlice, Slice},
    objects::{Kind, ObjectKey},
};
use imbl::ordmap::DiffItem;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The endpoints of all Services, followed as they change.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// As they were taken in last, by which changes are known.
    seen: Kind<ReadSlice>,
    slices: BTreeMap<ObjectKey, Arc<Slice>>,
    /// Slices by the Service they are of.
    of: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl Endpoints {
    /// Takes in the objects, and adds the Services that may be concerned to `touched`.
    pub(super) fn update(&mut self, objects: &Kind<ReadSlice>, touched: &mut BTreeSet<ObjectKey>) {
        let before = std::mem::replace(&mut self.seen, objects.clone());
        for item in before.diff(objects) {
            let (key, slice) = match item {
                DiffItem::Remove(key, _) => (key, None),
                DiffItem::Add(key, object) | DiffItem::Update { new: (key, object), .. } => {
                    match &object.value.reading.value {
                        Ok(slice) => (key, slice.as_ref()),
                        Err(_) => continue,
                    }
                }
            };
            self.replace(key, slice, touched);
        }
    }

    fn replace(&mut self, key: &ObjectKey, slice: Option<&Arc<Slice>>, touched: &mut BTreeSet<ObjectKey>) {
        let old = match slice {
            Some(slice) => self.slices.insert(key.clone(), Arc::clone(slice)),
            None => self.slices.remove(key),
        };
        if let (Some(old), Some(new)) = (&old, slice)
            && old.service == new.service
        {
            if !announceable(old).eq(announceable(new)) {
                touched.insert(service(key, new));
            }
            return;
        }
        if let Some(old) = old {
            self.unlink(key, service(key, &old), touched);
        }
        if let Some(slice) = slice {
            self.of.entry(service(key, slice)).or_default().insert(key.clone());
            touched.insert(service(key, slice));
        }
    }

    fn unlink(&mut self, slice: &ObjectKey, service: ObjectKey, touched: &mut BTreeSet<ObjectKey>) {
        if let Some(slices) = self.of.get_mut(&service) {
            slices.remove(slice);
            if slices.is_empty() {
                self.of.remove(&service);
            }
        }
        touched.insert(service);
    }

    /// The endpoints that count.
    fn usable(&self, service: &ObjectKey) -> impl Iterator<Item = Usable<'_>> {
        let keys = self.of.get(service).into_iter().flatten();
        keys.filter_map(|key| self.slices.get(key)).flat_map(|slice| announceable(slice))
    }

    /// Whether a Service has a usable endpoint anywhere.
    pub(super) fn any(&self, service: &ObjectKey) -> bool {
        self.usable(service).next().is_some()
    }

    /// Those of the candidates that have a ready endpoint of a Service; if none has, those with one that still serves.
    pub(super) fn local_to(&self, service: &ObjectKey, candidates: &[Candidate]) -> Vec<Candidate> {
        let on = |counts: fn(&Usable<'_>) -> bool| -> Vec<Candidate> {
            let nodes: BTreeSet<_> =
                self.usable(service).filter(counts).filter_map(|usable| usable.node).collect();
            candidates.iter().filter(|candidate| nodes.contains(&*candidate.node)).cloned().collect()
        };
        let ready = on(|usable| usable.ready);
        if ready.is_empty() { on(|_| true) } else { ready }
    }
}

fn service(key: &ObjectKey, slice: &Slice) -> ObjectKey {
    ObjectKey::new(key.namespace.clone(), &*slice.service)
}

/// What counts of an endpoint.
#[derive(Debug, PartialEq, Eq)]
struct Usable<'s> {
    /// Its node; one without is local to nobody.
    node: Option<&'s str>,
    ready: bool,
}

fn announceable(slice: &Slice) -> impl Iterator<Item = Usable<'_>> {
    let endpoints = slice.endpoints.iter().filter(|endpoint| endpoint.announceable);
    endpoints.map(|endpoint| Usable { node: endpoint.node.as_deref(), ready: endpoint.ready })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Object;
    use serde_json::{Value, json};

    fn usable(conditions: Value) -> bool {
        let slice = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n", "conditions": conditions}],
        });
        let value = Arc::new(serde_json::from_value(slice).unwrap());
        let mut endpoints = Endpoints::default();
        let objects = Kind::unit(ObjectKey::new("default", "web-1"), Object { origin: None, value });
        endpoints.update(&objects, &mut BTreeSet::new());
        let web = ObjectKey::new("default", "web");
        let here = [Candidate { node: "n".into(), preference: 0 }];
        assert_eq!(endpoints.any(&web), !endpoints.local_to(&web, &here).is_empty());
        endpoints.any(&web)
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
