//! One interface, as /sys and ethtool show it.

use super::{ethtool, processors, root::Root};
use crate::{lane::Features, rss};
use penstock_dataplane::table::HashedFields;

/// An XDP program that is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpProgram {
    /// The kernel's number, as `bpftool prog` lists it.
    pub id: u32,
    /// It runs in the stack, not in the driver.
    pub generic: bool,
}

/// Offloads that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// The NIC joins received segments.
    pub lro: bool,
    /// The kernel does.
    pub gro: bool,
    /// The NIC takes VLAN tags off.
    pub rx_vlan: bool,
    /// Checksums are left to the NIC.
    pub tx_checksum: bool,
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of it.
    pub index: u32,
    /// The largest packet, in bytes of IP.
    pub mtu: u32,
    /// Administratively up, with a carrier.
    pub up: bool,
    /// Receive queues in use.
    pub rx_queues: u32,
    /// Transmit queues in use.
    pub tx_queues: u32,
    /// The driver.
    pub driver: Option<String>,
    /// The memory node that it is on.
    pub node: Option<usize>,
    /// Whether its interrupts stay off between two busy polls.
    pub defers_interrupts: bool,
    /// The bridge or bond that it is enslaved to.
    pub master: Option<String>,
    /// `rp_filter`: the stricter of its own and that of all interfaces.
    pub rp_filter: u8,
    /// `arp_ignore`, likewise.
    pub arp_ignore: u8,
    /// `arp_announce`, likewise.
    pub arp_announce: u8,
    /// VLAN interfaces above it.
    pub vlans: Vec<String>,
    /// The XDP program on it.
    pub xdp: Option<XdpProgram>,
    /// Its offloads.
    pub offloads: Option<Offloads>,
    /// What it can do with XDP, as the kernel tells.
    pub features: Option<Features>,
    /// What is hashed to choose a receive queue (RSS).
    pub hashed: HashedFields,
    /// The receive queue of each entry of the indirection table (RSS).
    pub indirection: Option<Vec<u32>>,
}

/// `IFF_UP` of linux/if.h.
const IFF_UP: u32 = 1;

impl Link {
    /// Reads it; `None` if there is no such interface.
    pub(super) fn read(root: &Root, name: &str) -> Option<Self> {
        let folder = format!("sys/class/net/{name}");
        let index = root.number(&format!("{folder}/ifindex"))?;
        let queues = root.names(&format!("{folder}/queues"));
        let count = |prefix: &str| queues.iter().filter(|queue| queue.starts_with(prefix)).count() as u32;
        let flags = root.text(&format!("{folder}/flags"));
        let flags = flags.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        // Virtual interfaces that know of no carrier are "unknown".
        let running = matches!(root.text(&format!("{folder}/operstate")).as_deref(), Some("up" | "unknown"));
        let set = |name: &str| root.number::<u64>(&format!("{folder}/{name}")).is_some_and(|value| value > 0);
        let conf = |key: &str| -> u8 {
            let of = |scope: &str| root.number(&format!("proc/sys/net/ipv4/conf/{scope}/{key}")).unwrap_or(0);
            of("all").max(of(name))
        };
        let told = if root.is_live() { ethtool::ask(name) } else { ethtool::Ethtool::default() };
        Some(Self {
            index,
            mtu: root.number(&format!("{folder}/mtu")).unwrap_or(0),
            up: running && flags.is_none_or(|flags| flags & IFF_UP != 0),
            rx_queues: count("rx-"),
            tx_queues: count("tx-"),
            driver: device_driver(root, name).or(told.driver),
            node: processors::node_of(root, name),
            defers_interrupts: set("gro_flush_timeout") && set("napi_defer_hard_irqs"),
            master: root.link_name(&format!("{folder}/master")),
            rp_filter: conf("rp_filter"),
            arp_ignore: conf("arp_ignore"),
            arp_announce: conf("arp_announce"),
            vlans: vlans(root, name),
            xdp: None,
            offloads: told.offloads,
            features: None,
            hashed: if root.is_live() { rss::hashed_fields(name) } else { HashedFields::default() },
            indirection: told.indirection,
        })
    }
}

/// The driver of an interface of this machine, if it is known.
pub(crate) fn driver(name: &str) -> Option<String> {
    device_driver(&Root::machine(), name).or_else(|| ethtool::ask(name).driver)
}

fn device_driver(root: &Root, name: &str) -> Option<String> {
    root.link_name(&format!("sys/class/net/{name}/device/driver"))
}

/// VLAN interfaces above `name`: lines of /proc/net/vlan/config as "eth0.7 | 7 | eth0".
fn vlans(root: &Root, name: &str) -> Vec<String> {
    let table = root.text("proc/net/vlan/config").unwrap_or_default();
    let above = |line: &str| {
        let mut columns = line.split('|').map(str::trim);
        let vlan = columns.next()?;
        (columns.nth(1)? == name).then(|| vlan.to_owned())
    };
    table.lines().filter_map(above).collect()
}
