//! Settings of the network stack that get in the way of a gateway, or of its own connections.

use super::super::{Check, Link, Machine};
use crate::{config::Config, routes::hints};

/// `rp_filter`: the way back must be by the same interface.
const STRICT: u8 = 1;

pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Check> {
    let mut checks = Vec::new();
    // The port range is the one hint that is about no interface.
    let about_node = hints::Node { interfaces: Vec::new(), ..machine.node.clone() };
    let hints = hints::hints(&hints::Intent::of(config), &about_node);
    checks.push(match hints.into_iter().next() {
        Some(hint) => Check::warn(hint.object, hint.message, hint.remedy),
        None => {
            Check::pass("net.ipv4.ip_local_port_range", "does not overlap snat.ports, or those are reserved")
        }
    });
    checks.push(Check::pass(
        "net.ipv4.ip_forward",
        match machine.forwards {
            true => "is on; what is ours never gets there, so it is not needed",
            false => "is off, and not needed",
        },
    ));
    checks.extend(reverse_path_filter(machine));
    checks.extend(arp(machine));
    checks
}

fn names(machine: &Machine, is_so: impl Fn(&Link) -> bool) -> Vec<&str> {
    machine.links.iter().filter(|(_, link)| is_so(link)).map(|(name, _)| name.as_str()).collect()
}

fn reverse_path_filter(machine: &Machine) -> Vec<Check> {
    let strict = names(machine, |link| link.rp_filter == STRICT);
    if strict.is_empty() {
        return vec![Check::pass("rp_filter", "is off, or loose")];
    }
    let check = |name: &str| {
        Check::warn(
            format!("net.ipv4.conf.{name}.rp_filter"),
            "is strict: the kernel drops what comes in by it from addresses whose way back is another interface",
            "run: sysctl -w net.ipv4.conf.all.rp_filter=2",
        )
    };
    strict.into_iter().map(check).collect()
}

/// One interface cannot answer for another.
fn arp(machine: &Machine) -> Option<Check> {
    if machine.links.len() < 2 {
        return None;
    }
    let lax = names(machine, |link| link.arp_ignore == 0 || link.arp_announce < 2);
    Some(match lax.is_empty() {
        true => {
            Check::pass("arp_ignore, arp_announce", "each interface answers and asks with its own addresses")
        }
        false => Check::warn(
            "arp_ignore, arp_announce",
            format!(
                "on {} the kernel answers ARP for addresses of other interfaces, and asks with them: where two share a \
                 segment, neighbours learn the wrong MAC",
                lax.join(", ")
            ),
            "run: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
        ),
    })
}
