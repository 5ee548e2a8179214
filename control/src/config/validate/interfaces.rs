//! `interfaces`, and `replay`, which refers to them.

use super::{
    super::{
        raw::{self, List, WordOr},
        scalar,
        settings::{Interface, Queues, Replay, ReplayNextHop, Roles, XdpMode, ZeroCopy},
    },
    check::{list, number, parsed, word},
};
use crate::fault::Faults;

/// The dataplane's next hops name an interface in a byte, and the classifier's socket map has room for this many.
const MOST_INTERFACES: usize = 16;
/// Queues the classifier's socket map has room for, per interface.
const MOST_QUEUES: u64 = 64;
/// `IFNAMSIZ` less the terminating zero.
const LONGEST_NAME: usize = 15;

pub(super) fn interfaces(raw: List<raw::Interface>, faults: &mut Faults) -> Vec<Interface> {
    const NEEDED: &str = "at least one interface is needed, as [{name: eth0}]";
    let Some(raw) = raw else {
        if !faults.has("interfaces") {
            faults.add("interfaces", NEEDED);
        }
        return Vec::new();
    };
    if raw.is_empty() {
        faults.value("interfaces", "[]", NEEDED);
    }
    if raw.len() > MOST_INTERFACES {
        faults.value(
            "interfaces",
            format!("{} interfaces", raw.len()),
            format!("must be at most {MOST_INTERFACES}"),
        );
    }
    let mut interfaces: Vec<Interface> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let path = format!("interfaces[{index}]");
        let Some(raw) = raw else {
            if !faults.has(&path) {
                faults.value(&path, "null", "must be a map with at least a name");
            }
            continue;
        };
        let interface = interface(&path, raw, faults);
        if let Some(first) = interfaces.iter().position(|other| other.name == interface.name) {
            faults.value(
                format!("{path}.name"),
                format!("{:?}", interface.name),
                format!("is interfaces[{first}] already; an interface for both sides has both roles"),
            );
        }
        interfaces.push(interface);
    }
    for (role, any) in [
        ("client", interfaces.iter().any(|i| i.roles.client)),
        ("backend", interfaces.iter().any(|i| i.roles.backend)),
    ] {
        if !any && !interfaces.is_empty() && faults.is_empty() {
            faults.add(
                "interfaces",
                format!("no interface has the role {role}; one must (leave roles out for both)"),
            );
        }
    }
    one_bind_mode(&interfaces, faults);
    interfaces
}

/// What one interface says of zero-copy holds for those that leave it open.
fn one_bind_mode(interfaces: &[Interface], faults: &mut Faults) {
    let find = |wanted| interfaces.iter().position(|interface| interface.zero_copy == wanted);
    if let (Some(on), Some(off)) = (find(ZeroCopy::On), find(ZeroCopy::Off)) {
        faults.value(
            format!("interfaces[{off}].zeroCopy"),
            "\"off\"",
            format!(
                "is not possible beside interfaces[{on}].zeroCopy: on, since the sockets of a worker share their \
                 memory, which the kernel drives in one way; use the same or auto"
            ),
        );
    }
}

fn interface(path: &str, raw: raw::Interface, faults: &mut Faults) -> Interface {
    const MODES: [(&str, XdpMode); 3] =
        [("auto", XdpMode::Auto), ("native", XdpMode::Native), ("generic", XdpMode::Generic)];
    const ZERO_COPY: [(&str, ZeroCopy); 3] =
        [("auto", ZeroCopy::Auto), ("on", ZeroCopy::On), ("off", ZeroCopy::Off)];
    let at = |field: &str| format!("{path}.{field}");
    let mode = word(&at("mode"), raw.mode, &MODES, XdpMode::Auto, faults);
    let zero_copy = word(&at("zeroCopy"), raw.zero_copy, &ZERO_COPY, ZeroCopy::Auto, faults);
    if mode == XdpMode::Generic && zero_copy == ZeroCopy::On {
        faults.value(at("zeroCopy"), "\"on\"", "is not possible in generic mode; use mode native or auto");
    }
    let untagged = "leave it out for untagged traffic";
    let vlan = raw.vlan.map(|id| number(&at("vlan"), Some(id), 1..=4094, 1, untagged, faults) as u16);
    Interface {
        name: name(&at("name"), raw.name, faults),
        roles: roles(&at("roles"), raw.roles, faults),
        queues: queues(&at("queues"), raw.queues, faults),
        mode,
        zero_copy,
        addresses: list(&at("addresses"), raw.addresses, scalar::interface_address, faults),
        vlan,
    }
}

fn name(path: &str, raw: Option<String>, faults: &mut Faults) -> String {
    let Some(name) = raw else {
        if !faults.has(path) {
            faults.add(path, "is needed: the interface's name in the kernel, as eth0 (see `ip link`)");
        }
        return String::new();
    };
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
    if name.is_empty() || name.len() > LONGEST_NAME || name == "." || name == ".." || !name.chars().all(legal)
    {
        faults.value(
            path,
            format!("{name:?}"),
            format!("must be an interface's name: 1 to {LONGEST_NAME} bytes without blanks, '/' and ':' (see `ip link`)"),
        );
    }
    name
}

fn roles(path: &str, raw: List<String>, faults: &mut Faults) -> Roles {
    let Some(raw) = raw else { return Roles { client: true, backend: true } };
    if raw.is_empty() {
        faults.value(path, "[]", "must name a role; leave it out for both");
    }
    let parser = |word: &str| match word {
        "client" => Ok((true, false)),
        "backend" => Ok((false, true)),
        _ => Err("must be client or backend"),
    };
    let roles = list(path, Some(raw), parser, faults);
    Roles { client: roles.iter().any(|role| role.0), backend: roles.iter().any(|role| role.1) }
}

fn queues(path: &str, raw: Option<WordOr<raw::QueueRange>>, faults: &mut Faults) -> Queues {
    match raw {
        None => Queues::All,
        Some(WordOr::Word(word)) if word == "all" => Queues::All,
        Some(WordOr::Word(word)) => {
            faults.value(path, format!("{word:?}"), "must be all, or a range as {first: 0, count: 2}");
            Queues::All
        }
        Some(WordOr::Map(range)) => {
            let first = number(&format!("{path}.first"), range.first, 0..=MOST_QUEUES - 1, 0, "", faults);
            let most = MOST_QUEUES - first;
            let remedy = "leave it out to use all queues";
            match range.count {
                None if first == 0 => Queues::All,
                None => {
                    faults.add(format!("{path}.count"), "is needed where first is given");
                    Queues::All
                }
                Some(count) => Queues::Range {
                    first: first as u32,
                    count: number(&format!("{path}.count"), Some(count), 1..=most, 1, remedy, faults) as u32,
                },
            }
        }
    }
}

pub(super) fn replay(raw: raw::Replay, interfaces: &[Interface], faults: &mut Faults) -> Replay {
    let mut next_hops = Vec::new();
    for (index, hop) in raw.next_hops.unwrap_or_default().into_iter().enumerate() {
        let path = format!("replay.nextHops[{index}]");
        match hop {
            Some(hop) => next_hops.extend(next_hop(&path, hop, interfaces, faults)),
            None if faults.has(&path) => {}
            None => faults.value(&path, "null", "must be a map with destination and interface"),
        }
    }
    Replay { next_hops }
}

fn next_hop(
    path: &str,
    raw: raw::NextHop,
    interfaces: &[Interface],
    faults: &mut Faults,
) -> Option<ReplayNextHop> {
    let at = |field: &str| format!("{path}.{field}");
    let (has_destination, has_interface) = (raw.destination.is_some(), raw.interface.is_some());
    let destination = parsed(&at("destination"), raw.destination, scalar::cidr, faults);
    let known = |name: &str| match interfaces.iter().position(|interface| interface.name == name) {
        Some(index) => Ok(index),
        None => {
            let names: Vec<_> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
            Err(format!("must be one of interfaces: {}", names.join(", ")))
        }
    };
    let interface = parsed(&at("interface"), raw.interface, known, faults);
    for (field, given) in [("destination", has_destination), ("interface", has_interface)] {
        if !given && !faults.has(&at(field)) {
            faults.add(at(field), "is needed");
        }
    }
    let mac = parsed(&at("mac"), raw.mac, scalar::mac, faults);
    let source = parsed(&at("source"), raw.source, scalar::address, faults);
    let mtu = number(&at("mtu"), raw.mtu, 1280..=9216, 1500, "", faults) as u16;
    let (destination, interface) = (destination?, interface?);
    if let Some(source) = source.filter(|source| source.is_ipv4() != destination.addr().is_ipv4()) {
        faults.value(at("source"), source, format!("must be of the family of destination {destination}"));
    }
    Some(ReplayNextHop { destination, interface, mac, source, mtu })
}
