//! kube-proxy in a namespace that the kernel forwards in: the oracle, and the peer to measure against.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use penstock::netns::{Child, Namespace};
use serde_json::json;

use super::Cluster;

/// What kube-proxy programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyMode {
    /// nftables: what the rules of `service-semantics.md` follow where modes differ.
    Nftables,
    /// iptables.
    Iptables,
}

impl ProxyMode {
    fn word(self) -> &'static str {
        match self {
            ProxyMode::Nftables => "nftables",
            ProxyMode::Iptables => "iptables",
        }
    }
}

/// What kind of proxy.
#[derive(Debug, Clone)]
pub struct KubeProxyOptions {
    /// What it programs.
    pub mode: ProxyMode,
    /// The Node that it is.
    pub node_name: String,
    /// The local detector: sources in here are pods.
    pub cluster_cidr: Vec<String>,
}

/// A running kube-proxy. It is stopped with the value; its rules go with the namespace.
#[derive(Debug)]
pub struct KubeProxy {
    child: Child,
}

impl KubeProxy {
    /// Joins `gateway` to the cluster, makes its kernel forward, and starts kube-proxy in it.
    pub fn start(
        cluster: &mut Cluster,
        gateway: &Namespace,
        options: &KubeProxyOptions,
    ) -> Result<KubeProxy> {
        let kubeconfig = cluster.join(gateway)?;
        gateway.set_forwarding(true)?;
        lift_icmp_limits(gateway)?;
        let folder = cluster.folder().to_owned();
        let config = write_config(&folder, &kubeconfig, options)?;
        let line = [&cluster.programs().proxy.to_string_lossy(), "--config", &config.to_string_lossy()];
        let child = gateway.spawn(&line, Some(&folder.join("kube-proxy.log")))?;
        Ok(KubeProxy { child })
    }

    /// An error, with its log's end, if it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.ended() {
            None => Ok(()),
            Some(status) => bail!("kube-proxy has ended ({status}):\n{}", self.last_lines()),
        }
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        super::control_plane::last_lines(&self.child.output())
    }
}

/// Refusals that are not held back: a test asks more often than the kernel would answer.
pub fn lift_icmp_limits(gateway: &Namespace) -> Result<()> {
    gateway.sysctl("net/ipv4/icmp_ratelimit", "0")?;
    gateway.sysctl("net/ipv6/icmp/ratelimit", "0")?;
    // Kernels where it belongs to the first namespace alone lack it here.
    let _ = gateway.sysctl("net/ipv4/icmp_msgs_per_sec", "100000");
    let _ = gateway.sysctl("net/ipv4/icmp_msgs_burst", "10000");
    Ok(())
}

fn write_config(folder: &Path, kubeconfig: &Path, options: &KubeProxyOptions) -> Result<PathBuf> {
    let at_once = Duration::from_millis(10);
    let sync = json!({"minSyncPeriod": format!("{}ms", at_once.as_millis())});
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "hostnameOverride": options.node_name,
        "mode": options.mode.word(),
        "clusterCIDR": options.cluster_cidr.join(","),
        "nodePortAddresses": ["primary"],
        "iptables": sync,
        "nftables": sync,
        // The table's size belongs to the machine's first namespace.
        "conntrack": {"maxPerCore": 0},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    });
    let file = folder.join("kube-proxy.json");
    fs::write(&file, config.to_string())?;
    Ok(file)
}
