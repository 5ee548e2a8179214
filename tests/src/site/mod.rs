//! A site with a cluster, gateways, clients and servers, as an operator of Penstock has it.
//!
//! ```text
//!               API server ─┬─ cable to every gateway
//!                           │
//!   client eth0 ─╥ clients ╥─ client0 gateway-1 backend0 ─╥ backends ╥─ eth0 machine 1 (node-1)
//!                ║(bridge) ╟─ client0 gateway-2 backend0 ─╢ (bridge) ╟─ eth0 machine 2 (node-2)
//!                ╨         ╨                              ╨          ╨─ …
//! ```
//!
//! * Job: end-to-end tests of Penstock in a cluster: real Kubernetes ([`Cluster`]) with MetalLB's definitions and the
//!   shipped RBAC, `penstock run` in each gateway with a token of its own service account, and Pods that really serve.
//! * In: [`SiteOptions`]; then ordinary objects, by `kubectl apply`.
//! * Out: [`Load`] tells which requests failed, [`Overheard`] which gateway announced or answered for an address and
//!   when, the cluster's audit log what was asked of the API server.
//! * Addresses of Services are on the clients' own segment: whoever announces one by ARP or ND gets its packets.
//! * Limits: [`Kubelet`] plays scheduler and kubelet; a machine holds one Pod. Nothing of a gateway's kernel forwards.

mod network;
mod kubelet;
mod gateway;
mod load;
mod overheard;
pub mod objects;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use penstock::netns::{Namespace, Owner};
use serde_json::{Value, json};

use crate::{
    PATIENCE,
    cluster::{Cluster, ClusterOptions, ServiceAccount, WORKLOADS},
};

pub use gateway::{Gateway, GatewayOptions};
pub use kubelet::{Kubelet, Machine};
pub use load::{Load, Outcome};
pub use network::Network;
pub use overheard::{Overheard, Sighting};

/// What the gateways run as: the shipped service account.
const ACCOUNT: (&str, &str) = ("penstock-system", "penstock");

/// The shipped objects: namespace, service account, RBAC, DaemonSet.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/base");

/// What kind of site.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// The prefix of the namespaces' names.
    pub owner: Owner,
    /// Gateways: `gateway-1`, `gateway-2`, …
    pub gateways: u8,
    /// Machines that can hold a Pod each.
    pub machines: u8,
}

/// A site. Everything goes with the value; what is named first goes first.
#[derive(Debug)]
pub struct Site {
    kubelet: Kubelet,
    /// The control plane.
    pub cluster: Cluster,
    /// The wires.
    pub network: Arc<Network>,
    /// A kubeconfig of the shipped service account for each gateway.
    kubeconfigs: Vec<std::path::PathBuf>,
}

impl Site {
    /// Builds the network, starts the cluster, and installs what an operator would. No gateway runs yet.
    pub fn build(options: &SiteOptions) -> Result<Site> {
        let controllers = WORKLOADS;
        let mut cluster =
            Cluster::start(&ClusterOptions { controllers, ..ClusterOptions::new(options.owner.clone()) })?;
        let network = Arc::new(Network::build(options)?);
        let cables = network.gateways.iter().map(|gateway| cluster.join(gateway));
        let cables = cables.collect::<Result<Vec<_>>>()?;
        cluster.install_metallb()?;
        cluster.apply_path("-k", Path::new(BASE)).context("the shipped objects cannot be applied")?;
        for node in network.nodes() {
            cluster.api().create("/api/v1/nodes", &node)?;
            let path =
                format!("/api/v1/nodes/{}/status", node["metadata"]["name"].as_str().unwrap_or_default());
            cluster.api().patch(&path, &json!({"status": node["status"]}))?;
        }
        let account = Site::account();
        let kubeconfigs = cables.iter().map(|cable| cluster.kubeconfig_as(cable, &account));
        let kubeconfigs = kubeconfigs.collect::<Result<Vec<_>>>()?;
        let kubelet = Kubelet::start(cluster.api().clone(), network.clone());
        Ok(Site { kubelet, cluster, network, kubeconfigs })
    }

    /// What the gateways run as.
    pub fn account() -> ServiceAccount {
        ServiceAccount::new(ACCOUNT.0, ACCOUNT.1)
    }

    /// The namespace of the gateways' Leases, and of pools and advertisements.
    pub fn namespace() -> &'static str {
        ACCOUNT.0
    }

    /// The client's namespace.
    pub fn client(&self) -> &Namespace {
        &self.network.client
    }

    /// What plays scheduler and kubelet.
    pub fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    /// Starts gateway `number` and waits until it answers on its socket.
    pub fn start_gateway(&self, number: u8, options: &GatewayOptions) -> Result<Gateway> {
        let kubeconfig = self
            .kubeconfigs
            .get(usize::from(number).wrapping_sub(1))
            .with_context(|| format!("there is no gateway {number}"))?;
        Gateway::start(number, &self.network, kubeconfig, options)
    }

    /// Starts all gateways, and waits until each has renewed its Lease: from then on they share the addresses.
    pub fn start_gateways(&self, options: &GatewayOptions) -> Result<Vec<Gateway>> {
        let began = self.renewals()?;
        let gateways: Result<Vec<_>> = (1..=self.network.gateways.len())
            .map(|number| self.start_gateway(number as u8, options))
            .collect();
        let gateways = gateways?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.renewals()?;
            if gateways.iter().all(|gateway| now.get(&gateway.name()) > began.get(&gateway.name())) {
                // What the API server has, both have at once.
                std::thread::sleep(Duration::from_millis(300));
                return Ok(gateways);
            }
            if Instant::now() > deadline {
                let logs = gateways.iter().map(Gateway::last_lines).collect::<Vec<_>>();
                bail!(
                    "not every gateway has renewed its Lease after {PATIENCE:?}: {now:?}\n{}",
                    logs.join("\n--\n")
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// When each gateway renewed its Lease last, as the API server writes times.
    fn renewals(&self) -> Result<BTreeMap<String, String>> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", Site::namespace());
        let list = self.cluster.api().get(&path)?;
        let leases = list["items"].as_array().into_iter().flatten();
        let read = leases.filter_map(|lease| {
            let gateway = lease["metadata"]["name"].as_str()?.strip_prefix("penstock-gateway-")?;
            Some((gateway.to_owned(), lease["spec"]["renewTime"].as_str()?.to_owned()))
        });
        Ok(read.collect())
    }

    /// The object at `path`, once `is_so`.
    pub fn wait_for(&self, what: &str, path: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let object = self.cluster.api().get(path);
            if let Ok(object) = &object
                && is_so(object)
            {
                return Ok(object.clone());
            }
            if Instant::now() > deadline {
                let shown = match object {
                    Ok(object) => format!("{object:#}"),
                    Err(error) => error.to_string(),
                };
                bail!("not so after {PATIENCE:?}: {what}; {path} is {shown}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Deletes what a test made in `namespace`, and its pools and advertisements, at once.
    pub fn clear(&self, namespace: &str) {
        let api = self.cluster.api();
        for pool in ["ipaddresspools", "l2advertisements"] {
            let _ = api.delete(&format!("/apis/metallb.io/v1beta1/namespaces/{}/{pool}", Site::namespace()));
        }
        for collection in [
            format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            format!("/apis/apps/v1/namespaces/{namespace}/replicasets"),
            format!("/api/v1/namespaces/{namespace}/services"),
            format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
            format!("/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0"),
        ] {
            let _ = api.delete(&collection);
        }
    }
}
