//! A model and a compiler to play with.

use crate::{
    compile::{Compiled, Compiler, Environment, Settings},
    config::NodePortAddresses,
    model::Model,
    objects::{Object, ObjectKey, Objects},
    routes::{Way, WayLink, Ways},
};
use imbl::OrdSet;
use penstock_dataplane::{
    table::{Endpoints, Service, Tables, Transport, VipMatch},
    wire::{Family, V4},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

pub(super) struct World {
    pub(super) objects: Objects,
    pub(super) model: Model,
    pub(super) compiler: Compiler,
    pub(super) environment: Environment,
    generation: u64,
}

impl World {
    /// On node n1 with 192.0.2.1 and 2001:db8::1.
    pub(super) fn new() -> Self {
        let settings = Settings {
            node_name: "n1".into(),
            masquerade_all: false,
            cluster_cidr: Vec::new(),
            node_port_addresses: NodePortAddresses::Cidrs(Vec::new()),
            allow_external_ips: true,
            service_cidrs: Vec::new(),
            snat_addresses: Vec::new(),
        };
        let node_addresses = [ip("192.0.2.1"), ip("2001:db8::1")].into();
        let environment = Environment {
            settings,
            node_addresses,
            ways: Ways::new(),
            port_mtus: Arc::from([]),
            port_addresses: Vec::new(),
            port_macs: BTreeMap::new(),
            peers: BTreeSet::new(),
            relays: BTreeMap::new(),
            rss: Arc::default(),
        };
        let (objects, model, compiler) = (Objects::default(), Model::default(), Compiler::new());
        Self { objects, model, compiler, environment, generation: 0 }
    }

    /// A Service with this spec and status, as YAML in flow form.
    pub(super) fn service(&mut self, name: &str, spec: &str) -> &mut Self {
        self.service_with(name, "", spec, "")
    }

    pub(super) fn service_with(&mut self, name: &str, metadata: &str, spec: &str, status: &str) -> &mut Self {
        let text = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, {metadata}}}, spec: {{{spec}}}, status: {{{status}}}}}"
        );
        let value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        self.objects.services.insert(key(name), Object { origin: None, value: Arc::new(value) });
        self
    }

    /// A slice of a Service: its endpoints and ports as YAML in flow form.
    pub(super) fn slice(&mut self, name: &str, service: &str, endpoints: &str, ports: &str) -> &mut Self {
        self.slice_of("IPv4", name, service, endpoints, ports)
    }

    pub(super) fn slice_of(
        &mut self,
        family: &str,
        name: &str,
        service: &str,
        endpoints: &str,
        ports: &str,
    ) -> &mut Self {
        let text = format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: {family}, \
             metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {service}}}}}, \
             endpoints: [{endpoints}], ports: [{ports}]}}"
        );
        let value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        self.objects.slices.insert(key(name), Object { origin: None, value: Arc::new(value) });
        self
    }

    pub(super) fn node(&mut self, name: &str, zone: &str, addresses: &str) -> &mut Self {
        let text = format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{topology.kubernetes.io/zone: '{zone}'}}}}, \
             status: {{addresses: [{addresses}]}}}}"
        );
        let value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        self.objects.nodes.insert(ObjectKey::new("", name), Object { origin: None, value: Arc::new(value) });
        self
    }

    pub(super) fn remove_service(&mut self, name: &str) -> &mut Self {
        self.objects.services.remove(&key(name));
        self
    }

    pub(super) fn remove_slice(&mut self, name: &str) -> &mut Self {
        self.objects.slices.remove(&key(name));
        self
    }

    /// A way to each address that is wanted.
    pub(super) fn resolve(&mut self) -> &mut Self {
        let targets = self.compiler.targets().into_iter();
        self.environment.ways = targets.map(|address| (address, Arc::new(way(address)))).collect();
        self
    }

    /// Compiles and publishes. No object may be wrong.
    pub(super) fn compile(&mut self) -> Compiled {
        let problems = self.model.update(&self.objects);
        let errors: Vec<_> =
            problems.iter().filter(|problem| problem.severity == crate::fault::Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let compiled = self.compiler.compile(&self.model, &self.environment);
        self.generation += 1;
        self.compiler.published(self.generation);
        compiled
    }

    /// Every worker is at the newest generation.
    pub(super) fn release(&mut self) -> &mut Self {
        self.compiler.release(self.generation);
        self
    }
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn way(address: IpAddr) -> Way {
    let last = match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    };
    let link =
        WayLink { port: 1, source_mac: [2, 0, 0, 0, 0, 1], dest_mac: [2, 1, 0, 0, 0, last], vlan: None };
    Way {
        link: Ok(link),
        source: Some(ip(if address.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" })),
        mtu: 1500,
    }
}

/// Who serves a TCP destination.
pub(super) fn serving<'t, F: Family>(
    tables: &'t Tables<F>,
    address: &str,
    port: u16,
) -> Option<&'t Service<F>> {
    let address = F::from_ip(ip(address)).unwrap();
    match tables.vips.find(address, Transport::Tcp, port) {
        VipMatch::Service(target) => tables.service(target.service),
        _ => None,
    }
}

/// The backends of a list as `address:port`, or what happens instead.
pub(super) fn list<F: Family>(endpoints: &Endpoints<F>) -> Vec<String> {
    match endpoints {
        Endpoints::Ring(ring) => ring.backends().iter().map(|b| format!("{}:{}", b.addr, b.port)).collect(),
        Endpoints::Drop => vec!["drop".into()],
        Endpoints::Reject => vec!["reject".into()],
    }
}

/// The cluster list of a TCP destination of IPv4.
pub(super) fn cluster(compiled: &Compiled, address: &str, port: u16) -> Vec<String> {
    list(&serving::<V4>(&compiled.snapshot.v4, address, port).unwrap().cluster)
}

pub(super) fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    items.into_iter().collect()
}

pub(super) fn persistent<T: Ord + Clone>(items: impl IntoIterator<Item = T>) -> OrdSet<T> {
    items.into_iter().collect()
}
