//! What announcing must know of each Service: whether it is ours, its addresses, and who may answer for it.

use crate::{
    config::Ours,
    objects::{Kind, ObjectKey, changed_keys},
    selector::Labels,
};
use k8s_openapi::api::core::v1::Service;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The annotation of Services that may share addresses, by its old and its new name.
const MAY_SHARE: [&str; 2] = ["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"];

/// A Service of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The addresses of its status, in that order.
    pub(super) addresses: Vec<IpAddr>,
    /// Only nodes with an endpoint may announce it.
    pub(super) is_local: bool,
    /// It may share its addresses, if only by an empty key.
    pub(super) may_share: bool,
    pub(super) labels: Labels,
}

impl Facts {
    fn read(service: &Service, ours: &Ours) -> Option<Self> {
        let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() == Some("LoadBalancer"))?;
        if !ours.takes(spec.load_balancer_class.as_deref()) {
            return None;
        }
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
        let addresses = ingress.filter_map(|ingress| ingress.ip.as_deref()?.parse().ok());
        let annotations = service.metadata.annotations.as_ref();
        let has = |name: &&str| annotations.is_some_and(|annotations| annotations.contains_key(*name));
        Some(Self {
            addresses: addresses.map(|address: IpAddr| address.to_canonical()).collect(),
            is_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            may_share: MAY_SHARE.iter().any(has),
            labels: service.metadata.labels.clone().unwrap_or_default(),
        })
    }
}

/// The Services, followed as they change.
#[derive(Debug)]
pub(super) struct Services {
    ours: Ours,
    /// As they were taken in last, by which changes are known.
    seen: Kind<Service>,
    /// Those that are ours.
    facts: BTreeMap<ObjectKey, Facts>,
}

impl Services {
    pub(super) fn new(ours: Ours) -> Self {
        Self { ours, seen: Kind::new(), facts: BTreeMap::new() }
    }

    /// Takes in the objects, and adds those that matter to `touched`.
    pub(super) fn update(&mut self, objects: &Kind<Service>, touched: &mut BTreeSet<ObjectKey>) {
        let before = std::mem::replace(&mut self.seen, objects.clone());
        for key in changed_keys(&before, objects) {
            let service = objects.get(&key);
            let facts = service.and_then(|service| Facts::read(&service.value, &self.ours));
            if self.facts.get(&key) == facts.as_ref() {
                continue;
            }
            match facts {
                Some(facts) => drop(self.facts.insert(key.clone(), facts)),
                None => drop(self.facts.remove(&key)),
            }
            touched.insert(key);
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Facts> {
        self.facts.get(key)
    }

    /// Those that are ours.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.facts.keys()
    }
}
