//! Each configured interface: is it there, can the classifier and the sockets be had, do packets and queues fit?

use super::super::{Check, Link, Machine, drivers};
use crate::{
    config::{self, Config, Queues, XdpMode, ZeroCopy},
    routes::hints,
};
use penstock_dataplane::{
    table::{Hashed, Transport},
    wire::{V4, V6},
};
use std::collections::BTreeSet;

pub(super) fn check(
    config: &Config,
    port: usize,
    interface: &config::Interface,
    machine: &Machine,
) -> Vec<Check> {
    let name = &interface.name;
    let Some(link) = machine.links.get(name) else {
        let field = format!("interfaces[{port}].name");
        return vec![Check::fail(
            name,
            format!("{field}: there is no such interface"),
            "`ip link` lists those there are",
        )];
    };
    let mut checks = vec![present(name, link)];
    checks.extend(other_program(name, link, machine.appliance));
    checks.extend(xdp(interface, link));
    checks.extend(queues(config, interface, link));
    let of_this = hints::Node {
        interfaces: machine.node.interfaces.iter().filter(|other| &other.name == name).cloned().collect(),
        local_ports: None,
        ..machine.node.clone()
    };
    let hints = hints::hints(&hints::Intent::of(config), &of_this);
    checks.extend(hints.into_iter().map(|hint| Check::warn(hint.object, hint.message, hint.remedy)));
    checks.extend(indirection(interface, link));
    checks.extend(hashed_ports(config, interface, link));
    checks
}

fn present(name: &str, link: &Link) -> Check {
    if let Some(master) = &link.master {
        return Check::warn(
            name,
            format!(
                "is enslaved to {master}: what is received here is delivered there, with the routes of {master}"
            ),
            format!("configure {master} instead, or take it out: ip link set {name} nomaster"),
        );
    }
    match link.up {
        true => Check::pass(name, format!("is up, MTU {}", link.mtu)),
        false => Check::warn(
            name,
            "is down, or has no carrier",
            format!("run: ip link set {name} up, and look at the cable"),
        ),
    }
}

fn xdp(interface: &config::Interface, link: &Link) -> Vec<Check> {
    let name = &interface.name;
    let mut checks = Vec::new();
    let driver = link.driver.as_deref().unwrap_or("unknown");
    let native = drivers::has_native_xdp(driver);
    checks.push(match (interface.mode, native) {
        (XdpMode::Native, false) => Check::warn(
            name,
            format!("mode: native is wanted, but its driver ({driver}) is not known to run XDP programs"),
            "set mode: auto, unless you know better",
        ),
        (XdpMode::Auto, false) => Check::warn(
            name,
            format!(
                "its driver ({driver}) is not known to run XDP programs: generic mode works, and is slower"
            ),
            "use a NIC whose driver has native XDP for speed",
        ),
        (XdpMode::Generic, _) => Check::pass(name, format!("driver {driver}, generic XDP as configured")),
        (_, true) => Check::pass(name, format!("driver {driver} has native XDP")),
    });
    let zero_copy = drivers::has_zero_copy(driver);
    checks.push(match (interface.zero_copy, zero_copy) {
        (ZeroCopy::On, false) => Check::warn(
            name,
            format!("zeroCopy: on is wanted, but its driver ({driver}) is not known to have it: the start may fail"),
            "set zeroCopy: auto",
        ),
        (ZeroCopy::Off, _) => Check::pass(name, "AF_XDP copies, as configured"),
        (ZeroCopy::On | ZeroCopy::Auto, true) => Check::pass(name, "AF_XDP without copying"),
        (ZeroCopy::Auto, false) => Check::pass(name, format!("AF_XDP copies: {driver} has nothing better")),
    });
    checks
}

/// One XDP program holds the place of another, unless it is the running appliance's own.
fn other_program(name: &str, link: &Link, appliance: bool) -> Option<Check> {
    let program = link.xdp?;
    let (id, mode) = (program.id, if program.generic { "generic" } else { "native" });
    Some(match appliance {
        true => Check::pass(name, format!("XDP program {id} is attached ({mode}), and an appliance runs")),
        false => Check::fail(
            name,
            format!("another XDP program is attached: {id} ({mode})"),
            format!(
                "stop what holds it (`bpftool net`, `bpftool prog show id {id}`), or run: ip link set dev {name} xdp{} off",
                if program.generic { "generic" } else { "" }
            ),
        ),
    })
}

/// As `runtime::packets` wants them.
fn queues(config: &Config, interface: &config::Interface, link: &Link) -> Vec<Check> {
    let (name, workers) = (&interface.name, config.workers.count);
    let there = link.rx_queues.max(1);
    let (first, count) = match interface.queues {
        Queues::All => (0, there),
        Queues::Range { first, count } => (first, count),
    };
    if first + count > there {
        return vec![Check::fail(
            name,
            format!("queues {first} to {} are configured, and it has {there} to receive", first + count - 1),
            "leave `queues` out to use all there are",
        )];
    }
    if (count as usize) < workers {
        return vec![Check::fail(
            name,
            format!("{workers} workers need a queue each, and it has {count}"),
            format!("run: ethtool -L {name} combined {workers}; or use fewer workers"),
        )];
    }
    vec![Check::pass(name, format!("{count} queues for {workers} workers"))]
}

/// Received packets that no socket is waiting for are lost.
fn indirection(interface: &config::Interface, link: &Link) -> Option<Check> {
    let name = &interface.name;
    let used: BTreeSet<u32> = link.indirection.as_ref()?.iter().copied().collect();
    let Queues::Range { first, count } = interface.queues else {
        return Some(Check::pass(name, format!("RSS spreads over {} queues", used.len())));
    };
    let outside: Vec<String> = used
        .iter()
        .filter(|queue| !(first..first + count).contains(queue))
        .map(ToString::to_string)
        .collect();
    Some(match outside.is_empty() {
        true => Check::pass(name, format!("RSS spreads over {} queues, all of them configured", used.len())),
        false => Check::warn(
            name,
            format!(
                "RSS sends packets to queue {}, which is not configured: Services lose them",
                outside.join(", ")
            ),
            match first {
                0 => format!("run: ethtool -X {name} equal {count}"),
                _ => format!("run: ethtool -X {name} start {first} equal {count}"),
            },
        ),
    })
}

/// Without ports in the hash, all UDP between two addresses comes on one queue: flows that are masqueraded to one backend
/// have one of each, so one worker receives the answers for all, and hands most of them over.
fn hashed_ports(config: &Config, interface: &config::Interface, link: &Link) -> Option<Check> {
    let name = &interface.name;
    if config.workers.count < 2 || link.rx_queues < 2 {
        return None;
    }
    let families =
        [("udp4", link.hashed.of::<V4>(Transport::Udp)), ("udp6", link.hashed.of::<V6>(Transport::Udp))];
    let told: Vec<_> = families.into_iter().filter(|(_, hashed)| *hashed != Hashed::Unknown).collect();
    if told.is_empty() {
        return None;
    }
    let lacking = told.iter().filter(|(_, hashed)| *hashed == Hashed::Addresses);
    let commands: Vec<_> =
        lacking.map(|(kind, _)| format!("ethtool -N {name} rx-flow-hash {kind} sdfn")).collect();
    Some(match commands.is_empty() {
        true => Check::pass(name, "RSS hashes the ports of UDP"),
        false => Check::warn(
            name,
            "RSS does not hash the ports of UDP: all that a backend answers comes to one worker",
            format!("run: {}", commands.join("; ")),
        ),
    })
}
