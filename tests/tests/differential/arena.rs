//! One cluster and two gateways, each in a world of its own with the same addresses: kube-proxy's, where the kernel
//! forwards, and Penstock's, where it does not.
//!
//! | who | IPv4 | IPv6 |
//! |---|---|---|
//! | clients from outside, two groups | 10.1.128.0/18, 10.1.192.0/18 | fd00:1:0:0:a::/80, fd00:1:0:0:b::/80 |
//! | clients that the local detector takes for pods | 10.3.0.0/18 | fd00:3:0:0:c::/80 |
//! | backends, eight addresses on one wire | 10.2.0.11-18 | fd00:2::11-18 |
//! | the gateway on the clients' side, where NodePorts are | 10.1.0.1 | fd00:1::1 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use penstock::{
    demo::{Appliance, ApplianceConfig, ManifestFolder},
    netns::{Owner, World, WorldOptions},
};
use penstock_tests::{
    cluster::{Cluster, ClusterOptions, KubeProxy, KubeProxyOptions, ProxyMode},
    penstock,
};
use serde_json::{Value, json};

use crate::{responder::Responder, tries::Protocol};

/// Pods, whichever interface they come from.
pub const CLUSTER_CIDR: [&str; 2] = ["10.2.0.0/15", "fd00:2::/31"];

/// What backends listen on for the objects that are compared.
pub const BACKEND_PORTS: [u16; 4] = [8080, 8081, 8082, 8083];

/// What they listen on for the canary.
pub const CANARY_PORTS: [u16; 8] = [9000, 9001, 9002, 9003, 9004, 9005, 9006, 9007];

/// How many addresses the backends have in each family.
pub const BACKENDS: u8 = 8;

/// Where a flow comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    OutsideA,
    OutsideB,
    Pod,
}

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// As objects spell it.
    pub fn word(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

impl Group {
    pub const ALL: [Group; 3] = [Group::OutsideA, Group::OutsideB, Group::Pod];

    /// All its addresses.
    pub fn network(self, family: Family) -> &'static str {
        match (self, family) {
            (Group::OutsideA, Family::V4) => "10.1.128.0/18",
            (Group::OutsideB, Family::V4) => "10.1.192.0/18",
            (Group::Pod, Family::V4) => "10.3.0.0/18",
            (Group::OutsideA, Family::V6) => "fd00:1:0:0:a::/80",
            (Group::OutsideB, Family::V6) => "fd00:1:0:0:b::/80",
            (Group::Pod, Family::V6) => "fd00:3:0:0:c::/80",
        }
    }

    /// Client `number` of the group; 16,000 differ.
    pub fn client(self, family: Family, number: u32) -> IpAddr {
        let host = number % 16_000 + 1;
        match (self, family) {
            (Group::OutsideA, Family::V4) => {
                Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 128, 0).to_bits() + host).into()
            }
            (Group::OutsideB, Family::V4) => {
                Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 192, 0).to_bits() + host).into()
            }
            (Group::Pod, Family::V4) => {
                Ipv4Addr::from_bits(Ipv4Addr::new(10, 3, 0, 0).to_bits() + host).into()
            }
            (Group::OutsideA, Family::V6) => Ipv6Addr::new(0xfd00, 1, 0, 0, 0xa, 0, 0, host as u16).into(),
            (Group::OutsideB, Family::V6) => Ipv6Addr::new(0xfd00, 1, 0, 0, 0xb, 0, 0, host as u16).into(),
            (Group::Pod, Family::V6) => Ipv6Addr::new(0xfd00, 3, 0, 0, 0xc, 0, 0, host as u16).into(),
        }
    }
}

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

    /// Addresses of backends in `family`.
    pub fn backends(family: Family) -> Vec<IpAddr> {
        (1..=BACKENDS).map(|number| backend(family, number)).collect()
    }

    /// The gateway's address that NodePorts are on.
    pub fn node_address(family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 1, 0, 1).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1).into(),
        }
    }

    /// What a masqueraded flow comes from.
    pub fn snat_address(family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 2, 0, 1).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1).into(),
        }
    }
}

impl Side {
    fn build(owner: &Owner, name: &'static str) -> Result<Side> {
        let options = WorldOptions { backends: 1, ..WorldOptions::new(owner.clone(), name) };
        let world = World::build(options)?;
        let backends = &world.backends[0].namespace;
        for family in [Family::V4, Family::V6] {
            // The first is there already.
            for number in 2..=BACKENDS {
                let (address, length) = (backend(family, number), if family == Family::V4 { 16 } else { 64 });
                let nodad = if family == Family::V6 { "nodad" } else { "" };
                backends.ip(&format!("addr add {address}/{length} dev eth0 {nodad}"))?;
            }
            // So that flows that keep the client's address find their way back.
            let dash = if family == Family::V4 { "" } else { "-6 " };
            backends.ip(&format!("{dash}route add default via {}", Arena::snat_address(family)))?;
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
            let client = match family {
                Family::V4 => "10.1.0.2",
                Family::V6 => "fd00:1::2",
            };
            for group in Group::ALL {
                let network = group.network(family);
                world.client.ip(&format!("{dash}route add local {network} dev lo"))?;
                world.gateway.ip(&format!("{dash}route add {network} via {client}"))?;
            }
        }
        world.client.sysctl("net/ipv6/ip_nonlocal_bind", "1")?;
        let ports: Vec<u16> = BACKEND_PORTS.iter().chain(&CANARY_PORTS).copied().collect();
        let addresses = [Arena::backends(Family::V4), Arena::backends(Family::V6)].concat();
        let responder = Responder::start(backends, &addresses, &ports)?;
        Ok(Side { name, world, _responder: responder })
    }
}

/// A Service's address with a port, as it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

fn backend(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 2, 0, 10 + number).into(),
        // Reads the same in hexadecimal digits.
        Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x10 + u16::from(number)).into(),
    }
}

fn start_appliance(side: &Side, manifests: &ManifestFolder) -> Result<Appliance> {
    let fields = json!({"clusterCIDR": CLUSTER_CIDR, "nodePortAddresses": "primary"});
    let fields = fields.as_object().cloned().unwrap_or_default();
    let config = ApplianceConfig { workers: 1, fields };
    Appliance::start(&penstock(), &side.world, manifests, &config)
}

fn make_node(cluster: &Cluster, name: &str, zone: &str) -> Result<()> {
    let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    cluster.api().create("/api/v1/nodes", &node)?;
    if name == Appliance::NODE_NAME {
        let addresses = [Family::V4, Family::V6]
            .map(|family| json!({"type": "InternalIP", "address": Arena::node_address(family)}));
        let status: Value = json!({"status": {"addresses": addresses}});
        cluster.api().patch(&format!("/api/v1/nodes/{name}/status"), &status)?;
    }
    Ok(())
}
