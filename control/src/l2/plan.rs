//! Who announces what, and what this node announces, kept up to date.
//!
//! In: the objects, and the live gateways. Out: a [`Plan`]: a [`Decision`] for every LoadBalancer Service of ours, and
//! the addresses that this node announces, with their interfaces. Every gateway comes to the same decisions, since
//! nothing goes in that they do not all see.
//!
//! Cost: a comparison of key and pointer an object, and the elections that a change may concern: one for a Service or a
//! slice, all for a pool, an advertisement, a node or a gateway.
//!
//! Two Services that share an address may elect different nodes, as each goes by the first of its own addresses. Two
//! announcers of one address would fight, so the first Service by name that has an announcer decides for all that share
//! the address. (MetalLB announces from both.)

use super::{
    advertisement::Interfaces,
    decide::decide,
    decision::{Decision, Reason},
    endpoints::Endpoints,
    ground::Ground,
    services::Services,
};
use crate::{
    config::Ours,
    fault::Problem,
    objects::{ObjectKey, Objects},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// By Service.
    pub decisions: BTreeMap<ObjectKey, Arc<Decision>>,
    /// What this node announces, and where: on all its interfaces that clients are behind, or on some of those.
    pub mine: BTreeMap<IpAddr, Interfaces>,
    /// The Services that this node should announce on these interfaces, none of which it has. Nobody takes over from it:
    /// the event `announceFailed` is to tell.
    pub lacking: BTreeMap<ObjectKey, BTreeSet<String>>,
}

/// What an update changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// The Services about which something else is decided now; those that are gone are among them.
    pub services: BTreeSet<ObjectKey>,
    /// Whether this node announces something else, or elsewhere.
    pub mine: bool,
}

/// Makes the plan.
#[derive(Debug)]
pub struct Planner {
    node: Arc<str>,
    /// The interfaces that clients are behind.
    interfaces: BTreeSet<String>,
    services: Services,
    endpoints: Endpoints,
    ground: Ground,
    /// What each Service would have by itself.
    elected: BTreeMap<ObjectKey, Elected>,
    /// The Services that have each address.
    holders: BTreeMap<IpAddr, BTreeSet<ObjectKey>>,
    plan: Plan,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Elected {
    decision: Arc<Decision>,
    /// Where this node is to announce it, if it is the one.
    here: Option<Interfaces>,
}

impl Planner {
    /// For the gateway on this node, with these interfaces that clients are behind.
    pub fn new(node: &str, ours: Ours, interfaces: BTreeSet<String>) -> Self {
        Self {
            node: node.into(),
            interfaces,
            services: Services::new(ours),
            endpoints: Endpoints::default(),
            ground: Ground::new(node),
            elected: BTreeMap::new(),
            holders: BTreeMap::new(),
            plan: Plan::default(),
        }
    }

    /// Takes in what is new, and decides again what depends on it. Nothing is decided before the source has listed all
    /// there is: a Service whose endpoints are not there yet would be given up.
    pub fn update(&mut self, objects: &Objects, live: &BTreeSet<String>) -> Changed {
        if objects.pending {
            return Changed::default();
        }
        let mut touched = BTreeSet::new();
        self.services.update(&objects.services, &mut touched);
        self.endpoints.update(&objects.slices, &mut touched);
        if self.ground.update(objects, live) {
            touched.extend(self.services.keys().cloned());
        }
        let mut addresses = BTreeSet::new();
        for key in &touched {
            self.elect(key, &mut addresses);
        }
        self.settle(touched, &addresses)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is wrong with advertisements.
    pub fn problems(&self) -> Vec<Problem> {
        self.ground.problems()
    }

    /// Decides about one Service by itself. Its addresses, before and now, are added to `addresses`.
    fn elect(&mut self, key: &ObjectKey, addresses: &mut BTreeSet<IpAddr>) {
        let new = self.services.get(key).map(|facts| {
            let (decision, field) = decide(key, facts, &self.endpoints, &mut self.ground);
            let field = field.filter(|_| decision.owner.as_ref() == Some(&self.node));
            Elected { decision: Arc::new(decision), here: field.map(|field| field.here.clone()) }
        });
        let old = match &new {
            Some(new) => self.elected.insert(key.clone(), new.clone()),
            None => self.elected.remove(key),
        };
        if old == new {
            return;
        }
        for address in old.iter().flat_map(|old| &old.decision.addresses) {
            if let Some(holders) = self.holders.get_mut(address) {
                holders.remove(key);
                if holders.is_empty() {
                    self.holders.remove(address);
                }
            }
            addresses.insert(*address);
        }
        for address in new.iter().flat_map(|new| &new.decision.addresses) {
            self.holders.entry(*address).or_default().insert(key.clone());
            addresses.insert(*address);
        }
    }

    /// Those of the named interfaces that this node has.
    fn own(&self, interfaces: Interfaces) -> Interfaces {
        match interfaces {
            Interfaces::All => Interfaces::All,
            Interfaces::Named(names) => {
                Interfaces::Named(names.intersection(&self.interfaces).cloned().collect())
            }
        }
    }

    /// Decides about these addresses, and so about these Services and those that they share addresses with.
    fn settle(&mut self, mut services: BTreeSet<ObjectKey>, addresses: &BTreeSet<IpAddr>) -> Changed {
        let mut changed = Changed::default();
        for address in addresses {
            let new = self.announced_here(*address);
            changed.mine |= replace(&mut self.plan.mine, address, new);
            services.extend(self.holders.get(address).into_iter().flatten().cloned());
        }
        for key in services {
            let decision = self.final_decision(&key);
            let lacking = decision.as_ref().and_then(|decision| self.lacks(&key, decision));
            let is_other = replace(&mut self.plan.decisions, &key, decision);
            if replace(&mut self.plan.lacking, &key, lacking) || is_other {
                changed.services.insert(key);
            }
        }
        changed
    }

    /// The Service that decides about an address, and what it decided.
    fn decider(&self, address: IpAddr) -> Option<(&ObjectKey, &Elected)> {
        let mut holders = self.holders.get(&address)?.iter();
        holders.find_map(|key| {
            let elected = self.elected.get(key)?;
            elected.decision.owner.is_some().then_some((key, elected))
        })
    }

    /// Where this node announces an address, if it does: wherever one of the Services wants it.
    fn announced_here(&self, address: IpAddr) -> Option<Interfaces> {
        self.decider(address)?.1.here.as_ref()?;
        let holders = self.holders.get(&address)?.iter();
        let here = holders.filter_map(|key| self.elected.get(key)?.here.clone());
        let here = self.own(here.reduce(|all, one| all.union(&one))?);
        let is_nowhere = matches!(&here, Interfaces::Named(names) if names.is_empty());
        (!is_nowhere).then_some(here)
    }

    /// What is decided about a Service in view of those that it shares addresses with.
    fn final_decision(&self, key: &ObjectKey) -> Option<Arc<Decision>> {
        let own = &self.elected.get(key)?.decision;
        let decider = own.addresses.first().and_then(|first| Some((*first, self.decider(*first)?)));
        match decider {
            Some((address, (with, elected)))
                if elected.decision.owner != own.owner && own.owner.is_some() =>
            {
                let why = Reason::Shared { address, with: with.clone() };
                let owner = elected.decision.owner.clone();
                Some(Arc::new(Decision { owner, why, ..Decision::clone(own) }))
            }
            _ => Some(Arc::clone(own)),
        }
    }

    /// The interfaces that this node should announce a Service on, if it has none of them.
    fn lacks(&self, key: &ObjectKey, decision: &Decision) -> Option<BTreeSet<String>> {
        let Interfaces::Named(names) = self.elected.get(key)?.here.as_ref()? else { return None };
        let is_announced = decision.addresses.iter().any(|address| self.plan.mine.contains_key(address));
        (decision.owner.as_ref() == Some(&self.node) && !is_announced).then(|| names.clone())
    }
}

/// Puts a new value, or none, in the place of the old one. Whether they differ.
fn replace<K: Ord + Clone, V: PartialEq>(map: &mut BTreeMap<K, V>, key: &K, new: Option<V>) -> bool {
    let differs = map.get(key) != new.as_ref();
    match new {
        Some(new) if differs => drop(map.insert(key.clone(), new)),
        None => drop(map.remove(key)),
        Some(_) => {}
    }
    differs
}

#[cfg(test)]
mod tests;
