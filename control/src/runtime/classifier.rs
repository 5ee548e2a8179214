//! What the classifier must know, from what was compiled and what the machine has: kept up to date, so that a change costs
//! what it changes.
//!
//! Every address of the node is one that masqueraded replies and NodePort traffic may come to: which of its ports are
//! ours is decided by the NodePorts and the SNAT range. An interface that is missing is left out until it is back.
//!
//! What backends send to clients that they see is ours only if what is no answer of a Service can be given back.

use crate::{compile::Captured, config::Config, routes::View};
use imbl::{OrdSet, ordset::DiffItem};
use penstock_dataplane::{
    io::PortId,
    xdp::{AddressFlags, ClassifierState, InterfaceEntry},
};
use std::{collections::BTreeSet, net::IpAddr};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// What `state` was made of.
    captured: Captured,
    state: ClassifierState,
}

impl Target {
    /// Takes in what was compiled and what the machine has, and returns the state that the classifier is to have.
    pub(super) fn update(
        &mut self,
        config: &Config,
        mut captured: Captured,
        view: &View,
        gives_back: bool,
    ) -> &ClassifierState {
        if !gives_back {
            captured.backends = OrdSet::new();
        }
        captured.node_addresses.extend(view.addresses.iter().map(|address| address.address));
        let old = std::mem::replace(&mut self.captured, captured);
        let new = &self.captured;
        let mut touched: BTreeSet<IpAddr> = BTreeSet::new();
        for (old, new) in [(&old.vips, &new.vips), (&old.backends, &new.backends)] {
            let differences = old.diff(new).map(|item| match item {
                DiffItem::Add(address) | DiffItem::Remove(address) => *address,
            });
            touched.extend(differences);
        }
        for (old, new) in [
            (&old.departed_vips, &new.departed_vips),
            (&old.node_addresses, &new.node_addresses),
            (&old.snat_addresses, &new.snat_addresses),
        ] {
            touched.extend(old.symmetric_difference(new));
        }
        for address in touched {
            match new.roles(address) {
                AddressFlags::NONE => drop(self.state.addresses.remove(&address)),
                roles => drop(self.state.addresses.insert(address, roles)),
            }
        }
        if (&old.node_ports, &old.departed_ports) != (&new.node_ports, &new.departed_ports) {
            self.state.node_ports = new.protocol_ports();
        }
        if old.backend_ports != new.backend_ports {
            self.state.backend_ports = new.backend_protocol_ports();
        }
        self.state.ranges =
            config.service_cidrs.iter().map(|cidr| (cidr.network(), cidr.prefix_len())).collect();
        self.state.snat_ports = config.snat.ports.clone();
        let interfaces = view.interfaces.iter().filter_map(|interface| {
            let link = interface.link.as_ref()?;
            let backend = config.interfaces.get(usize::from(interface.port))?.roles.backend;
            Some((link.index, InterfaceEntry { port: PortId(interface.port), backend }))
        });
        self.state.interfaces = interfaces.collect();
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IpFamily;
    use penstock_dataplane::table::Transport;
    use proptest::prelude::*;

    fn captured() -> impl Strategy<Value = Captured> {
        let addresses =
            || prop::collection::btree_set((0..8u8).prop_map(|n| IpAddr::from([10, 0, 0, n])), 0..5);
        let port = (0..4u16).prop_map(|port| (IpFamily::V4, Transport::Tcp, port));
        let ports = || prop::collection::btree_set(port.clone(), 0..3);
        let some = (addresses(), addresses(), addresses(), addresses(), addresses());
        (some, ports(), ports(), ports()).prop_map(
            |(addresses, node_ports, departed_ports, backend_ports)| Captured {
                vips: addresses.0.into_iter().collect(),
                departed_vips: addresses.1,
                node_addresses: addresses.2,
                node_ports: node_ports.into_iter().collect(),
                departed_ports,
                snat_addresses: addresses.3,
                backends: addresses.4.into_iter().collect(),
                backend_ports: backend_ports.into_iter().collect(),
            },
        )
    }

    proptest! {
        /// Whatever came before, the state is that of somebody who sees it for the first time.
        #[test]
        fn step_by_step_comes_to_the_same(steps in prop::collection::vec((captured(), any::<bool>()), 1..12)) {
            let config = Config::from_yaml("interfaces: [{name: any}]", "test", "n1").unwrap();
            let (mut target, view) = (Target::default(), View::default());
            for (captured, gives_back) in steps {
                let mut anew = Target::default();
                let expected = anew.update(&config, captured.clone(), &view, gives_back);
                prop_assert_eq!(target.update(&config, captured.clone(), &view, gives_back), expected);
                for (address, roles) in &expected.addresses {
                    let backends = captured.backends.contains(address) && gives_back;
                    prop_assert_eq!(roles.contains(AddressFlags::BACKEND), backends);
                    let is_vip = captured.vips.contains(address) || captured.departed_vips.contains(address);
                    prop_assert_eq!(roles.contains(AddressFlags::VIP), is_vip);
                }
            }
        }
    }
}
