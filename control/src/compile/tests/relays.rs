//! Addresses that have come from another gateway, in the tables.

use super::world::*;
use crate::compile::Relay;
use penstock_dataplane::{io::PortId, table, wire::EtherAddr};
use std::sync::Arc;

const SPEC: &str = "type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{port: 80}]";
const INGRESS: &str = "loadBalancer: {ingress: [{ip: 203.0.113.1}]}";

fn mac(last: u8) -> EtherAddr {
    EtherAddr([2, 0, 0, 0, 0, last])
}

#[test]
fn relays_leave_by_their_port_and_end() {
    let mut world = World::new();
    world.service_with("web", "", SPEC, INGRESS);
    let before = world.compile().snapshot;
    assert!(!before.v4.peers.is_relaying() && !before.v6.peers.is_relaying());

    let relay = |port| Relay { port: PortId(port), mac: mac(9) };
    world.environment.port_macs = [(PortId(1), mac(1))].into();
    world.environment.peers = [mac(8)].into();
    world.environment.relays =
        [(ip("203.0.113.1"), relay(1)), (ip("2001:db8::7"), relay(1)), (ip("203.0.113.2"), relay(2))].into();
    let now = world.compile().snapshot;
    let expected = table::Relay { port: PortId(1), source: mac(1), destination: mac(9) };
    assert_eq!(now.v4.peers.former_owner("203.0.113.1".parse().unwrap()), Some(&expected));
    assert_eq!(now.v6.peers.former_owner("2001:db8::7".parse().unwrap()), Some(&expected));
    let gone = now.v4.peers.former_owner("203.0.113.2".parse().unwrap());
    assert_eq!(gone, None, "its port has no MAC: the interface is gone");
    for peers in [8, 9] {
        assert!(now.v4.peers.have(mac(peers)) && now.v6.peers.have(mac(peers)), "{peers} is a gateway");
    }
    let same = world.compile().snapshot;
    assert!(Arc::ptr_eq(&now.v4.peers, &same.v4.peers), "what has not changed is shared");

    world.environment.relays.clear();
    let after = world.compile().snapshot;
    assert!(!after.v4.peers.is_relaying() && !after.v6.peers.is_relaying());
    assert!(after.v4.peers.have(mac(8)) && !after.v4.peers.have(mac(9)));
}
