//! Follows pools and Services, and says what is to be written: the planner of one gateway, the one that has the lock.
//!
//! In: [`Objects`], as often as they change. Out: [`Write`]s: `status.loadBalancer`, the pool's name as an annotation, the
//! condition `penstock.dev/AddressAssigned`, MetalLB's events, and the usage of pools (§5.2, §5.3). Pure: no input or
//! output, no clock.
//!
//! * A Service that changed is settled by itself; all are when pools or namespaces' labels changed; and those that wait for
//!   an address when one was given up. The cost of an update is that of what differs.
//! * The status is the durable store. Services whose status has addresses are settled first, the older ones before the
//!   younger. From then on memory counts: a status that somebody empties is written again, and a status that is read late
//!   costs nobody an address.
//! * Before everything has been listed and pools were good once, no address is given or taken. Pools that are wrong leave
//!   the last good ones in use.
//! * An extension of ours to MetalLB's rules: addresses in the status of Services of other classes, such as those of a
//!   MetalLB that is still there with the same pools, are held by those Services and never given out. A Service of ours that
//!   has one already keeps it, and says that there are two.

use super::{
    allocator::Allocator,
    ours::{self, Standing},
    outcome::Outcome,
    pools::Pools,
    request::Request,
    waiting::Waiting,
};
use crate::{
    config::Ours,
    objects::{ObjectKey, ObjectKind, Objects, Subject, changed_keys},
    reports::{About, Book, Change, Notice, Planner, Write},
    watch::Condition,
};
use k8s_openapi::api::core::v1::Service;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// See the module.
#[derive(Debug)]
pub struct Controller {
    ours: Ours,
    allocator: Allocator,
    /// Pools were good once.
    is_ready: bool,
    /// What is wrong with the pools now.
    fault: Option<(Subject, String)>,
    /// What was taken in last.
    objects: Objects,
    records: BTreeMap<ObjectKey, Record>,
    waiting: Waiting,
    book: Book,
}

/// What is remembered of a Service that is ours.
#[derive(Debug, Default)]
struct Record {
    uid: Option<String>,
    /// What it was given; `None` before it was settled.
    given: Option<Vec<IpAddr>>,
    /// Old annotations that its owner was told of.
    deprecated: BTreeSet<String>,
}

impl Controller {
    /// Knows nothing yet.
    pub fn new(ours: Ours) -> Self {
        Self {
            ours,
            allocator: Allocator::default(),
            is_ready: false,
            fault: None,
            objects: Objects::default(),
            records: BTreeMap::new(),
            waiting: Waiting::default(),
            book: Book::default(),
        }
    }

    /// The keys of Services that differ from those of last time.
    fn changed(&self, objects: &Objects) -> BTreeSet<ObjectKey> {
        changed_keys(&self.objects.services, &objects.services)
    }

    /// Whether all Services are to be settled again.
    fn take_pools(&mut self, objects: &Objects) -> bool {
        let differ = changed_keys(&self.objects.pools, &objects.pools);
        if differ.is_empty() && self.is_ready {
            return false;
        }
        for key in differ {
            let subject = Subject { kind: ObjectKind::IpAddressPool, key };
            match objects.pools.get(&subject.key) {
                Some(pool) => self.book.observe(&About { subject, uid: pool.value.metadata.uid.clone() }, []),
                None => self.book.forget(&subject),
            }
        }
        let specs = objects.pools.iter().map(|(key, pool)| (key.name.as_str(), &pool.value.spec));
        match Pools::read(specs) {
            Ok(pools) => {
                let differ =
                    !self.is_ready || self.fault.take().is_some() || *self.allocator.pools() != pools;
                self.is_ready = true;
                self.allocator.set_pools(pools);
                differ
            }
            Err(fault) => {
                let named = objects.pools.keys().rev().find(|key| key.name == fault.pool());
                let key = named.cloned().unwrap_or_else(|| ObjectKey::new("", fault.pool()));
                let fault = (Subject { kind: ObjectKind::IpAddressPool, key }, fault.to_string());
                let is_new = self.fault.as_ref() != Some(&fault);
                if is_new {
                    let state = if self.is_ready { "stay in use" } else { "are not used at all" };
                    let note = format!("{}; all pools {state} as they were until this is corrected", fault.1);
                    self.book.tell(&fault.0, Notice::warning("InvalidIPAddressPool", note));
                    self.fault = Some(fault);
                }
                is_new && !self.is_ready
            }
        }
    }

    /// Whether all Services are to be settled again.
    fn take_namespaces(&mut self, objects: &Objects) -> bool {
        if changed_keys(&self.objects.namespaces, &objects.namespaces).is_empty() {
            return false;
        }
        let labels = |namespace: &k8s_openapi::api::core::v1::Namespace| {
            namespace.metadata.labels.clone().unwrap_or_default()
        };
        let all = objects.namespaces.iter().map(|(key, object)| (key.name.clone(), labels(&object.value)));
        self.allocator.set_namespaces(all.collect())
    }

    /// Takes in these Services: first what gives addresses up or holds them against us, then those that have addresses,
    /// then those that have none.
    fn pass(&mut self, keys: BTreeSet<ObjectKey>) {
        let mut ours = BTreeSet::new();
        for key in keys {
            let Some(service) = self.objects.services.get(&key).map(|object| Arc::clone(&object.value))
            else {
                ours.extend(self.forget(&key));
                continue;
            };
            if self.records.get(&key).is_some_and(|record| record.uid != service.metadata.uid) {
                ours.extend(self.forget(&key));
            }
            match ours::standing(&self.ours, &service) {
                Standing::Ours => drop(ours.insert(key)),
                Standing::Theirs => ours.extend(self.leave(&key, &service)),
                Standing::Nobody => ours.extend(self.clear(&key, &service)),
            }
        }
        self.settle_in_order(ours);
        while self.waiting.take_freed() {
            self.settle_in_order(self.waiting.services());
        }
    }

    fn settle_in_order(&mut self, keys: BTreeSet<ObjectKey>) {
        let services = keys.into_iter().filter_map(|key| {
            let service = Arc::clone(&self.objects.services.get(&key)?.value);
            let has_none = self.present(&key, &service).is_empty();
            let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
            Some(((has_none, created.unwrap_or(i64::MAX), key), service))
        });
        let mut services: Vec<_> = services.collect();
        services.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((_, _, key), service) in services {
            self.settle(&key, &service);
        }
    }

    /// What a Service has: what it was given here, or what its status says.
    fn present(&self, key: &ObjectKey, service: &Service) -> Vec<IpAddr> {
        let given = self.records.get(key).and_then(|record| record.given.clone());
        given.unwrap_or_else(|| ours::present(service))
    }

    fn settle(&mut self, key: &ObjectKey, service: &Service) {
        let about = ours::about(key, service);
        self.book.observe(&about, ours::said(service));
        let present = self.present(key, service);
        if !self.is_ready {
            if let (Some((pool, fault)), []) = (&self.fault, present.as_slice()) {
                let outcome = Outcome::none("InvalidPools", format!("{pool}: {fault}: correct the pool"));
                let generation = service.metadata.generation;
                let condition = Condition { generation, ..outcome.condition };
                self.book.want(&about.subject, [Change::Condition(condition)]);
            }
            return;
        }
        let settled = match Request::read(key, service) {
            Ok(Some(request)) => self.allocator.settle(&request, &present),
            Ok(None) => {
                let advice = "a Service needs a cluster IP to have a load balancer's address";
                let message = format!("spec.clusterIP is {:?}: {advice}", cluster_ip(service));
                self.waiting.settled(key, self.allocator.release(key), false);
                return self.say(key, service, Outcome::none("NoClusterIP", message));
            }
            // What cannot be read without its addresses has no cluster IP, which is found before.
            Err(fault) => match Request::without_addresses(key, service) {
                Some(request) => self.allocator.retain(&request, &present, fault),
                None => return,
            },
        };
        let waits = settled.lacks_second
            || settled.pending.as_ref().is_some_and(|pending| pending.may_end_by_itself());
        self.waiting.settled(key, settled.freed, waits);
        self.say(key, service, Outcome::of(key, service, &present, settled));
    }

    /// Writes down what a Service that is or was ours is to say.
    fn say(&mut self, key: &ObjectKey, service: &Service, outcome: Outcome) {
        let subject = Subject::service(key);
        let generation = service.metadata.generation;
        let condition = Change::Condition(Condition { generation, ..outcome.condition });
        let is_known = self.book.says(&subject, &condition).is_some();
        let is_told = self.book.will_say(&subject, &condition);
        let texts = outcome.addresses.iter().map(ToString::to_string).collect();
        let states = [
            Change::Addresses(texts),
            Change::Annotation(ours::POOL, outcome.pool),
            Change::Annotation(ours::OLD_POOL, None),
            condition,
        ];
        self.book.want(&subject, states);
        let record = self.records.entry(key.clone()).or_insert_with(|| Record {
            uid: service.metadata.uid.clone(),
            given: None,
            // Who has been told how the Service stands has been told of its annotations too.
            deprecated: ours::deprecated(service).filter(|_| is_known).cloned().collect(),
        });
        record.given = Some(outcome.addresses);
        let deprecated: BTreeSet<_> = ours::deprecated(service).cloned().collect();
        let old = deprecated.difference(&record.deprecated).map(|name| {
            Notice::warning("deprecatedAnnotation", format!("Service uses deprecated annotation {name}"))
        });
        for notice in outcome.news.into_iter().chain(outcome.failure.filter(|_| !is_told)).chain(old) {
            self.book.tell(&subject, notice);
        }
        record.deprecated = deprecated;
    }

    /// A Service of another type: what we gave it is taken back. Others' business stays as it is. Here and below: which
    /// Services of ours this concerns.
    fn clear(&mut self, key: &ObjectKey, service: &Service) -> Vec<ObjectKey> {
        let said = ours::said(service);
        let traces = said.iter().any(|change| match change {
            Change::Addresses(texts) => self.ours.classless && !texts.is_empty(),
            Change::Annotation(_, value) => self.ours.classless && value.is_some(),
            Change::Condition(_) => true,
            Change::Usage(_) | Change::Event(_) => false,
        });
        let was_ours = traces || self.records.contains_key(key);
        let about = ours::about(key, service);
        let concerned = self.release(key);
        if was_ours {
            self.book.observe(&about, said);
            let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP");
            self.say(key, service, Outcome::none("NotLoadBalancer", format!("spec.type is {kind}")));
        } else {
            self.book.forget(&about.subject);
        }
        concerned
    }

    /// A Service of another class: its status is not touched, and what it has is not given to others.
    fn leave(&mut self, key: &ObjectKey, service: &Service) -> Vec<ObjectKey> {
        let addresses = ours::present(service);
        if !self.records.contains_key(key) && self.allocator.addresses(key) == addresses {
            return Vec::new();
        }
        let mut concerned = self.forget(key);
        self.allocator.reserve(key, &addresses);
        concerned.extend(self.owners(&addresses));
        concerned
    }

    /// A Service is gone, or is not ours any more.
    fn forget(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        self.book.forget(&Subject::service(key));
        self.release(key)
    }

    fn release(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        let addresses = self.allocator.addresses(key).to_vec();
        self.waiting.settled(key, self.allocator.release(key), false);
        self.records.remove(key);
        self.owners(&addresses)
    }

    /// The Services of ours that have one of these addresses.
    fn owners(&self, addresses: &[IpAddr]) -> Vec<ObjectKey> {
        let users = addresses.iter().flat_map(|address| self.allocator.users(*address));
        users.filter(|user| self.records.contains_key(*user)).cloned().collect()
    }

    fn report_usage(&mut self) {
        let Some(usage) = self.allocator.changed_usage() else { return };
        for key in self.objects.pools.keys() {
            if let Some(usage) = usage.get(key.name.as_str()) {
                let subject = Subject { kind: ObjectKind::IpAddressPool, key: key.clone() };
                self.book.want(&subject, [Change::Usage(*usage)]);
            }
        }
    }
}

impl Planner for Controller {
    type Input = Objects;

    fn update(&mut self, objects: &Objects) -> Vec<Write> {
        if objects.pending {
            return Vec::new();
        }
        let mut keys = self.changed(objects);
        let all = [self.take_pools(objects), self.take_namespaces(objects)].contains(&true);
        if all {
            keys.extend(objects.services.keys().cloned());
        }
        self.objects = Objects {
            services: objects.services.clone(),
            pools: objects.pools.clone(),
            namespaces: objects.namespaces.clone(),
            ..Objects::default()
        };
        self.pass(keys);
        if self.is_ready {
            self.report_usage();
        }
        self.book.writes()
    }

    fn book(&mut self) -> &mut Book {
        &mut self.book
    }
}

fn cluster_ip(service: &Service) -> &str {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
