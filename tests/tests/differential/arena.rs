//! One cluster and two gateways, each in a world of its own with the same addresses: kube-proxy's, where the kernel
//! forwards, and Penstock's, where it does not.
//!
//! Backends have no neighbours but the gateway, so that what they answer passes it whether the source was kept or
//! not: a gateway need not masquerade where it is the way back.

use anyhow::{Context, Result};
use penstock::{
    demo::{Appliance, ApplianceConfig, ManifestFolder},
    netns::{Namespace, Owner, World, WorldOptions},
};
use penstock_tests::{
    cluster::{Cluster, ClusterOptions, KubeProxy, KubeProxyOptions, ProxyMode, lift_icmp_limits},
    fast_lane, penstock,
};
use serde_json::{Value, json};

use crate::{
    places::{self, BACKENDS, CLUSTER_CIDR, Family, Group, Place},
    responder::Responder,
};

/// A gateway with its clients and backends.
pub struct Side {
    pub name: &'static str,
    pub world: World,
    _responder: Responder,
}

/// Everything.
pub struct Arena {
    // What runs before what it runs in.
    pub appliance: Appliance,
    pub proxy: KubeProxy,
    pub penstock: Side,
    pub kube: Side,
    pub manifests: ManifestFolder,
    pub cluster: Cluster,
}

impl Arena {
    pub fn start(owner: &str) -> Result<Arena> {
        let owner = Owner::new(owner);
        let mut cluster = Cluster::start(&ClusterOptions::new(owner.clone()))?;
        for (name, zone) in [(Appliance::NODE_NAME, "zone-a"), ("node-1", "zone-a"), ("node-2", "zone-b")] {
            make_node(&cluster, name, zone).with_context(|| format!("cannot make the Node {name}"))?;
        }
        let kube = Side::build(&owner, "kube")?;
        let penstock = Side::build(&owner, "penstock")?;
        let proxy = KubeProxy::start(
            &mut cluster,
            &kube.world.gateway,
            &KubeProxyOptions {
                mode: ProxyMode::Nftables,
                node_name: Appliance::NODE_NAME.to_owned(),
                cluster_cidr: CLUSTER_CIDR.map(str::to_owned).to_vec(),
            },
        )?;
        let manifests = ManifestFolder::create(&penstock.world.folder.path().join("manifests"))?;
        let appliance = start_appliance(&penstock, &manifests)?;
        Ok(Arena { appliance, proxy, penstock, kube, manifests, cluster })
    }
}

impl Side {
    fn build(owner: &Owner, name: &'static str) -> Result<Side> {
        let options = WorldOptions { backends: BACKENDS, ..WorldOptions::new(owner.clone(), name) };
        let world = World::build(options)?;
        for backend in &world.backends {
            isolate(&backend.namespace, backend.number)?;
        }
        for family in Family::BOTH {
            let dash = dash(family);
            // What a node's default route would lead to: somewhere, from where nothing comes back. Without one the
            // kernel answers for unmatched packets before kube-proxy's rules see them.
            let elsewhere = match family {
                Family::V4 => "10.2.255.254",
                Family::V6 => "fd00:2::ffff",
            };
            let gateway = &world.gateway;
            gateway.ip(&format!(
                "{dash}neigh add {elsewhere} lladdr 02:70:65:6e:ff:ff dev backend0 nud permanent"
            ))?;
            gateway.ip(&format!("{dash}route add default via {elsewhere} dev backend0"))?;
            for group in Group::NETWORKS {
                let network = group.network(family);
                world.client.ip(&format!("{dash}route add local {network} dev lo"))?;
                gateway.ip(&format!("{dash}route add {network} via {}", places::another_node(family)))?;
            }
            // So that an address of the gateway where no NodePort is can be asked.
            let other = places::snat_address(family);
            world.client.ip(&format!("{dash}route add {other} via {}", places::node_address(family)))?;
        }
        for scope in ["all", "default", "client0", "backend0"] {
            world.gateway.sysctl(&format!("net/ipv4/conf/{scope}/send_redirects"), "0")?;
        }
        world.client.sysctl("net/ipv6/ip_nonlocal_bind", "1")?;
        // What the gateway's own kernel refuses it refuses as often as it is asked.
        lift_icmp_limits(&world.gateway)?;
        let responder = Responder::start(&world)?;
        Ok(Side { name, world, _responder: responder })
    }

    pub fn namespace(&self, place: Place) -> &Namespace {
        match place {
            Place::Backend(number) => {
                self.world.backend(number).map_or(&self.world.client, |backend| &backend.namespace)
            }
            Place::Client => &self.world.client,
        }
    }
}

/// Leaves a backend no way but through the gateway.
fn isolate(namespace: &Namespace, number: u8) -> Result<()> {
    for family in Family::BOTH {
        let (dash, gateway) = (dash(family), places::snat_address(family));
        let (address, length, whole) = match family {
            Family::V4 => (places::backend(family, number), 16, 32),
            Family::V6 => (places::backend(family, number), 64, 128),
        };
        let nodad = if family == Family::V6 { "nodad" } else { "" };
        namespace.ip(&format!("addr del {address}/{length} dev eth0"))?;
        namespace.ip(&format!("addr add {address}/{whole} dev eth0 {nodad}"))?;
        namespace.ip(&format!("{dash}route add {gateway} dev eth0"))?;
        namespace.ip(&format!("{dash}route add default via {gateway} dev eth0"))?;
        let version = if family == Family::V4 { "ipv4" } else { "ipv6" };
        namespace.sysctl(&format!("net/{version}/conf/eth0/accept_redirects"), "0")?;
    }
    Ok(())
}

fn dash(family: Family) -> &'static str {
    if family == Family::V4 { "" } else { "-6 " }
}

fn start_appliance(side: &Side, manifests: &ManifestFolder) -> Result<Appliance> {
    let mut fields = json!({
        "clusterCIDR": CLUSTER_CIDR, "nodePortAddresses": "primary", "reject": {"perSecond": 1_000_000},
    });
    if let Some(wanted) = fast_lane() {
        fields["fastLane"] = wanted;
    }
    let fields = fields.as_object().cloned().unwrap_or_default();
    let config = ApplianceConfig { workers: 1, fields };
    Appliance::start(&penstock(), &side.world, manifests, &config)
}

fn make_node(cluster: &Cluster, name: &str, zone: &str) -> Result<()> {
    let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    cluster.api().create("/api/v1/nodes", &node)?;
    let address = match name {
        Appliance::NODE_NAME => places::node_address,
        "node-1" => places::another_node,
        _ => return Ok(()),
    };
    let addresses = Family::BOTH.map(|family| json!({"type": "InternalIP", "address": address(family)}));
    let status: Value = json!({"status": {"addresses": addresses}});
    cluster.api().patch(&format!("/api/v1/nodes/{name}/status"), &status)?;
    Ok(())
}
