//! The tables of one family, kept from one compilation to the next.

use super::{
    addresses::Addresses,
    backend_ports::BackendPorts,
    capture::is_closed,
    categorize::Place,
    changes::{Captured, Changes},
    departed::Departed,
    environment::{Environment, Settings, family, primary},
    ids::IdPool,
    next_hops::NextHops,
    record::Facts,
    retire::Held,
    tally::Tally,
};
use crate::{
    fault::Problem,
    model::{Joined, Model, Node, Slice},
    objects::ObjectKey,
};
use imbl::{OrdMap, ordmap::DiffItem};
use penstock_dataplane::{
    table::{
        Locality, Pages, Peers, Service, ServiceId, ServiceName, Tables, TrafficPolicy, Transport, VipIndex,
    },
    wire::Family,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// What makes a backend: endpoints of several Services with the same one share its number.
pub(super) type BackendKey = (Transport, SocketAddr);

/// What both families have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) backends: IdPool<BackendKey>,
    pub(super) changes: Changes,
    pub(super) problems: Vec<Problem>,
    pub(super) addresses: Addresses,
    /// What is kept up to date of it.
    pub(super) captured: Captured,
    /// Numbers given to stays of backends under affinity.
    pub(super) pins_given: u64,
}

#[derive(Debug)]
pub(super) struct FamilyTables<F: Family> {
    pub(super) ids: IdPool<Arc<ServiceName>>,
    pub(super) next_hops: NextHops<F>,
    pub(super) services: BTreeMap<ObjectKey, Entry<F>>,
    /// The Services of the model as they were taken in last.
    seen: OrdMap<ObjectKey, Arc<Joined>>,
    table: Pages<Option<Service<F>>>,
    /// Something has changed that VIPs and NodePorts are claimed by.
    pub(super) claims_differ: bool,
    pub(super) index: Arc<VipIndex<F>>,
    pub(super) index_problems: Vec<Problem>,
    pub(super) node_tuples: BTreeSet<(Transport, u16)>,
    /// The addresses of those.
    pub(super) node_vips: BTreeSet<F::Addr>,
    /// Services with load-balancer IPs that nobody may use.
    pub(super) closed: BTreeSet<ObjectKey>,
    pub(super) tally: Tally,
    pub(super) host: BTreeSet<F::Addr>,
    pub(super) facts: Facts<F>,
    pub(super) locality: Arc<Locality<F>>,
    pub(super) departed: Departed<F>,
    /// Ports that backends serve on, or did while flows may still want them.
    pub(super) backend_ports: BackendPorts,
    /// Counts changes of UDP endpoints.
    udp_epoch: u16,
    pub(super) snat_addresses: Arc<[F::Addr]>,
    pub(super) peers: Arc<Peers<F>>,
}

/// A Service as it was compiled last.
#[derive(Debug)]
pub(super) struct Entry<F: Family> {
    pub(super) joined: Arc<Joined>,
    pub(super) ports: Vec<Port<F>>,
}

/// A port of it.
#[derive(Debug)]
pub(super) struct Port<F: Family> {
    pub(super) record: Service<F>,
    pub(super) held: Held<F>,
    /// There are usable endpoints, but none in the local list.
    pub(super) lacks_local: bool,
}

impl<F: Family> Default for FamilyTables<F> {
    fn default() -> Self {
        Self {
            ids: IdPool::default(),
            next_hops: NextHops::default(),
            services: BTreeMap::new(),
            seen: OrdMap::new(),
            table: Pages::default(),
            claims_differ: false,
            index: Arc::default(),
            index_problems: Vec::new(),
            node_tuples: BTreeSet::new(),
            node_vips: BTreeSet::new(),
            closed: BTreeSet::new(),
            tally: Tally::default(),
            host: BTreeSet::new(),
            facts: Facts { place: Place::default(), primary: None },
            locality: Arc::default(),
            departed: Departed::default(),
            backend_ports: BackendPorts::default(),
            udp_epoch: 0,
            snat_addresses: Arc::from([]),
            peers: Arc::default(),
        }
    }
}

impl<F: Family> FamilyTables<F> {
    /// Brings the records up to date. What has not changed since the last time costs nothing.
    pub(super) fn take(&mut self, model: &Model, settings: &Settings, shared: &mut Shared) {
        let name = &settings.node_name;
        let node = model.node(name).map(AsRef::as_ref);
        let zone = node.and_then(|node| node.zone.clone()).unwrap_or_default();
        let facts = Facts { place: Place { node: name.clone(), zone }, primary: primary::<F>(node) };
        let moved = facts != self.facts;
        self.facts = facts;
        let seen = model.services().clone();
        let mut before = std::mem::replace(&mut self.seen, seen.clone());
        let mut records = Records::default();
        if moved {
            // Every record depends on them: all are as if they were new, but for those that are gone.
            before = before.into_iter().filter(|(key, _)| !seen.contains_key(key)).collect();
        }
        for item in before.diff(&seen) {
            let (key, joined) = match item {
                DiffItem::Remove(key, _) => (key, None),
                DiffItem::Add(key, joined) | DiffItem::Update { new: (key, joined), .. } => {
                    (key, Some(joined))
                }
            };
            self.replace(key, joined.filter(|joined| is_served::<F>(joined)), &mut records, shared);
        }
        self.apply(records);
    }

    /// Puts a Service in the place of what it was, or nothing.
    fn replace(
        &mut self,
        key: &ObjectKey,
        joined: Option<&Arc<Joined>>,
        records: &mut Records<F>,
        shared: &mut Shared,
    ) {
        let old = self.services.remove(key);
        self.closed.remove(key);
        let kept = old.as_ref().map(keeps_clients).unwrap_or_default();
        self.tally -= old.as_ref().map(Tally::of).unwrap_or_default();
        let services = [old.as_ref().map(|old| &old.joined.service), joined.map(|joined| &joined.service)];
        self.claims_differ |= match services {
            [Some(old), Some(new)] => !Arc::ptr_eq(old, new),
            [None, None] => false,
            _ => true,
        };
        match joined {
            None => {
                let ports = old.map(|entry| entry.ports).unwrap_or_default();
                ports.into_iter().for_each(|port| self.remove_port(port, records, shared));
            }
            Some(joined) => {
                if other_udp_endpoints::<F>(old.as_ref().map(|old| &*old.joined), joined) {
                    self.udp_epoch = self.udp_epoch.wrapping_add(1);
                }
                let ports = old.map(|entry| entry.ports).unwrap_or_default();
                let ports = self.ports(joined, ports, records, shared);
                let entry = Entry { joined: Arc::clone(joined), ports };
                keeps_clients(&entry).into_iter().for_each(|address| shared.addresses.keep(address));
                self.tally += Tally::of(&entry);
                if is_closed(&entry) {
                    self.closed.insert(key.clone());
                }
                self.services.insert(key.clone(), entry);
            }
        }
        kept.into_iter().for_each(|address| shared.addresses.unkeep(address));
    }

    /// Brings the tables up to date.
    pub(super) fn compile(
        &mut self,
        model: &Model,
        environment: &Environment,
        shared: &mut Shared,
    ) -> Tables<F> {
        self.take(model, &environment.settings, shared);
        let node: Option<&Node> = model.node(&environment.settings.node_name).map(AsRef::as_ref);
        self.capture(environment, node, shared);
        self.warn(shared);
        self.localize(environment);
        Tables {
            vips: Arc::clone(&self.index),
            services: self.table.clone(),
            next_hops: self.next_hops.table(environment),
            port_mtus: Arc::clone(&environment.port_mtus),
            snat_addresses: Arc::clone(&self.snat_addresses),
            locality: Arc::clone(&self.locality),
            udp_epoch: self.udp_epoch,
            port_addresses: environment.port_addresses::<F>(),
            peers: Arc::clone(&self.peers),
            rss: Arc::clone(&environment.rss),
        }
    }

    /// Puts new records in their places.
    fn apply(&mut self, records: Records<F>) {
        self.table.set(records.0.into_iter().map(|(id, record)| (id.0 as usize, record)), &None);
    }

    pub(super) fn published(&mut self, generation: u64) {
        self.ids.published(generation);
        self.next_hops.published(generation);
    }

    pub(super) fn release(&mut self, oldest_in_use: u64) {
        self.ids.release(oldest_in_use);
        self.next_hops.release(oldest_in_use);
    }
}

/// Records that are new, by their place; `None` where one is gone.
pub(super) struct Records<F: Family>(pub(super) Vec<(ServiceId, Option<Service<F>>)>);

impl<F: Family> Default for Records<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The addresses of the backends that see clients' addresses because of the Service's policy.
fn keeps_clients<F: Family>(entry: &Entry<F>) -> Vec<IpAddr> {
    match entry.joined.service.external_policy {
        TrafficPolicy::Cluster => Vec::new(),
        TrafficPolicy::Local => {
            let held = entry.ports.iter().flat_map(|port| port.held.keys());
            held.map(|(address, _)| F::to_ip(*address)).collect()
        }
    }
}

/// Whether UDP endpoints have changed: what makes kube-proxy look at all UDP flows. A change of a Service does not.
fn other_udp_endpoints<F: Family>(old: Option<&Joined>, new: &Joined) -> bool {
    let udp = |joined: &Joined| -> Vec<Arc<Slice>> {
        let is_udp = |slice: &&Arc<Slice>| {
            slice.family == family::<F>() && slice.ports.iter().any(|port| port.transport == Transport::Udp)
        };
        joined.slices.iter().filter(is_udp).cloned().collect()
    };
    old.map(udp).unwrap_or_default() != udp(new)
}

/// A Service without a cluster IP of the family has nothing in it (§3.1).
fn is_served<F: Family>(joined: &Joined) -> bool {
    joined.service.cluster_ip(family::<F>()).is_some()
}
