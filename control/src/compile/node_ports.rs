//! The addresses NodePorts answer on (§3.8).
//!
//! Without configuration: every address of the node but loopback ones and VIPs bound to it, unless the Node object says
//! that such an address is the node's own. With CIDRs: those inside; a family without a CIDR is unrestricted, and so
//! is one with a CIDR of length zero. `primary`: what the Node object says; a family it says nothing of has none.

use super::environment::{Environment, prefix, primary};
use crate::{config::NodePortAddresses, model::Node};
use penstock_dataplane::{table::Prefix, wire::Family};
use std::collections::BTreeSet;

pub(super) fn node_port_addresses<F: Family>(
    environment: &Environment,
    host: &BTreeSet<F::Addr>,
    node: Option<&Node>,
    is_vip: &impl Fn(F::Addr) -> bool,
) -> BTreeSet<F::Addr> {
    let own = |address: F::Addr| {
        let mut addresses = node.into_iter().flat_map(|node| &node.addresses);
        addresses.any(|known| F::from_ip(known.addr) == Some(address))
    };
    let candidates = host.iter().copied().filter(|address| {
        let ip = F::to_ip(*address);
        !ip.is_loopback() && (own(*address) || !is_vip(*address))
    });
    match &environment.settings.node_port_addresses {
        NodePortAddresses::Primary => primary::<F>(node).into_iter().collect(),
        NodePortAddresses::Cidrs(cidrs) => {
            let unrestricted =
                cidrs.iter().any(|cidr| cidr.prefix_len() == 0 && prefix::<F>(*cidr).is_some());
            let allowed: Vec<Prefix<F>> = cidrs.iter().filter_map(|cidr| prefix(*cidr)).collect();
            let allows = |address: &F::Addr| {
                unrestricted || allowed.is_empty() || allowed.iter().any(|prefix| prefix.contains(*address))
            };
            candidates.filter(allows).collect()
        }
    }
}
