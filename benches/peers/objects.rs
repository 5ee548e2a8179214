//! The objects that all systems serve: Services with a port each, and a slice of endpoints each, in a real API server.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use penstock::netns::{Namespace, Owner};
use penstock_tests::cluster::{Api, Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::way::Way;

/// The Node that every gateway is.
pub(crate) const NODE: &str = "gateway";
/// The port of every Service, and of its endpoints.
pub(crate) const PORT: u16 = 53;
const TARGET_PORT: u16 = 8053;
/// The port of Service 0 for round trips, and of its endpoints.
pub(crate) const STREAM_PORT: u16 = 80;
pub(crate) const STREAM_TARGET_PORT: u16 = 8080;
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const WRITERS: usize = 4;

/// The cluster, with so many Services.
pub(crate) struct Objects {
    cluster: Cluster,
    services: usize,
}

impl Objects {
    /// A cluster with a Node and no Services of ours.
    pub(crate) fn start(owner: &Owner) -> Result<Objects> {
        let mut options = ClusterOptions::new(owner.clone());
        options.service_ranges = vec!["10.96.0.0/12".to_owned(), "fd00:96::/112".to_owned()];
        let mut cluster = Cluster::start(&options)?;
        cluster.install_metallb()?;
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        cluster.api().create("/api/v1/nodes", &node)?;
        let addresses =
            ["10.1.0.1", "fd00:1::1"].map(|address| json!({"type": "InternalIP", "address": address}));
        let addresses = json!({"status": {"addresses": addresses}});
        cluster.api().patch(&format!("/api/v1/nodes/{NODE}/status"), &addresses)?;
        Ok(Objects { cluster, services: 0 })
    }

    /// Joins a gateway, and returns its kubeconfig.
    pub(crate) fn join(&mut self, gateway: &Namespace) -> Result<std::path::PathBuf> {
        self.cluster.join(gateway)
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Adds Services until there are `services`.
    pub(crate) fn grow(&mut self, services: usize) -> Result<()> {
        let (api, first) = (self.cluster.api(), self.services);
        std::thread::scope(|scope| {
            let write = |writer: usize| {
                move || (first + writer..services).step_by(WRITERS).try_for_each(|one| create(api, one))
            };
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(write(writer))).collect();
            writers
                .into_iter()
                .try_for_each(|writer| writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        self.services = services;
        Ok(())
    }

    /// Adds a Service of another kind of packets.
    pub(crate) fn add(&self, way: Way) -> Result<()> {
        create_service(self.cluster.api(), way.figure(), way, 0, &[DNS])
    }

    /// Takes it away again.
    pub(crate) fn remove(&self, way: Way) -> Result<()> {
        self.cluster.api().delete(&format!("{SERVICES}/{}", way.figure()))?;
        self.cluster.api().delete(&format!("{SLICES}/{}", way.figure()))?;
        Ok(())
    }

    /// Makes backend `which` the only endpoint of Service 0.
    pub(crate) fn point(&self, which: usize) -> Result<()> {
        let patch = json!({"endpoints": endpoints(&Way::V4.backends()[which..=which])});
        self.cluster.api().patch(&format!("{SLICES}/{}", name(0)), &patch)?;
        Ok(())
    }

    /// Gives Service 0 back what it had.
    pub(crate) fn restore(&self) -> Result<()> {
        let patch = json!({"endpoints": endpoints(&Way::V4.backends())});
        self.cluster.api().patch(&format!("{SLICES}/{}", name(0)), &patch)?;
        Ok(())
    }
}

/// The address of a Service.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 100, 0, 1).to_bits() + number as u32)
}

fn name(number: usize) -> String {
    format!("service-{number}")
}

/// A port of a Service: name, protocol, port, endpoints' port.
type ServicePort = (&'static str, &'static str, u16, u16);

const DNS: ServicePort = ("dns", "UDP", PORT, TARGET_PORT);
const STREAM: ServicePort = ("stream", "TCP", STREAM_PORT, STREAM_TARGET_PORT);

/// The first one answers streams too.
fn create(api: &Api, number: usize) -> Result<()> {
    let ports = &[DNS, STREAM][..if number == 0 { 2 } else { 1 }];
    create_service(api, &name(number), Way::V4, number, ports)
}

fn create_service(api: &Api, name: &str, way: Way, number: usize, ports: &[ServicePort]) -> Result<()> {
    let family = if way == Way::V6 { "IPv6" } else { "IPv4" };
    let service_port = |(name, protocol, port, target): &ServicePort| json!({"name": name, "protocol": protocol, "port": port, "targetPort": target});
    let endpoint_port = |(name, protocol, _, target): &ServicePort| json!({"name": name, "protocol": protocol, "port": target});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "clusterIP": way.vip(number), "ipFamilies": [family],
            "ports": ports.iter().map(service_port).collect::<Vec<_>>(),
        },
    });
    let context = || format!("cannot create {name}");
    api.create(SERVICES, &service).with_context(context)?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "endpoints": endpoints(&way.backends()),
        "ports": ports.iter().map(endpoint_port).collect::<Vec<_>>(),
    });
    api.create(SLICES, &slice).with_context(context)?;
    Ok(())
}

fn endpoints(addresses: &[IpAddr]) -> Vec<Value> {
    addresses
        .iter()
        .map(
            |address| json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": "elsewhere"}),
        )
        .collect()
}
