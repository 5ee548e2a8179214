//! What a NIC does to packets before XDP sees them, or leaves undone.

use super::super::{Check, Link};
use crate::config::{self, XdpMode};

pub(super) fn check(interface: &config::Interface, link: &Link) -> Vec<Check> {
    let name = &interface.name;
    let Some(offloads) = link.offloads else { return Vec::new() };
    let mut checks = Vec::new();
    if offloads.lro {
        checks.push(Check::warn(
            name,
            "LRO joins segments to packets that fit no frame; drivers refuse native XDP then, or drop them",
            format!("run: ethtool -K {name} lro off"),
        ));
    }
    let tagged = interface.vlan.is_some() || !link.vlans.is_empty();
    if offloads.rx_vlan && tagged {
        checks.push(Check::warn(
            name,
            "VLANs are used, and the NIC takes tags off before XDP: tagged packets look untagged",
            format!("run: ethtool -K {name} rxvlan off"),
        ));
    }
    if offloads.gro && interface.mode == XdpMode::Generic {
        checks.push(Check::warn(
            name,
            "GRO joins segments before generic XDP, and what is longer than a frame is lost",
            format!("run: ethtool -K {name} gro off"),
        ));
    }
    if link.driver.as_deref() == Some("veth") {
        checks.push(Check::warn(
            name,
            "is a veth: what a kernel stack at its other end sends has unfinished checksums",
            "run at the other end, in its namespace: ethtool -K IF tx off",
        ));
    }
    if checks.is_empty() {
        checks.push(Check::pass(name, "offloads do no harm"));
    }
    checks
}
