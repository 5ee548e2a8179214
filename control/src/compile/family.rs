//! The tables of one family, kept from one compilation to the next.

use super::{
    backend_ports::BackendPorts,
    categorize::Place,
    changes::Changes,
    departed::Departed,
    environment::{Environment, family, primary},
    ids::IdPool,
    next_hops::NextHops,
    record::{Candidate, Facts},
    retire::Held,
};
use crate::{
    fault::Problem,
    model::{Joined, Model, ServicePort, Slice, differences},
    objects::ObjectKey,
};
use penstock_dataplane::{
    table::{Locality, Peers, Service, ServiceId, ServiceName, Tables, Transport, VipIndex},
    wire::Family,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
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
    /// Numbers given to stays of backends under affinity.
    pub(super) pins_given: u64,
}

#[derive(Debug)]
pub(super) struct FamilyTables<F: Family> {
    pub(super) ids: IdPool<Arc<ServiceName>>,
    pub(super) next_hops: NextHops<F>,
    pub(super) services: BTreeMap<ObjectKey, Entry<F>>,
    table: Arc<Vec<Option<Arc<Service<F>>>>>,
    pub(super) index: Arc<VipIndex<F>>,
    pub(super) index_problems: Vec<Problem>,
    pub(super) node_tuples: BTreeSet<(Transport, u16)>,
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
    pub(super) port: ServicePort,
    pub(super) record: Arc<Service<F>>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) held: Held<F>,
}

impl<F: Family> Default for FamilyTables<F> {
    fn default() -> Self {
        Self {
            ids: IdPool::default(),
            next_hops: NextHops::default(),
            services: BTreeMap::new(),
            table: Arc::default(),
            index: Arc::default(),
            index_problems: Vec::new(),
            node_tuples: BTreeSet::new(),
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
    /// Brings the tables up to date.
    pub(super) fn compile(
        &mut self,
        model: &Model,
        environment: &Environment,
        shared: &mut Shared,
    ) -> Tables<F> {
        let name = &environment.settings.node_name;
        let node = model.node(name).map(AsRef::as_ref);
        let zone = node.and_then(|node| node.zone.clone()).unwrap_or_default();
        let facts = Facts { place: Place { node: name.clone(), zone }, primary: primary::<F>(node) };
        let moved = facts != self.facts;
        self.facts = facts;

        let mut records = Records::default();
        let served = model.services().iter().filter(|(_, joined)| is_served::<F>(joined));
        let (gone, stale) =
            differences(&self.services, served, |entry, joined| !moved && Arc::ptr_eq(&entry.joined, joined));
        let mut claims_differ = !gone.is_empty();
        for key in gone {
            let ports = self.services.remove(&key).map(|entry| entry.ports).unwrap_or_default();
            ports.into_iter().for_each(|port| self.remove_port(port, &mut records, shared));
        }
        for (key, joined) in stale {
            let old = self.services.remove(key);
            claims_differ |=
                !old.as_ref().is_some_and(|old| Arc::ptr_eq(&old.joined.service, &joined.service));
            if other_udp_endpoints::<F>(old.as_ref().map(|old| &*old.joined), joined) {
                self.udp_epoch = self.udp_epoch.wrapping_add(1);
            }
            let ports = old.map(|entry| entry.ports).unwrap_or_default();
            let ports = self.ports(joined, ports, &mut records, shared);
            self.services.insert(key.clone(), Entry { joined: Arc::clone(joined), ports });
        }
        self.apply(records);
        self.capture(environment, node, claims_differ);
        self.warn(shared);
        self.localize(environment);
        Tables {
            vips: Arc::clone(&self.index),
            services: Arc::clone(&self.table),
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
        if records.0.is_empty() {
            return;
        }
        let mut table = Vec::clone(&self.table);
        table.resize(self.ids.bound(), None);
        for (id, record) in records.0 {
            table[id.0 as usize] = record;
        }
        self.table = Arc::new(table);
    }

    /// Every port of every Service.
    pub(super) fn all_ports(&self) -> impl Iterator<Item = (&Arc<Joined>, &Port<F>)> {
        self.services.values().flat_map(|entry| entry.ports.iter().map(|port| (&entry.joined, port)))
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
pub(super) struct Records<F: Family>(pub(super) Vec<(ServiceId, Option<Arc<Service<F>>>)>);

impl<F: Family> Default for Records<F> {
    fn default() -> Self {
        Self(Vec::new())
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
