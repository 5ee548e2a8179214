//! Real Kubernetes for the tests: etcd, kube-apiserver, kube-controller-manager, kube-proxy and kubectl.
//!
//! * Job: an API server that defaults, validates and allocates as users' do, and kube-proxy as the oracle.
//! * In: the programs, from the folder `KUBEBUILDER_ASSETS` or as `make cluster-binaries` builds them; etcd from the
//!   distribution.
//! * Out: a [`Cluster`] in a network namespace of its own, spoken to by [`Api`] (JSON over a unix socket, so from any
//!   namespace) or by kubectl; a [`KubeProxy`] in another namespace, joined to it by a cable.
//! * Further: what goes wrong with it ([`Cluster::restore`] and its neighbours), service accounts and what they did
//!   ([`Cluster::audit`]), MetalLB's definitions.
//! * Limits: no kubelet; tests create Nodes, and patch the status of Pods, themselves. Tests that need this are
//!   skipped, aloud, where the programs are not built; with `PENSTOCK_CLUSTER=1` or `CI=true` they fail
//!   ([`require_cluster!`]).
//!
//! [`require_cluster!`]: crate::require_cluster

mod programs;
mod api;
mod control_plane;
mod processes;
mod outages;
mod accounts;
mod metallb;
mod kube_proxy;

pub use accounts::{Audit, Permission, ServiceAccount};
pub use api::{Api, ApiError};
pub use control_plane::{Cluster, ClusterOptions, SLICES, WORKLOADS};
pub use kube_proxy::{KubeProxy, KubeProxyOptions, ProxyMode, lift_icmp_limits};
pub use metallb::metallb_definitions;
pub use programs::{Programs, may_run_cluster};

/// Leaves the test unless it can be run here, with Kubernetes.
#[macro_export]
macro_rules! require_cluster {
    () => {
        if !$crate::may_run(&[]) || !$crate::cluster::may_run_cluster() {
            return;
        }
    };
}
