//! Virtual Ethernet pairs and bridges.

use super::{Namespace, NetnsError, command::ip};

/// How a veth pair is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VethOptions {
    /// Queues for receiving and for sending, at both ends.
    pub queues: u16,
    /// MTU of both ends.
    pub mtu: u32,
}

impl Default for VethOptions {
    fn default() -> VethOptions {
        VethOptions { queues: 1, mtu: 1500 }
    }
}

/// A bridge in a namespace.
#[derive(Debug)]
pub struct Bridge {
    /// The interface's name.
    pub name: String,
}

/// Lays a cable between two namespaces; each end is a namespace, the interface's name in it and its MAC address.
/// Both ends are up afterwards, and neither leaves a checksum or a segmentation for hardware that is not there: a
/// receiver that reads frames raw sees what a wire would carry.
pub fn create_veth(
    a: (&Namespace, &str, [u8; 6]),
    b: (&Namespace, &str, [u8; 6]),
    options: VethOptions,
) -> Result<(), NetnsError> {
    let VethOptions { queues, mtu } = options;
    let end = |(namespace, name, mac): (&Namespace, &str, [u8; 6])| {
        format!(
            "name {name} netns {} address {} mtu {mtu} numtxqueues {queues} numrxqueues {queues}",
            namespace.name(),
            mac_text(mac)
        )
    };
    ip(&format!("link add {} type veth peer {}", end(a), end(b)))?;
    for (namespace, name, _) in [a, b] {
        // Segmentation offload depends on checksum offload, so the kernel switches it off with it.
        namespace.run(&["ethtool", "-K", name, "tx", "off"])?;
        namespace.ip(&format!("link set {name} up"))?;
    }
    Ok(())
}

/// Lets an end of a cable take what XDP redirects to the other end, as a NIC would take it off the wire: a veth does so only
/// while it polls, which GRO makes it do. No segments are joined all the same.
pub fn take_redirects(namespace: &Namespace, interface: &str) -> Result<(), NetnsError> {
    // Nothing is as short as what may be joined then.
    namespace.ip(&format!("link set {interface} gro_max_size 1"))?;
    namespace.run(&["ethtool", "-K", interface, "gro", "on"]).map(drop)
}

/// Makes a bridge that forwards at once and treats multicast as broadcast.
pub fn create_bridge(namespace: &Namespace, name: &str, mtu: u32) -> Result<Bridge, NetnsError> {
    namespace
        .ip(&format!("link add {name} mtu {mtu} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"))?;
    namespace.ip(&format!("link set {name} up"))?;
    Ok(Bridge { name: name.to_owned() })
}

impl Bridge {
    /// Plugs `port`, an interface of the same namespace, into the bridge. One core forwards all that comes by it, so that the
    /// bridge keeps the order of packets, as a switch does: left to itself, a veth hands each of them to the core that sent it,
    /// and a sender that is moved to another core overtakes itself.
    pub fn add(&self, namespace: &Namespace, port: &str) -> Result<(), NetnsError> {
        namespace.ip(&format!("link set {port} master {}", self.name))?;
        // Only a namespace's own programs see its interfaces in sysfs. A kernel without the file has one core alone.
        let first_core = format!(
            "for cores in /sys/class/net/{port}/queues/rx-*/rps_cpus; do [ ! -e $cores ] || echo 1 > $cores; done"
        );
        namespace.run(&["sh", "-c", &first_core]).map(drop)
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
