//! What an operator wants to hear at start, before the first lost packet: settings of the node that contradict the
//! configuration. Each is a warning with its remedy; none keeps the appliance from running.
//!
//! [`hints`] is pure; [`Node::read`] gathers the facts from /proc and /sys. Receive offloads (GRO, LRO) are not
//! checked: the kernel tells of them by ethtool alone, and XDP in native mode switches LRO off or is refused.

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use super::view::{Interface, LinkStatus};
use crate::config::{self, Config, Queues};

/// Bytes of the Ethernet header and two VLAN tags.
const LINK_HEADER_BYTES: u32 = 14 + 2 * 4;
/// What the kernel keeps free before a packet in a frame (`XDP_PACKET_HEADROOM`).
const XDP_HEADROOM_BYTES: u32 = 256;

/// One warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it is about: an interface or a sysctl.
    pub object: String,
    /// What is wrong, and what follows from it.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.object, self.message, self.remedy)
    }
}

/// What is configured, as far as the node may contradict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The port range of SNAT, if it uses the node's own addresses; `None` with an address pool.
    pub snat_ports: Option<RangeInclusive<u16>>,
    /// The size of one packet buffer in bytes.
    pub frame_bytes: u32,
    /// Queues to be bound per port.
    pub queues: Vec<(u8, u32)>,
}

/// What the node says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// `net.ipv4.ip_local_port_range`, which also holds for IPv6.
    pub local_ports: Option<RangeInclusive<u16>>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub reserved_ports: Vec<RangeInclusive<u16>>,
    /// The configured interfaces.
    pub interfaces: Vec<Interface>,
    /// Receive and transmit queues in use, by interface name; more exact than what the links tell.
    pub queues: Vec<(String, u32, u32)>,
}

impl Intent {
    /// What a configuration intends.
    pub fn of(config: &Config) -> Self {
        let queues = |(port, interface): (usize, &config::Interface)| match interface.queues {
            Queues::All => None,
            Queues::Range { first, count } => Some((port as u8, first + count)),
        };
        Self {
            snat_ports: config.snat.addresses.is_empty().then(|| config.snat.ports.clone()),
            frame_bytes: config.umem.frame_size,
            queues: config.interfaces.iter().enumerate().filter_map(queues).collect(),
        }
    }
}

impl Node {
    /// Reads the facts. What cannot be read is left out, and not warned of.
    pub fn read(interfaces: &[Interface]) -> Self {
        Self::read_under(Path::new("/"), interfaces)
    }

    /// The same of the /proc and /sys below `root`.
    pub fn read_under(root: &Path, interfaces: &[Interface]) -> Self {
        let sysctl = |name: &str| fs::read_to_string(root.join("proc/sys/net/ipv4").join(name));
        let queues = |interface: &Interface| {
            let (rx, tx) = count_queues(&root.join("sys/class/net").join(&interface.name).join("queues"))?;
            Some((interface.name.clone(), rx, tx))
        };
        Self {
            local_ports: sysctl("ip_local_port_range").ok().and_then(|text| parse_pair(&text)),
            reserved_ports: sysctl("ip_local_reserved_ports").map_or(Vec::new(), |text| parse_ranges(&text)),
            interfaces: interfaces.to_vec(),
            queues: interfaces.iter().filter_map(queues).collect(),
        }
    }

    fn queues_of(&self, name: &str, link: &LinkStatus) -> (u32, u32) {
        let exact = self.queues.iter().find(|(interface, ..)| interface == name);
        exact.map_or((link.rx_queues, link.tx_queues), |&(_, rx, tx)| (rx, tx))
    }
}

/// All warnings, in a stable order.
pub fn hints(intent: &Intent, node: &Node) -> Vec<Hint> {
    let mut hints = Vec::new();
    hints.extend(snat_ports(intent, node));
    for interface in &node.interfaces {
        let Some(link) = interface.link else {
            hints.push(Hint {
                object: interface.name.clone(),
                message: "there is no such interface".into(),
                remedy: "correct its name, or create it: it is attached as soon as it appears".into(),
            });
            continue;
        };
        hints.extend(frame_size(intent, interface, &link));
        hints.extend(queue_count(intent, node, interface, &link));
    }
    hints
}

fn snat_ports(intent: &Intent, node: &Node) -> Option<Hint> {
    let snat = intent.snat_ports.as_ref()?;
    let local = node.local_ports.as_ref()?;
    let overlap = (*snat.start()).max(*local.start())..=(*snat.end()).min(*local.end());
    let reserved = |port: u16| node.reserved_ports.iter().any(|range| range.contains(&port));
    let first = overlap.clone().find(|&port| !reserved(port))?;
    let last = overlap.rev().find(|&port| !reserved(port))?;
    let mut ranges: Vec<String> = node.reserved_ports.iter().map(show_range).collect();
    ranges.push(show_range(snat));
    Some(Hint {
        object: "net.ipv4.ip_local_port_range".into(),
        message: format!(
            "the node's own connections may use source ports {}, which snat.ports ({}) takes: the answers to such \
             connections would go to the dataplane and be lost",
            show_range(&(first..=last)),
            show_range(snat)
        ),
        remedy: format!("run: sysctl -w net.ipv4.ip_local_reserved_ports={}", ranges.join(",")),
    })
}

fn frame_size(intent: &Intent, interface: &Interface, link: &LinkStatus) -> Option<Hint> {
    let need = XDP_HEADROOM_BYTES + LINK_HEADER_BYTES;
    let fits = intent.frame_bytes.saturating_sub(need);
    (link.mtu > fits).then(|| Hint {
        object: interface.name.clone(),
        message: format!(
            "packets of its MTU {} do not fit frames of {} bytes, of which {need} are needed for headers: larger \
             packets than {fits} would be lost, or the program refused",
            link.mtu, intent.frame_bytes
        ),
        remedy: match link.mtu + need {
            bytes if bytes <= 4096 => {
                format!(
                    "set frames to {} bytes, or run: ip link set {} mtu {fits}",
                    bytes.next_power_of_two(),
                    interface.name
                )
            }
            _ => format!("run: ip link set {} mtu {fits}", interface.name),
        },
    })
}

fn queue_count(intent: &Intent, node: &Node, interface: &Interface, link: &LinkStatus) -> Option<Hint> {
    let &(_, wanted) = intent.queues.iter().find(|(port, _)| *port == interface.port)?;
    let name = &interface.name;
    let (rx, tx) = node.queues_of(name, link);
    let (message, remedy) = if wanted > rx.min(tx) {
        let message = format!("{wanted} queues are configured, but it has {rx} to receive and {tx} to send");
        (message, format!("configure {} queues, or run: ethtool -L {name} combined {wanted}", rx.min(tx)))
    } else if rx > wanted {
        let message = format!(
            "it receives on {rx} queues, but only {wanted} are configured: packets for services that arrive on the \
             others are dropped"
        );
        (message, format!("configure {rx} queues, or run: ethtool -L {name} combined {wanted}"))
    } else {
        return None;
    };
    Some(Hint { object: name.clone(), message, remedy })
}

fn count_queues(folder: &Path) -> Option<(u32, u32)> {
    let (mut rx, mut tx) = (0, 0);
    for entry in fs::read_dir(folder).ok()?.flatten() {
        match entry.file_name().as_encoded_bytes() {
            [b'r', b'x', b'-', ..] => rx += 1,
            [b't', b'x', b'-', ..] => tx += 1,
            _ => {}
        }
    }
    Some((rx, tx))
}

/// "32768\t60999"
fn parse_pair(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Some(first..=last),
        _ => None,
    }
}

/// "8080,9148-9150"
fn parse_ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).collect()
}

fn show_range(range: &RangeInclusive<u16>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent() -> Intent {
        Intent { snat_ports: Some(61000..=65535), frame_bytes: 2048, queues: vec![(0, 2)] }
    }

    fn node() -> Node {
        let link =
            LinkStatus { index: 2, mac: Some([2; 6]), mtu: 1500, up: true, rx_queues: 2, tx_queues: 2 };
        Node {
            local_ports: Some(32768..=60999),
            reserved_ports: Vec::new(),
            interfaces: vec![Interface { port: 0, name: "eth0".into(), link: Some(link) }],
            queues: Vec::new(),
        }
    }

    fn only(hints: Vec<Hint>) -> Hint {
        assert_eq!(hints.len(), 1, "{hints:?}");
        hints.into_iter().next().unwrap()
    }

    #[test]
    fn a_node_with_defaults_gets_no_hint() {
        assert_eq!(hints(&intent(), &node()), []);
    }

    #[test]
    fn overlapping_port_ranges_name_the_ports_and_keep_what_is_reserved() {
        let node = Node { local_ports: Some(1024..=65000), reserved_ports: vec![8080..=8080], ..node() };
        let hint = only(hints(&intent(), &node));
        assert_eq!(hint.object, "net.ipv4.ip_local_port_range");
        assert!(hint.message.contains("61000-65000"), "{}", hint.message);
        assert_eq!(hint.remedy, "run: sysctl -w net.ipv4.ip_local_reserved_ports=8080,61000-65535");
    }

    #[test]
    fn reserved_ports_and_an_address_pool_silence_the_hint() {
        let overlapping = Node { local_ports: Some(1024..=65535), ..node() };
        let reserved = Node { reserved_ports: vec![60000..=63000, 63001..=65535], ..overlapping.clone() };
        assert_eq!(hints(&intent(), &reserved), []);
        assert_eq!(hints(&Intent { snat_ports: None, ..intent() }, &overlapping), []);
    }

    #[test]
    fn an_mtu_that_does_not_fit_is_told() {
        let mut node = node();
        node.interfaces[0].link.as_mut().unwrap().mtu = 1770;
        assert_eq!(hints(&intent(), &node), []);
        node.interfaces[0].link.as_mut().unwrap().mtu = 1771;
        assert!(only(hints(&intent(), &node)).remedy.contains("set frames to 4096 bytes"));
        node.interfaces[0].link.as_mut().unwrap().mtu = 9000;
        assert_eq!(only(hints(&intent(), &node)).remedy, "run: ip link set eth0 mtu 1770");
    }

    #[test]
    fn too_few_and_too_many_queues_are_told_by_the_exact_count() {
        let mut node = node();
        node.queues = vec![("eth0".into(), 1, 8)];
        assert!(only(hints(&intent(), &node)).message.contains("it has 1 to receive and 8 to send"));
        node.queues = vec![("eth0".into(), 8, 8)];
        assert!(only(hints(&intent(), &node)).remedy.contains("ethtool -L eth0 combined 2"));
    }

    #[test]
    fn a_missing_interface_is_told() {
        let mut node = node();
        node.interfaces[0].link = None;
        assert_eq!(only(hints(&intent(), &node)).message, "there is no such interface");
    }

    #[test]
    fn sysctl_texts_are_read() {
        assert_eq!(parse_pair("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(parse_pair("junk"), None);
        assert_eq!(parse_ranges("8080,9148-9150\n"), [8080..=8080, 9148..=9150]);
        assert_eq!(parse_ranges("\n"), []);
    }

    #[test]
    fn this_machine_can_be_read() {
        let interface = Interface { port: 0, name: "lo".into(), link: None };
        let node = Node::read(&[interface]);
        assert!(node.local_ports.is_some());
    }
}
