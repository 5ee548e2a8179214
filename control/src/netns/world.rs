//! The standard topology: a client, a gateway and a network of backends.
//!
//! ```text
//!  two-arm:  client eth0 ── client0 gateway backend0 ── uplink ╥ network (bridge) ╥ port1… ── eth0 backend 1…
//!  one-arm:  client eth0 ── client ╥ network (bridge) ╥ uplink ── edge0 gateway     port1… ── eth0 backend 1…
//! ```
//!
//! * The gateway's kernel forwards nothing: a packet that crosses has been through our own dataplane.
//! * Clients route the Service networks by way of the gateway; backends know their own network alone, so that only a
//!   translated source brings a reply back.
//! * The other ends of the gateway's cables take what its fast lane redirects to them.
//! * Neighbours are found by ARP and ND, as on a real wire. Both arms of the plan share the wire in one-arm.

use std::net::IpAddr;

use super::{
    Bridge, Families, Namespace, NetnsError, Owner, Plan, VethOptions, create_bridge, create_veth, registry,
    sweep, take_redirects,
};

/// What kind of world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldOptions {
    /// Who makes it: the prefix of the namespaces' names.
    pub owner: Owner,
    /// Something that tells this world from others of the same process.
    pub label: String,
    /// One interface of the gateway for everything, instead of one a side.
    pub one_arm: bool,
    /// Queues of every cable.
    pub queues: u16,
    /// Backends to begin with.
    pub backends: u8,
    /// IP families.
    pub families: Families,
    /// MTU everywhere.
    pub mtu: u32,
}

impl WorldOptions {
    /// Two-arm, one queue, three backends, both families, MTU 1500.
    pub fn new(owner: Owner, label: &str) -> WorldOptions {
        WorldOptions {
            owner,
            label: label.to_owned(),
            one_arm: false,
            queues: 1,
            backends: 3,
            families: Families::BOTH,
            mtu: 1500,
        }
    }
}

/// What is on the other side of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Clients.
    Client,
    /// Backends.
    Backend,
}

/// An interface of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayInterface {
    /// Its name.
    pub name: &'static str,
    /// What it leads to.
    pub roles: &'static [Role],
}

/// A backend: a namespace with an address of each family.
#[derive(Debug)]
pub struct Backend {
    /// Counted from 1, never reused.
    pub number: u8,
    /// Where its programs run.
    pub namespace: Namespace,
    /// Its addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
}

impl Backend {
    /// `backend-N`, what its server answers.
    pub fn name(&self) -> String {
        format!("backend-{}", self.number)
    }
}

/// A network in this machine. Dropping it removes all of it.
#[derive(Debug)]
pub struct World {
    /// The address plan.
    pub plan: Plan,
    /// Where clients run.
    pub client: Namespace,
    /// Where the appliance runs.
    pub gateway: Namespace,
    /// The switch.
    pub network: Namespace,
    /// The backends.
    pub backends: Vec<Backend>,
    /// A folder for configuration, manifests and logs.
    pub folder: tempfile::TempDir,
    options: WorldOptions,
    bridge: Bridge,
    next_backend: u8,
}

impl World {
    /// Sweeps what a killed run of the same owner left, then builds.
    pub fn build(options: WorldOptions) -> Result<World, NetnsError> {
        sweep(&options.owner);
        let namespace = |role: &str| {
            let label =
                if options.label.is_empty() { role.to_owned() } else { format!("{}-{role}", options.label) };
            Namespace::create(&options.owner, &label)
        };
        let (client, gateway, network) = (namespace("client")?, namespace("gateway")?, namespace("network")?);
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", options.owner.name("world")))
            .tempdir()
            .map_err(NetnsError::system("make a temporary folder"))?;
        registry::add_folder(folder.path());
        let bridge = create_bridge(&network, "br0", options.mtu)?;
        let plan = Plan { families: options.families };
        let mut world = World {
            plan,
            client,
            gateway,
            network,
            backends: Vec::new(),
            folder,
            bridge,
            next_backend: 1,
            options,
        };
        world.wire()?;
        for _ in 0..world.options.backends {
            world.add_backend()?;
        }
        Ok(world)
    }

    /// The gateway's interfaces.
    pub fn gateway_interfaces(&self) -> Vec<GatewayInterface> {
        if self.options.one_arm {
            return vec![GatewayInterface { name: "edge0", roles: &[Role::Client, Role::Backend] }];
        }
        vec![
            GatewayInterface { name: "client0", roles: &[Role::Client] },
            GatewayInterface { name: "backend0", roles: &[Role::Backend] },
        ]
    }

    /// The options it was built with.
    pub fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// Adds a backend, wired and addressed, and returns its number.
    pub fn add_backend(&mut self) -> Result<u8, NetnsError> {
        let number = self.next_backend;
        self.next_backend += 1;
        let role = format!("backend{number}");
        let label =
            if self.options.label.is_empty() { role } else { format!("{}-{role}", self.options.label) };
        let namespace = Namespace::create(&self.options.owner, &label)?;
        let port = format!("port{number}");
        create_veth(
            (&namespace, "eth0", mac(3, number)),
            (&self.network, &port, mac(4, number)),
            self.veth(),
        )?;
        self.bridge.add(&self.network, &port)?;
        let addresses = self.plan.backend(number);
        assign(&namespace, "eth0", &addresses)?;
        self.backends.push(Backend { number, namespace, addresses });
        Ok(number)
    }

    /// Backend `number`, if it is there.
    pub fn backend(&self, number: u8) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.number == number)
    }

    /// Gives the client's namespace `count` more IPv4 and IPv6 addresses: [`Plan::many_clients`].
    pub fn add_clients(&self, count: u16) -> Result<(), NetnsError> {
        let mut batch = String::new();
        for index in 0..count {
            if self.plan.families.v4 {
                batch += &format!("addr add {}/16 dev eth0\n", self.plan.many_clients(index));
            }
            if self.plan.families.v6 {
                batch += &format!("addr add {}/64 dev eth0 nodad\n", self.plan.many_clients_v6(index));
            }
        }
        let file = self.folder.path().join("clients.batch");
        std::fs::write(&file, batch).map_err(NetnsError::system(format!("write {}", file.display())))?;
        self.client.ip(&format!("-batch {}", file.display())).map(drop)
    }

    fn veth(&self) -> VethOptions {
        VethOptions { queues: self.options.queues, mtu: self.options.mtu }
    }

    /// The cables and addresses of everything but the backends.
    fn wire(&self) -> Result<(), NetnsError> {
        let (gateway, network, client) = (&self.gateway, &self.network, &self.client);
        let (client_arm, backend_arm) = if self.options.one_arm {
            create_veth((client, "eth0", mac(1, 2)), (network, "client", mac(1, 3)), self.veth())?;
            self.bridge.add(network, "client")?;
            ("edge0", "edge0")
        } else {
            create_veth((client, "eth0", mac(1, 2)), (gateway, "client0", mac(1, 1)), self.veth())?;
            take_redirects(client, "eth0")?;
            ("client0", "backend0")
        };
        create_veth((gateway, backend_arm, mac(2, 1)), (network, "uplink", mac(2, 2)), self.veth())?;
        take_redirects(network, "uplink")?;
        self.bridge.add(network, "uplink")?;
        assign(gateway, client_arm, &self.plan.gateway_client_side())?;
        assign(gateway, backend_arm, &self.plan.gateway_backend_side())?;
        assign(client, "eth0", &self.plan.client())?;
        for service_network in self.plan.service_networks() {
            let v6 = service_network.contains(':');
            let gateway = self.plan.gateway_client_side().into_iter().find(|address| address.is_ipv6() == v6);
            if let Some(gateway) = gateway {
                client.ip(&format!("route add {service_network} via {gateway} dev eth0"))?;
            }
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        registry::forget_folder(self.folder.path());
    }
}

fn assign(namespace: &Namespace, interface: &str, addresses: &[IpAddr]) -> Result<(), NetnsError> {
    for address in addresses {
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        let prefix_len = Plan::prefix_len(*address);
        namespace.ip(&format!("addr add {address}/{prefix_len} dev {interface}{nodad}"))?;
    }
    Ok(())
}

/// A locally administered address that tells what it belongs to.
fn mac(kind: u8, number: u8) -> [u8; 6] {
    [0x02, 0x70, 0x65, 0x6e, kind, number]
}

#[cfg(test)]
mod tests;
