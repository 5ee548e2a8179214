//! What an election stands on that is the same for many Services: pools, advertisements, nodes and live gateways.
//!
//! A change of any of them makes all Services be looked at again, so what follows from them is kept by pool, and by the
//! set of advertisements that apply: an election is left with a hash for each candidate.

use super::{
    advertisement::{Advertisement, Advertisements, Interfaces},
    decision::{Names, Reason},
    election::Candidate,
    nodes::Nodes,
};
use crate::{
    fault::Problem,
    ipam::Pools,
    metallb::IpAddressPool,
    objects::{Kind, Objects},
    selector::Labels,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Who may announce, for Services with the same advertisements.
#[derive(Debug)]
pub(super) struct Field {
    /// The live gateways that an advertisement allows and nothing excludes.
    pub(super) candidates: Vec<Candidate>,
    /// Their names.
    pub(super) names: Names,
    /// Why there are none.
    pub(super) nobody: Option<Reason>,
    /// On which interfaces this node would announce.
    pub(super) here: Interfaces,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ground {
    node: Arc<str>,
    nodes: Nodes,
    advertisements: Advertisements,
    live: BTreeSet<String>,
    raw_pools: Kind<IpAddressPool>,
    /// The last good ones. What is wrong with pools is for the allocator to tell.
    pools: Pools,
    /// The advertisements that cover each pool.
    covering: BTreeMap<String, Arc<[Arc<Advertisement>]>>,
    /// By the names of the advertisements.
    fields: HashMap<Vec<Arc<str>>, Arc<Field>>,
}

impl Ground {
    pub(super) fn new(node: &str) -> Self {
        Self {
            node: node.into(),
            nodes: Nodes::default(),
            advertisements: Advertisements::default(),
            live: BTreeSet::new(),
            raw_pools: Kind::new(),
            pools: Pools::default(),
            covering: BTreeMap::new(),
            fields: HashMap::new(),
        }
    }

    /// Takes in what is new. Whether anything changed.
    pub(super) fn update(&mut self, objects: &Objects, live: &BTreeSet<String>) -> bool {
        let mut changed = self.nodes.update(&objects.nodes);
        changed |= self.advertisements.update(&objects.advertisements);
        changed |= self.take_pools(&objects.pools);
        changed |= self.live != *live;
        if changed {
            self.live.clone_from(live);
            self.fields.clear();
            self.covering.clear();
        }
        changed
    }

    fn take_pools(&mut self, objects: &Kind<IpAddressPool>) -> bool {
        let is_same = |(old, new): (&Arc<IpAddressPool>, &Arc<IpAddressPool>)| Arc::ptr_eq(old, new);
        let (old, new) = (&self.raw_pools, objects);
        let values = |kind: &'_ Kind<IpAddressPool>| -> Vec<_> {
            kind.values().map(|object| Arc::clone(&object.value)).collect()
        };
        if old.len() == new.len() && values(old).iter().zip(&values(new)).all(is_same) {
            return false;
        }
        self.raw_pools = objects.clone();
        let specs = objects.iter().map(|(key, object)| (key.name.as_str(), &object.value.spec));
        if let Ok(pools) = Pools::read(specs) {
            self.pools = pools;
        }
        true
    }

    /// The pool that has all of these addresses.
    pub(super) fn pool(&self, addresses: &[IpAddr]) -> Option<Arc<str>> {
        let _first = addresses.first()?;
        self.pools.with(addresses).map(|pool| pool.name.as_str().into())
    }

    /// The advertisements that cover a pool.
    pub(super) fn covering(&mut self, pool: &str) -> Arc<[Arc<Advertisement>]> {
        if let Some(known) = self.covering.get(pool) {
            return Arc::clone(known);
        }
        let mut objects = self.raw_pools.iter().filter(|(key, _)| key.name == pool);
        let labels = objects.find_map(|(_, object)| object.value.metadata.labels.clone());
        let labels: Labels = labels.unwrap_or_default();
        let covering = self.advertisements.good().filter(|one| one.covers(pool, &labels));
        let covering: Arc<[_]> = covering.cloned().collect();
        self.covering.insert(pool.to_owned(), Arc::clone(&covering));
        covering
    }

    /// Who may announce a Service that these apply to.
    pub(super) fn field(&mut self, applying: &[&Arc<Advertisement>]) -> Arc<Field> {
        let names: Vec<_> = applying.iter().map(|one| Arc::clone(&one.name)).collect();
        if let Some(known) = self.fields.get(&names) {
            return Arc::clone(known);
        }
        let field = Arc::new(self.survey(applying, &names));
        self.fields.insert(names, Arc::clone(&field));
        field
    }

    fn survey(&self, applying: &[&Arc<Advertisement>], names: &[Arc<str>]) -> Field {
        let (mut candidates, mut excluded) = (Vec::new(), Vec::new());
        let mut here: Option<Interfaces> = None;
        for name in &self.live {
            let labels = self.nodes.labels(name);
            let allowing = || applying.iter().filter(|one| one.allows(labels));
            let node: Arc<str> = name.as_str().into();
            if allowing().next().is_none() {
                continue;
            }
            if let Some(reason) = self.nodes.excluded(name) {
                excluded.push((node, reason));
                continue;
            }
            let preference = allowing().map(|one| one.preference(labels)).sum();
            if node == self.node {
                here = allowing().map(|one| one.interfaces.clone()).reduce(|all, one| all.union(&one));
            }
            candidates.push(Candidate { node, preference });
        }
        let nobody = match (candidates.is_empty(), self.live.is_empty(), excluded.is_empty()) {
            (false, ..) => None,
            (true, true, _) => Some(Reason::NoGateway),
            (true, false, true) => Some(Reason::NotAllowed {
                advertisements: names.into(),
                gateways: self.live.iter().map(|name| name.as_str().into()).collect(),
            }),
            (true, false, false) => Some(Reason::Excluded { nodes: excluded.into() }),
        };
        Field {
            names: candidates.iter().map(|candidate| Arc::clone(&candidate.node)).collect(),
            candidates,
            nobody,
            here: here.unwrap_or(Interfaces::All),
        }
    }

    /// What is wrong with advertisements.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.advertisements.problems(|pool| self.raw_pools.keys().any(|key| key.name == pool))
    }
}
