//! L2Advertisements, checked: which pools, Services and nodes each is for, and on which interfaces (§5.5).
//!
//! In: the objects. Out: the last good version of each, and what is wrong with it, reported on it. What is empty
//! restricts nothing; selectors of one list are alternatives. A pool that is named and does not exist is a warning: it
//! may be made later.

use crate::{
    fault::{Fault, Faults, Origin, Problem, Severity},
    metallb::{L2Advertisement, L2AdvertisementSpec},
    model::differences,
    objects::{Kind, ObjectKey, ObjectKind, Subject},
    selector::{Labels, Selector},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Where an address is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interfaces {
    /// On every interface that clients are behind.
    All,
    /// On these of them.
    Named(BTreeSet<String>),
}

impl Interfaces {
    /// Both together.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Named(mut names), Self::Named(others)) => {
                names.extend(others.iter().cloned());
                Self::Named(names)
            }
            _ => Self::All,
        }
    }

    /// Whether this one is among them.
    pub fn contain(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// An L2Advertisement that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Its name.
    pub name: Arc<str>,
    /// Where it has addresses announced.
    pub interfaces: Interfaces,
    pools: BTreeSet<String>,
    pool_selectors: Vec<Selector>,
    nodes: Vec<Selector>,
    services: Vec<Selector>,
    preferred: Vec<(u32, Selector)>,
}

impl Advertisement {
    /// Reads one, or says all that is wrong with it.
    pub fn read(name: &str, spec: &L2AdvertisementSpec) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let pool_selectors =
            selectors("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors, &mut faults);
        let nodes = selectors("spec.nodeSelectors", &spec.node_selectors, &mut faults);
        let services = selectors("spec.serviceSelectors", &spec.service_selectors, &mut faults);
        let mut preferred = Vec::new();
        for (index, term) in spec.preferred_node_selectors.iter().enumerate() {
            let path = format!("spec.preferredNodeSelectors[{index}]");
            if !(1..=100).contains(&term.weight) {
                faults.invalid(format!("{path}.weight"), term.weight, "must be between 1 and 100, inclusive");
            }
            let preference = selector(format!("{path}.preference"), &term.preference, &mut faults);
            preferred.extend(preference.map(|preference| (term.weight, preference)));
        }
        if !faults.is_empty() {
            return Err(faults.into_vec());
        }
        let interfaces = match spec.interfaces.as_slice() {
            [] => Interfaces::All,
            names => Interfaces::Named(names.iter().cloned().collect()),
        };
        let pools = spec.ip_address_pools.iter().cloned().collect();
        Ok(Self { name: name.into(), interfaces, pools, pool_selectors, nodes, services, preferred })
    }

    /// Whether it is for a pool of this name with these labels.
    pub fn covers(&self, pool: &str, labels: &Labels) -> bool {
        let is_for_all = self.pools.is_empty() && self.pool_selectors.is_empty();
        is_for_all || self.pools.contains(pool) || any(&self.pool_selectors, labels)
    }

    /// Whether it is for some Services only.
    pub fn chooses_services(&self) -> bool {
        !self.services.is_empty()
    }

    /// Whether it is for a Service with these labels.
    pub fn selects(&self, service: &Labels) -> bool {
        self.services.is_empty() || any(&self.services, service)
    }

    /// Whether a node with these labels may announce.
    pub fn allows(&self, node: &Labels) -> bool {
        self.nodes.is_empty() || any(&self.nodes, node)
    }

    /// How much a node that it allows is preferred.
    pub fn preference(&self, node: &Labels) -> u32 {
        let matching = self.preferred.iter().filter(|(_, selector)| selector.selects(node));
        matching.map(|(weight, _)| weight).sum()
    }
}

fn any(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.iter().any(|selector| selector.selects(labels))
}

fn selectors(path: &str, raw: &[LabelSelector], faults: &mut Faults) -> Vec<Selector> {
    let each = raw.iter().enumerate();
    each.filter_map(|(index, raw)| selector(format!("{path}[{index}]"), raw, faults)).collect()
}

fn selector(path: String, raw: &LabelSelector, faults: &mut Faults) -> Option<Selector> {
    Selector::read(raw).map_err(|reason| faults.add(path, format!("Invalid value: {reason}"))).ok()
}

/// All advertisements, followed as they change.
#[derive(Debug, Default)]
pub(super) struct Advertisements(BTreeMap<ObjectKey, Entry>);

#[derive(Debug)]
struct Entry {
    /// As it was read last, by which a change is known.
    raw: Arc<L2Advertisement>,
    origin: Option<Origin>,
    good: Option<Arc<Advertisement>>,
    faults: Vec<Fault>,
}

impl Advertisements {
    /// Takes in the objects. Whether the good ones are others than before.
    pub(super) fn update(&mut self, objects: &Kind<L2Advertisement>) -> bool {
        let (gone, stale) =
            differences(&self.0, objects.iter(), |entry, object| Arc::ptr_eq(&entry.raw, &object.value));
        let mut changed = false;
        for key in gone {
            changed |= self.0.remove(&key).is_some_and(|entry| entry.good.is_some());
        }
        for (key, object) in stale {
            let before = self.0.remove(key).and_then(|entry| entry.good);
            let (good, faults) = match Advertisement::read(&key.name, &object.value.spec) {
                Ok(new) => (Some(Arc::new(new)), Vec::new()),
                Err(faults) => (before.clone(), faults),
            };
            changed |= good != before;
            let (raw, origin) = (Arc::clone(&object.value), object.origin.clone());
            self.0.insert(key.clone(), Entry { raw, origin, good, faults });
        }
        changed
    }

    /// The good ones, in order of their names.
    pub(super) fn good(&self) -> impl Iterator<Item = &Arc<Advertisement>> {
        self.0.values().filter_map(|entry| entry.good.as_ref())
    }

    /// What is wrong with them, while these are the pools.
    pub(super) fn problems(&self, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, entry) in &self.0 {
            let errors = entry.faults.iter().map(|fault| (Severity::Error, fault.clone()));
            let mut warnings = Faults::default();
            for (index, pool) in entry.raw.spec.ip_address_pools.iter().enumerate() {
                if !exists(pool) {
                    let path = format!("spec.ipAddressPools[{index}]");
                    warnings.invalid(path, pool, "there is no IPAddressPool of this name");
                }
            }
            let warnings = warnings.into_vec().into_iter().map(|fault| (Severity::Warning, fault));
            problems.extend(errors.chain(warnings).map(|(severity, fault)| Problem {
                severity,
                origin: entry.origin.clone(),
                object: Some(Subject { kind: ObjectKind::L2Advertisement, key: key.clone() }),
                fault,
            }));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Object;
    use serde_json::{Value, json};

    fn read(spec: Value) -> Result<Advertisement, Vec<Fault>> {
        Advertisement::read("a", &serde_json::from_value(spec).unwrap())
    }

    fn labels(text: &str) -> Labels {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn what_is_empty_restricts_nothing() {
        let all = read(json!({})).unwrap();
        assert!(all.covers("p", &labels("")) && all.selects(&labels("")) && all.allows(&labels("")));
        assert!(!all.chooses_services());
        assert_eq!((all.preference(&labels("a=b")), all.interfaces), (0, Interfaces::All));
    }

    #[test]
    fn pools_are_named_or_selected() {
        let some = read(json!({
            "ipAddressPools": ["named"], "ipAddressPoolSelectors": [{"matchLabels": {"zone": "a"}}],
        }))
        .unwrap();
        assert!(some.covers("named", &labels("")) && some.covers("p", &labels("zone=a")));
        assert!(!some.covers("p", &labels("zone=b")));
    }

    #[test]
    fn weights_of_all_matching_preferences_are_summed() {
        let some = read(json!({"preferredNodeSelectors": [
            {"weight": 10, "preference": {"matchLabels": {"rack": "1"}}},
            {"weight": 100, "preference": {"matchLabels": {"fast": "yes"}}},
            {"weight": 1, "preference": {}},
        ]}))
        .unwrap();
        let score = |text| some.preference(&labels(text));
        assert_eq!((score("rack=1 fast=yes"), score("rack=1"), score("")), (111, 11, 1));
    }

    #[test]
    fn every_fault_is_told_with_its_field() {
        let faults = read(json!({
            "nodeSelectors": [{}, {"matchExpressions": [{"key": "a", "operator": "In"}]}],
            "preferredNodeSelectors": [{"weight": 0, "preference": {}}, {"weight": 101}],
        }))
        .unwrap_err();
        let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.nodeSelectors[1]: Invalid value: a: In needs values",
                "spec.preferredNodeSelectors[0].weight: Invalid value: 0: must be between 1 and 100, inclusive",
                "spec.preferredNodeSelectors[1].weight: Invalid value: 101: must be between 1 and 100, inclusive",
            ]
        );
    }

    #[test]
    fn the_last_good_version_stays_and_unknown_pools_are_warned_of() {
        let objects = |spec: Value| {
            let value: L2Advertisement = serde_json::from_value(json!({"spec": spec})).unwrap();
            Kind::unit(ObjectKey::new("pools", "a"), Object { origin: None, value: Arc::new(value) })
        };
        let mut all = Advertisements::default();
        assert!(all.update(&objects(json!({"ipAddressPools": ["p", "q"]}))));
        let problems = |all: &Advertisements| -> Vec<_> {
            all.problems(|pool| pool == "p").iter().map(|p| (p.severity, p.to_string())).collect()
        };
        let unknown = "L2Advertisement pools/a: spec.ipAddressPools[1]: Invalid value: \"q\": \
                       there is no IPAddressPool of this name";
        assert_eq!(problems(&all), [(Severity::Warning, unknown.to_owned())]);

        let bad = objects(json!({"preferredNodeSelectors": [{"weight": 1000}]}));
        assert!(!all.update(&bad) && !all.update(&bad));
        assert_eq!(problems(&all).len(), 1);
        assert_eq!(problems(&all)[0].0, Severity::Error);
        let good: Vec<_> = all.good().collect();
        assert!(good[0].covers("q", &labels("")) && !good[0].covers("r", &labels("")));

        assert!(all.update(&Kind::new()));
        assert_eq!((all.good().count(), problems(&all).len()), (0, 0));
    }
}
