//! The machine, as far as a gateway depends on it: plain facts, read once.

use super::{
    Link, Root, netlink,
    processors::{self, Nodes, cores},
};
use crate::{
    config::Config,
    lane::Netdev,
    routes::{Interface, LinkStatus, hints},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::PathBuf,
};

/// The device by which packets go back to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tun {
    /// It can be opened.
    Usable,
    /// There is none.
    Missing,
    /// It is there, but not for us.
    Refused(String),
}

/// The facts. What could not be read is `None`, or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its release, as `6.1.0-18-amd64`.
    pub kernel: String,
    /// Effective capabilities of this process, a bit each.
    pub capabilities: u64,
    /// The soft limit of locked memory in bytes; `None`: unlimited.
    pub memlock: Option<u64>,
    /// Where BPF file systems are mounted.
    pub bpffs: Vec<PathBuf>,
    /// Memory that can be had, in bytes; `None`: it is not told.
    pub memory: Option<u64>,
    /// Something is pinned at `pinPath`.
    pub pinned: bool,
    /// The TUN device.
    pub tun: Tun,
    /// Sysctls can be written here: not in most containers.
    pub sysctls_writable: bool,
    /// The reverse path filter that penstock0 is born with, or that of all interfaces if stricter.
    pub rp_filter_of_new: u8,
    /// Whether the kernel forwards IPv4.
    pub forwards: bool,
    /// Free huge pages of 2 MiB.
    pub huge_pages: u64,
    /// Processors that run.
    pub online: BTreeSet<usize>,
    /// Processors that the scheduler leaves alone.
    pub isolated: BTreeSet<usize>,
    /// The memory nodes and their processors.
    pub nodes: Nodes,
    /// irqbalance moves interrupts about.
    pub irqbalance: bool,
    /// An appliance answers on the configured socket.
    pub appliance: bool,
    /// The configured interfaces that exist.
    pub links: BTreeMap<String, Link>,
    /// The same facts as the appliance looks at when it starts.
    pub node: hints::Node,
}

impl Machine {
    /// Reads everything.
    pub fn read(root: &Root, config: &Config) -> Self {
        let mut links = BTreeMap::new();
        for interface in &config.interfaces {
            if let Some(link) = Link::read(root, &interface.name) {
                links.insert(interface.name.clone(), link);
            }
        }
        if root.is_live() {
            let netdev = Netdev::open();
            for link in links.values_mut() {
                let told = netdev.as_ref().and_then(|netdev| netdev.features(link.index).ok());
                link.features = told.flatten();
            }
            for (name, program) in netlink::xdp_programs() {
                if let Some(link) = links.get_mut(&name) {
                    link.xdp = Some(program);
                }
            }
        }
        let interfaces: Vec<Interface> = config
            .interfaces
            .iter()
            .enumerate()
            .map(|(port, interface)| Interface {
                port: port as u8,
                name: interface.name.clone(),
                link: links.get(&interface.name).map(status),
            })
            .collect();
        let node = hints::Node::read_under(&root.path(""), &interfaces);
        let appliance = UnixStream::connect(&config.socket).is_ok();
        let pinned = std::fs::exists(root.path(&config.pin_path.to_string_lossy())).unwrap_or(false);
        Self { links, node, appliance, pinned, ..Self::without_interfaces(root) }
    }

    /// Reads what does not depend on a configuration.
    pub fn without_interfaces(root: &Root) -> Self {
        let conf = |scope: &str| -> u8 {
            root.number(&format!("proc/sys/net/ipv4/conf/{scope}/rp_filter")).unwrap_or(0)
        };
        let mounts = root.text("proc/self/mounts").unwrap_or_default();
        Self {
            kernel: root.text("proc/sys/kernel/osrelease").unwrap_or_default(),
            capabilities: capabilities(&root.text("proc/self/status").unwrap_or_default()),
            memlock: memlock(&root.text("proc/self/limits").unwrap_or_default()),
            bpffs: bpffs(&mounts),
            memory: available(&root.text("proc/meminfo").unwrap_or_default()),
            pinned: false,
            tun: tun(root),
            sysctls_writable: sysctls_writable(&mounts),
            rp_filter_of_new: conf("default").max(conf("all")),
            forwards: root.text("proc/sys/net/ipv4/ip_forward").as_deref() == Some("1"),
            huge_pages: root.number("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap_or(0),
            online: cores(&root.text("sys/devices/system/cpu/online").unwrap_or_default()),
            isolated: processors::isolated(root),
            nodes: processors::nodes(root),
            irqbalance: root
                .names("proc")
                .iter()
                .filter(|name| name.parse::<u32>().is_ok())
                .any(|process| root.text(&format!("proc/{process}/comm")).as_deref() == Some("irqbalance")),
            appliance: false,
            links: BTreeMap::new(),
            node: hints::Node::default(),
        }
    }
}

fn status(link: &Link) -> LinkStatus {
    LinkStatus {
        index: link.index,
        mac: None,
        mtu: link.mtu,
        up: link.up,
        rx_queues: link.rx_queues,
        tx_queues: link.tx_queues,
    }
}

/// `CapEff: 000001ffffffffff`
fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// `Max locked memory         8388608              8388608              bytes`
fn memlock(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `bpf /sys/fs/bpf bpf rw,nosuid 0 0`
fn bpffs(mounts: &str) -> Vec<PathBuf> {
    let columns = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    columns.filter(|line| line.get(2) == Some(&"bpf")).map(|line| PathBuf::from(line[1])).collect()
}

/// `MemAvailable:    8388608 kB`
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn tun(root: &Root) -> Tun {
    let path = root.path("dev/net/tun");
    let Ok(found) = path.metadata() else { return Tun::Missing };
    if !found.file_type().is_char_device() && root.is_live() {
        return Tun::Missing;
    }
    match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(_) => Tun::Usable,
        Err(error) => Tun::Refused(error.to_string()),
    }
}

/// The options of what is mounted last at /proc/sys, or else at /proc, do not begin with "ro".
fn sysctls_writable(mounts: &str) -> bool {
    let options = |place: &str| {
        let at = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(place))?;
        at.split(' ').nth(3).map(|options| options.split(',').any(|option| option == "ro"))
    };
    !options("/proc/sys").or_else(|| options("/proc")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(capabilities("Name:\tx\nCapEff:\t00000000000000c0\n"), 0xc0);
        assert_eq!(
            memlock("Max locked memory         8388608              8388608              bytes"),
            Some(8_388_608)
        );
        assert_eq!(
            memlock("Max locked memory         unlimited            unlimited            bytes"),
            None
        );
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:       8 kB"), Some(8192));
        assert_eq!(
            bpffs("proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0"),
            [PathBuf::from("/sys/fs/bpf")]
        );
        assert!(sysctls_writable("proc /proc proc rw,nosuid 0 0"));
        assert!(!sysctls_writable("proc /proc proc rw 0 0\nproc /proc/sys proc ro,nosuid 0 0"));
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::without_interfaces(&Root::machine());
        assert!(machine.kernel.contains('.') && machine.online.contains(&0), "{machine:?}");
    }
}
