//! Netlink messages to plain data. Pure; a message that says nothing of use becomes `None`.
//!
//! `struct ifinfomsg`, `ifaddrmsg`, `ndmsg` and `rtmsg` are described in rtnetlink(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, VlanProtocol,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState as Nud,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::facts::{
    AddressFacts, AddressKey, Answer, Event, Link, Neighbour, NeighbourKey, NeighbourState, Via, Vlan,
};
use super::view::Unresolved;

/// What a notification, or one message of a dump, says.
pub(super) fn event(message: RouteNetlinkMessage) -> Option<Event> {
    use RouteNetlinkMessage as M;
    match message {
        M::NewLink(message) => link(message).map(Event::Link),
        M::DelLink(message) => concerns_device(&message).then_some(Event::LinkGone(message.header.index)),
        M::NewAddress(message) => address(&message).map(|(key, facts)| Event::Address(key, facts)),
        M::DelAddress(message) => address(&message).map(|(key, _)| Event::AddressGone(key)),
        M::NewNeighbour(message) => neighbour(&message).map(|(key, entry)| Event::Neighbour(key, entry)),
        M::DelNeighbour(message) => neighbour(&message).map(|(key, _)| Event::NeighbourGone(key)),
        M::NewRoute(message) | M::DelRoute(message) => route_prefix(&message).map(Event::Route),
        M::NewRule(_) | M::DelRule(_) => Some(Event::Rule),
        _ => None,
    }
}

/// A bridge tells of its ports with link messages of its own family, also when a port merely leaves it.
fn concerns_device(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

fn link(message: LinkMessage) -> Option<Link> {
    if !concerns_device(&message) {
        return None;
    }
    let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
    let (mut name, mut mtu, mut mac, mut master) = (None, None, None, None);
    let (mut lower, mut elsewhere, mut info) = (None, false, Vec::new());
    let (mut rx_queues, mut tx_queues) = (1, 1);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(value),
            LinkAttribute::Mtu(value) => mtu = Some(value),
            LinkAttribute::Address(bytes) if ethernet => mac = bytes.try_into().ok(),
            LinkAttribute::Controller(index) => master = Some(index),
            LinkAttribute::Link(index) => lower = Some(index),
            // The lower interface is in another namespace, where its index means something else.
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::LinkInfo(value) => info = value,
            LinkAttribute::NumRxQueues(value) => rx_queues = value,
            LinkAttribute::NumTxQueues(value) => tx_queues = value,
            _ => {}
        }
    }
    let running = message.header.flags.contains(LinkFlags::Up | LinkFlags::Running);
    Some(Link {
        index: message.header.index,
        // Some notifications (of wireless links) are partial and say nothing of use.
        name: name?,
        mac,
        mtu: mtu?,
        running,
        vlan: lower.filter(|_| !elsewhere).and_then(|lower| vlan(lower, &info)),
        master,
        rx_queues,
        tx_queues,
    })
}

fn vlan(lower: u32, info: &[LinkInfo]) -> Option<Vlan> {
    let data = info.iter().find_map(|part| match part {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
        _ => None,
    })?;
    let id = data.iter().find_map(|part| match part {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })?;
    let service_tag = data.contains(&InfoVlan::Protocol(VlanProtocol::Ieee8021Ad));
    Some(Vlan { lower, id, service_tag })
}

fn address(message: &AddressMessage) -> Option<(AddressKey, AddressFacts)> {
    let (mut local, mut peer) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // IPv4 tells both, which differ on a point-to-point link; IPv6 tells the local one only where they differ.
    let address = local.or(peer)?;
    let unproven = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    let key = AddressKey { interface: message.header.index, address, prefix_len: message.header.prefix_len };
    let facts = AddressFacts {
        global: matches!(message.header.scope, AddressScope::Universe | AddressScope::Site),
        unusable: unproven || flags.contains(AddressFlags::Dadfailed),
        deprecated: flags.contains(AddressFlags::Deprecated),
    };
    Some((key, facts))
}

fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Neighbour)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut address, mut mac, mut managed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            NeighbourAttribute::ExtFlags(flags) => managed = flags.contains(NeighbourExtFlags::Managed),
            _ => {}
        }
    }
    let state = match message.header.state {
        Nud::Permanent | Nud::Noarp => NeighbourState::Fixed,
        Nud::Reachable | Nud::Delay | Nud::Probe => NeighbourState::Valid,
        Nud::Stale => NeighbourState::Stale,
        Nud::Failed => NeighbourState::Failed,
        _ => NeighbourState::Incomplete,
    };
    let key = NeighbourKey { interface: message.header.ifindex, address: address? };
    Some((key, Neighbour { mac, state, managed }))
}

fn route_prefix(message: &RouteMessage) -> Option<IpNet> {
    if message.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let any: IpAddr = match message.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let destination = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    IpNet::new(destination.unwrap_or(any), message.header.destination_prefix_length).ok()
}

/// What a look-up of `target` answered.
pub(super) fn answer(target: IpAddr, message: &RouteMessage) -> Answer {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Answer::Refused(Unresolved::Local),
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
            return Answer::Refused(Unresolved::NotUnicast);
        }
        RouteType::BlackHole => return Answer::Refused(Unresolved::Blackhole),
        RouteType::Unreachable => return Answer::Refused(Unresolved::Unreachable),
        RouteType::Prohibit => return Answer::Refused(Unresolved::Prohibited),
        other => return Answer::Refused(Unresolved::LookUpFailed(format!("route of type {other:?}"))),
    }
    let (mut interface, mut next_hop, mut source, mut mtu) = (None, target, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(gateway) => next_hop = ip(gateway).unwrap_or(next_hop),
            // An IPv4 route by way of an IPv6 gateway (RFC 5549).
            RouteAttribute::Via(RouteVia::Inet(gateway)) => next_hop = IpAddr::V4(*gateway),
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => next_hop = IpAddr::V6(*gateway),
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => {
                return Answer::Refused(Unresolved::Encapsulated);
            }
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(bytes) if *bytes > 0 => Some(*bytes),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    match interface {
        Some(interface) => Answer::Via(Via { interface, next_hop, source, mtu }),
        None => Answer::Refused(Unresolved::LookUpFailed("the answer names no interface".into())),
    }
}

/// What an error in place of an answer means: the FIB reports its unreachable kinds of route that way.
pub(super) fn refusal(error: &std::io::Error) -> Unresolved {
    match error.raw_os_error() {
        Some(libc::ENETUNREACH) => Unresolved::NoRoute,
        Some(libc::EHOSTUNREACH) => Unresolved::Unreachable,
        Some(libc::EACCES) => Unresolved::Prohibited,
        Some(libc::EINVAL) => Unresolved::Blackhole,
        _ => Unresolved::LookUpFailed(error.to_string()),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

// The header's byte of flags holds the low bits of the attribute's.
const _: () = assert!(AddressHeaderFlags::Tentative.bits() as u32 == AddressFlags::Tentative.bits());

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
