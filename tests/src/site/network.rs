//! The wires of a site: two segments, gateways between them, a client and the machines of Pods.
//!
//! | what | IPv4 | IPv6 |
//! |---|---|---|
//! | clients' segment: gateway *n* `.n`, the client `.100` | 10.1.0.0/16 | fd00:1::/64 |
//! | addresses for Services, on that segment | 10.1.8.0/24 | fd00:1::8:0/112 |
//! | backends' segment: gateway *n* `.n`, machine *n* `.10+n` | 10.2.0.0/16 | fd00:2::/64 |

use std::net::IpAddr;

use anyhow::{Context, Result};
use penstock::netns::{
    Backend, Bridge, Families, Namespace, Owner, Plan, VethOptions, create_bridge, create_veth,
    take_redirects,
};
use serde_json::{Value, json};

use super::{SiteOptions, kubelet::HOSTNAME};

/// The namespaces, wired and addressed. They go with the value.
#[derive(Debug)]
pub struct Network {
    /// Where clients run.
    pub client: Namespace,
    /// The gateways, from number 1.
    pub gateways: Vec<Namespace>,
    /// The machines of Pods, from number 1.
    pub machines: Vec<Backend>,
    /// Configuration, logs and sockets.
    pub folder: tempfile::TempDir,
    _wires: Namespace,
}

/// The interface of a gateway towards clients.
pub(super) const CLIENT_ARM: &str = "client0";
/// And towards machines.
pub(super) const BACKEND_ARM: &str = "backend0";

/// The client's number on its segment.
const CLIENT: u8 = 100;

impl Network {
    pub(super) fn build(options: &SiteOptions) -> Result<Network> {
        let owner = &options.owner;
        let wires = Namespace::create(owner, "wires")?;
        let clients = Segment::new(&wires, "clients", 1)?;
        let backends = Segment::new(&wires, "backends", 2)?;
        let client = Namespace::create(owner, "client")?;
        clients.plug(&client, "eth0", CLIENT)?;
        let gateways = (1..=options.gateways).map(|number| {
            let gateway = Namespace::create(owner, &format!("gateway{number}"))?;
            clients.plug(&gateway, CLIENT_ARM, number)?;
            backends.plug(&gateway, BACKEND_ARM, number)?;
            Ok(gateway)
        });
        let gateways = gateways.collect::<Result<Vec<_>>>()?;
        let machines = (1..=options.machines).map(|number| machine(owner, &backends, number));
        let machines = machines.collect::<Result<Vec<_>>>()?;
        let folder = tempfile::Builder::new().prefix(&owner.name("site-")).tempdir()?;
        Ok(Network { client, gateways, machines, folder, _wires: wires })
    }

    /// The MAC of gateway `number` on the clients' segment.
    pub fn gateway_mac(number: u8) -> [u8; 6] {
        mac(1, number)
    }

    /// The client's addresses, IPv4 first.
    pub fn client_addresses() -> Vec<IpAddr> {
        hosts(1, CLIENT)
    }

    /// The name of gateway `number` as a Node.
    pub fn gateway_name(number: u8) -> String {
        format!("gateway-{number}")
    }

    /// The Node that machine `number` belongs to.
    pub fn node_of(number: u8) -> String {
        format!("node-{}", 1 + (number - 1) % 2)
    }

    /// The networks of Pods.
    pub fn pod_networks() -> [&'static str; 2] {
        ["10.2.0.0/16", "fd00:2::/64"]
    }

    /// Makes the gateway that is the Node `gateway` the way of a machine to everywhere; `None`: it has none but its segment.
    pub(super) fn lead_out(&self, machine: &Backend, gateway: Option<&str>) -> Result<()> {
        let number = |name: &&str| {
            (1..=self.gateways.len() as u8).find(|number| Network::gateway_name(*number) == **name)
        };
        let by =
            gateway.map(|name| number(&name).with_context(|| format!("{name} is no gateway"))).transpose()?;
        for family in ["-4", "-6"] {
            // There is none to be removed at first.
            let _none = machine.namespace.ip(&format!("{family} route del default"));
        }
        for address in by.map(|number| hosts(2, number)).into_iter().flatten() {
            machine.namespace.ip(&format!("route add default via {address}"))?;
        }
        Ok(())
    }

    /// All Nodes, with their status.
    pub(super) fn nodes(&self) -> Vec<Value> {
        let gateways = (1..=self.gateways.len() as u8).map(|number| {
            node(&Network::gateway_name(number), json!({"penstock.dev/gateway": ""}), &hosts(1, number))
        });
        let machines =
            (1..=2).map(|number| node(&Network::node_of(number), json!({}), &hosts(2, 200 + number)));
        gateways.chain(machines).collect()
    }
}

/// A bridge that everybody on a segment is plugged into.
struct Segment<'w> {
    wires: &'w Namespace,
    bridge: Bridge,
    name: &'static str,
    number: u8,
}

impl<'w> Segment<'w> {
    fn new(wires: &'w Namespace, name: &'static str, number: u8) -> Result<Segment<'w>> {
        let bridge = create_bridge(wires, name, 1500)?;
        Ok(Segment { wires, bridge, name, number })
    }

    /// Gives `namespace` an interface on the segment, as host `host`.
    fn plug(&self, namespace: &Namespace, interface: &str, host: u8) -> Result<()> {
        // An interface name has 15 characters.
        let port = format!("{}{host}", &self.name[..6]);
        let macs = [mac(self.number, host), mac(self.number + 0x80, host)];
        create_veth(
            (namespace, interface, macs[0]),
            (self.wires, &port, macs[1]),
            VethOptions { queues: 1, mtu: 1500 },
        )?;
        take_redirects(self.wires, &port)?;
        self.bridge.add(self.wires, &port)?;
        for address in hosts(self.number, host) {
            let nodad = if address.is_ipv6() { " nodad" } else { "" };
            namespace
                .ip(&format!("addr add {address}/{} dev {interface}{nodad}", Plan::prefix_len(address)))?;
        }
        Ok(())
    }
}

fn machine(owner: &Owner, backends: &Segment<'_>, number: u8) -> Result<Backend> {
    let namespace = Namespace::create(owner, &format!("machine{number}"))?;
    let addresses = Plan { families: Families::BOTH }.backend(number);
    backends.plug(&namespace, "eth0", 10 + number)?;
    Ok(Backend { number, namespace, addresses })
}

/// Host `host` of a segment, in both families; it reads the same in both.
fn hosts(segment: u8, host: u8) -> Vec<IpAddr> {
    let digits = u16::from(host);
    let digits = digits / 100 * 0x100 + digits / 10 % 10 * 0x10 + digits % 10;
    vec![
        IpAddr::from([10, segment, 0, host]),
        IpAddr::from([0xfd00, u16::from(segment), 0, 0, 0, 0, 0, digits]),
    ]
}

fn node(name: &str, mut labels: Value, addresses: &[IpAddr]) -> Value {
    labels[HOSTNAME] = name.into();
    let addresses = addresses.iter().map(|address| json!({"type": "InternalIP", "address": address}));
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {"addresses": addresses.collect::<Vec<_>>(), "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn mac(kind: u8, number: u8) -> [u8; 6] {
    [0x02, 0x70, 0x65, 0x6e, kind, number]
}
