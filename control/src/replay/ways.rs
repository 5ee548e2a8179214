//! What netlink would tell, for a machine that is not there.
//!
//! A backend is reached, in this order: as `replay.nextHops` says (the longest prefix wins); over the interface whose
//! `addresses` have it on-link; over the last interface with the backend role. What is not given is made up: our MAC on
//! port *n* is 02:00:00:00:00:*n*; a neighbour's is 02:01 and the last four bytes of its address; masqueraded flows come
//! from the interface's first address of the family, or from 192.0.2.1 and 2001:db8::1; the MTU is 1500.
//! A captured packet arrives on the interface that has its source on-link, else on the first one with the client role.

use crate::{
    config::{Config, Interface as ConfigInterface, ReplayNextHop},
    routes::{Interface, Mac, NodeAddress, View, Way, WayLink},
};
use imbl::OrdSet;
use penstock_dataplane::{
    io::PortId,
    wire::{EtherType, Ethernet, Family, V4, V6},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

const MTU: u16 = 1500;
const SOURCE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The view of the machine, with a way to each target.
pub(super) fn view(config: &Config, targets: &OrdSet<IpAddr>) -> View {
    let interfaces = config.interfaces.iter().enumerate();
    View {
        ways: targets.iter().map(|target| (*target, Arc::new(way(config, *target)))).collect(),
        addresses: interfaces
            .clone()
            .flat_map(|(port, interface)| addresses(port as u8, interface))
            .collect(),
        interfaces: interfaces
            .map(|(port, interface)| Interface { port: port as u8, name: interface.name.clone(), link: None })
            .collect(),
    }
}

fn addresses(port: u8, interface: &ConfigInterface) -> impl Iterator<Item = NodeAddress> {
    interface.addresses.iter().map(move |network| NodeAddress {
        interface: interface.name.clone(),
        port: Some(port),
        vlan: interface.vlan,
        address: network.addr(),
        prefix_len: network.prefix_len(),
        deprecated: false,
    })
}

fn way(config: &Config, target: IpAddr) -> Way {
    let matching = config.replay.next_hops.iter().filter(|hop| hop.destination.contains(&target));
    let given = matching.max_by_key(|hop| hop.destination.prefix_len());
    let port = given.map_or_else(|| egress(config, target), |hop| hop.interface);
    let interface = config.interfaces.get(port);
    let own = interface.and_then(|interface| {
        let mut addresses = interface.addresses.iter().map(|network| network.addr());
        addresses.find(|address| address.is_ipv4() == target.is_ipv4())
    });
    let made_up = if target.is_ipv4() { SOURCE_V4 } else { SOURCE_V6 };
    Way {
        link: Ok(WayLink {
            port: port as u8,
            source_mac: [2, 0, 0, 0, 0, port as u8],
            dest_mac: given.and_then(|hop| hop.mac).map_or_else(|| neighbour_mac(target), |mac| mac.0),
            vlan: interface.and_then(|interface| interface.vlan),
        }),
        source: given.and_then(|hop: &ReplayNextHop| hop.source).or(own).or(Some(made_up)),
        mtu: given.map_or(MTU, |hop| hop.mtu),
    }
}

/// The interface that has the target on-link, or the last one with backends behind it.
fn egress(config: &Config, target: IpAddr) -> usize {
    let with_backends = config.interfaces.iter().rposition(|interface| interface.roles.backend);
    on_link(config, target).or(with_backends).unwrap_or(0)
}

fn on_link(config: &Config, address: IpAddr) -> Option<usize> {
    config
        .interfaces
        .iter()
        .position(|interface| interface.addresses.iter().any(|network| network.contains(&address)))
}

fn neighbour_mac(address: IpAddr) -> Mac {
    let tail = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => v6.octets().last_chunk().copied().unwrap_or_default(),
    };
    [2, 1, tail[0], tail[1], tail[2], tail[3]]
}

/// The rule by which captured packets arrive.
pub(super) fn arrival(config: &Config) -> impl Fn(&[u8]) -> PortId + Send + use<> {
    let config = config.clone();
    let clients = config.interfaces.iter().position(|interface| interface.roles.client).unwrap_or(0);
    move |frame| PortId(source(frame).and_then(|source| on_link(&config, source)).unwrap_or(clients) as u8)
}

fn source(frame: &[u8]) -> Option<IpAddr> {
    let ethernet = Ethernet::parse(frame).ok()?;
    match ethernet.ether_type() {
        EtherType::IPV4 => {
            V4::parse(ethernet.payload()).ok().map(|_| V4::to_ip(V4::source(ethernet.payload())))
        }
        EtherType::IPV6 => {
            V6::parse(ethernet.payload()).ok().map(|_| V6::to_ip(V6::source(ethernet.payload())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_yaml(text, "test", "").unwrap()
    }

    #[test]
    fn what_is_given_comes_before_what_is_made_up() {
        let config = config(
            "interfaces: [{name: a, roles: [client], addresses: [192.0.2.254/24]}, {name: b, roles: [backend], addresses: [10.1.0.1/16, 'fd00::1/64']}]\n\
             replay: {nextHops: [{destination: 10.9.0.0/16, interface: a, mac: '02:00:00:00:00:99', source: 192.0.2.7, mtu: 1400}]}",
        );
        let target = |text: &str| way(&config, text.parse().unwrap());
        let given = target("10.9.1.1");
        assert_eq!((given.link.clone().unwrap().port, given.mtu), (0, 1400));
        assert_eq!(given.link.unwrap().dest_mac, [2, 0, 0, 0, 0, 0x99]);
        assert_eq!(given.source, Some("192.0.2.7".parse().unwrap()));
        let on_link = target("10.1.2.3");
        assert_eq!(on_link.link.unwrap().dest_mac, [2, 1, 10, 1, 2, 3]);
        assert_eq!(on_link.source, Some("10.1.0.1".parse().unwrap()));
        let nowhere = target("2001:db8:7::1");
        assert_eq!((nowhere.link.unwrap().port, nowhere.source), (1, Some("fd00::1".parse().unwrap())));
    }

    #[test]
    fn packets_arrive_where_their_source_is() {
        let config = config(
            "interfaces: [{name: a, roles: [client]}, {name: b, roles: [backend], addresses: [10.1.0.1/16]}]",
        );
        let frame = |source| {
            let mut bytes = Vec::new();
            let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4(source, [10, 96, 0, 1], 64)
                .udp(1, 2);
            builder.write(&mut bytes, &[]).unwrap();
            bytes
        };
        let arrival = arrival(&config);
        assert_eq!(arrival(&frame([10, 1, 3, 4])), PortId(1));
        assert_eq!(arrival(&frame([203, 0, 113, 4])), PortId(0));
        assert_eq!(arrival(&[1, 2, 3]), PortId(0));
    }
}
