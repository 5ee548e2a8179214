//! From the state to the view: look-ups, of which [`Targets`](super::targets::Targets) remembers what came out.

use std::net::IpAddr;

use super::facts::{Answer, Link, NeighbourKey, NeighbourState, Via};
use super::state::{Place, State};
use super::view::{Interface, LinkStatus, Mac, NodeAddress, Unresolved, View, Way, WayLink};

/// The MTU of a way of which nothing is known.
const DEFAULT_MTU: u16 = 1500;

impl State {
    /// Everything that follows from what is known now. Only those ways are drawn again that may be other ones.
    pub(super) fn view(&mut self) -> View {
        let mut targets = std::mem::take(&mut self.targets);
        let ways = targets.ways(|answer| self.way(answer));
        self.targets = targets;
        View { ways, addresses: self.node_addresses(), interfaces: self.interfaces() }
    }

    /// The same, drawn from nothing.
    #[cfg(test)]
    pub(super) fn view_anew(&self) -> View {
        let ways =
            self.targets.iter().map(|(target, answer)| (target, std::sync::Arc::new(self.way(answer))));
        let ways = ways.collect();
        View { ways, addresses: self.node_addresses(), interfaces: self.interfaces() }
    }

    fn way(&self, answer: Option<&Answer>) -> Way {
        let via = match answer {
            None => return no_way(Unresolved::LookingUp),
            Some(Answer::Refused(reason)) => return no_way(reason.clone()),
            Some(Answer::Via(via)) => via,
        };
        let egress = match self.egress(via) {
            Ok(egress) => egress,
            Err(reason) => return Way { source: via.source, ..no_way(reason) },
        };
        let mtu = via.mtu.unwrap_or(u32::MAX).min(egress.link.mtu).min(egress.device.mtu);
        Way {
            link: self.neighbour_mac(&egress, via).map(|dest_mac| WayLink {
                port: egress.port,
                source_mac: egress.mac,
                dest_mac,
                vlan: egress.vlan,
            }),
            source: via.source,
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
        }
    }

    /// The interface a route leaves by, if we can send there.
    fn egress(&self, via: &Via) -> Result<Egress<'_>, Unresolved> {
        let Some(link) = self.links.get(&via.interface) else {
            return Err(self.foreign(via.interface, format!("interface {}", via.interface)));
        };
        let interface = || link.name.clone();
        let (port, vlan, device) = match self.place(link) {
            Place::Port { port, vlan, device } => (port, vlan, device),
            Place::Stack => return Err(Unresolved::VlanStack { interface: interface() }),
            Place::Foreign => return Err(self.foreign(link.index, interface())),
        };
        if !link.running || !device.running {
            return Err(Unresolved::InterfaceDown { interface: interface() });
        }
        let Some(mac) = link.mac else { return Err(Unresolved::NotEthernet { interface: interface() }) };
        Ok(Egress { link, device, port, vlan, mac })
    }

    fn foreign(&self, index: u32, interface: String) -> Unresolved {
        let enslaved = |name: &&String| self.link_named(name).is_some_and(|link| link.master == Some(index));
        let ports = self.ports.iter().map(|(_, name)| name).filter(enslaved).cloned().collect();
        Unresolved::ForeignInterface { interface, ports }
    }

    fn neighbour_mac(&self, egress: &Egress<'_>, via: &Via) -> Result<Mac, Unresolved> {
        let key = NeighbourKey { interface: via.interface, address: via.next_hop };
        let (next_hop, interface) = (via.next_hop, egress.link.name.clone());
        match self.neighbours.get(&key).map(|neighbour| (neighbour.state, neighbour.mac)) {
            Some((NeighbourState::Valid | NeighbourState::Stale | NeighbourState::Fixed, Some(mac))) => {
                Ok(mac)
            }
            _ => Err(match self.asks.refusal(key) {
                Some(error) => Unresolved::NeighbourRefused { next_hop, interface, error: error.to_owned() },
                None if self.silent.contains(&key) => Unresolved::NeighbourSilent { next_hop, interface },
                None => Unresolved::NeighbourPending { next_hop, interface },
            }),
        }
    }

    /// The neighbours that the targets' routes lead to, by interfaces that can be sent on.
    pub(super) fn next_hops(&self) -> std::collections::BTreeSet<NeighbourKey> {
        let reachable = self.targets.distinct().filter(|answer| match answer {
            Answer::Via(via) => self.egress(via).is_ok(),
            Answer::Refused(_) => false,
        });
        reachable.filter_map(Answer::next_hop).collect()
    }

    fn node_addresses(&self) -> Vec<NodeAddress> {
        let usable = self.addresses.iter().filter(|(_, facts)| facts.global && !facts.unusable);
        let mut addresses: Vec<_> = usable
            .filter_map(|(key, facts)| {
                let link = self.links.get(&key.interface)?;
                let (port, vlan) = match self.place(link) {
                    Place::Port { port, vlan, .. } => (Some(port), vlan),
                    Place::Stack | Place::Foreign => (None, None),
                };
                Some(NodeAddress {
                    interface: link.name.clone(),
                    port,
                    vlan,
                    address: key.address,
                    prefix_len: key.prefix_len,
                    deprecated: facts.deprecated,
                })
            })
            .collect();
        addresses.sort();
        addresses
    }

    fn interfaces(&self) -> Vec<Interface> {
        let status = |link: &Link| LinkStatus {
            index: link.index,
            mac: link.mac,
            mtu: link.mtu,
            up: link.running,
            rx_queues: link.rx_queues,
            tx_queues: link.tx_queues,
        };
        (self.ports.iter())
            .map(|(port, name)| Interface {
                port: *port,
                name: name.clone(),
                link: self.link_named(name).map(status),
            })
            .collect()
    }

    fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }
}

/// A way out as far as the interface.
struct Egress<'a> {
    /// The interface of the route.
    link: &'a Link,
    /// The configured interface under it, or the same.
    device: &'a Link,
    port: u8,
    vlan: Option<u16>,
    mac: Mac,
}

fn no_way(reason: Unresolved) -> Way {
    Way { link: Err(reason), source: None::<IpAddr>, mtu: DEFAULT_MTU }
}
