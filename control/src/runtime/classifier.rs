//! What the classifier must know, from what was compiled and what the machine has.

use crate::{compile::Captured, config::Config, routes::View};
use penstock_dataplane::{
    io::PortId,
    xdp::{AddressFlags, ClassifierState, InterfaceEntry},
};
use std::collections::BTreeSet;

/// The classifier's state for these tables on this machine.
///
/// Every address of the node is one that masqueraded replies and NodePort traffic may come to: which of its ports are
/// ours is decided by the NodePorts and the SNAT range. An interface that is missing is left out until it is back.
///
/// What backends send to clients that they see is ours only if what is no answer of a Service can be `given_back`.
pub(super) fn state(config: &Config, captured: &Captured, view: &View, given_back: bool) -> ClassifierState {
    let mut addresses = match given_back {
        true => captured.address_flags(),
        false => Captured { backends: BTreeSet::new(), ..captured.clone() }.address_flags(),
    };
    for address in &view.addresses {
        *addresses.entry(address.address).or_insert(AddressFlags::NONE) |= AddressFlags::NODE;
    }
    let interfaces = view.interfaces.iter().filter_map(|interface| {
        let link = interface.link.as_ref()?;
        let backend = config.interfaces.get(usize::from(interface.port))?.roles.backend;
        Some((link.index, InterfaceEntry { port: PortId(interface.port), backend }))
    });
    ClassifierState {
        addresses,
        ranges: config.service_cidrs.iter().map(|cidr| (cidr.network(), cidr.prefix_len())).collect(),
        node_ports: captured.protocol_ports(),
        backend_ports: captured.backend_protocol_ports(),
        snat_ports: config.snat.ports.clone(),
        interfaces: interfaces.collect(),
    }
}
