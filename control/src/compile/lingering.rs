//! What is kept only because established flows may use it: ways to gone backends and their ports, gone VIPs and ports.
//!
//! Whoever knows the flows looks which of it they use, and has the rest forgotten by [`Compiler::forget`]. Each item goes
//! by when it began to linger, so that one which was back in between is not forgotten for what was true before.

use super::{
    Compiler,
    capture::of_family,
    family::{FamilyTables, Shared},
};
use crate::model::IpFamily;
use penstock_dataplane::{table::Transport, wire::Family};
use std::{collections::BTreeMap, net::IpAddr};

/// See the module. The values say since when, in some order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lingering {
    /// Backend addresses.
    pub backends: BTreeMap<IpAddr, u64>,
    /// VIPs.
    pub vips: BTreeMap<IpAddr, u64>,
    /// Ports of node addresses.
    pub ports: BTreeMap<(IpFamily, Transport, u16), u64>,
    /// Ports that backends served on.
    pub backend_ports: BTreeMap<(IpFamily, Transport, u16), u64>,
}

impl Lingering {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        let Self { backends, vips, ports, backend_ports } = self;
        backends.is_empty() && vips.is_empty() && ports.is_empty() && backend_ports.is_empty()
    }
}

impl Compiler {
    /// What lingers.
    pub fn lingering(&self) -> Lingering {
        let mut lingering = Lingering::default();
        self.v4.add_lingering(IpFamily::V4, &mut lingering);
        self.v6.add_lingering(IpFamily::V6, &mut lingering);
        lingering
    }

    /// Lets go what no flow uses. What that changes is told by the next compilation.
    pub fn forget(&mut self, unused: &Lingering) {
        self.v4.forget(IpFamily::V4, unused, &mut self.shared);
        self.v6.forget(IpFamily::V6, unused, &mut self.shared);
    }
}

impl<F: Family> FamilyTables<F> {
    fn add_lingering(&self, family: IpFamily, lingering: &mut Lingering) {
        let address = |(address, order): (F::Addr, u64)| (F::to_ip(address), order);
        lingering.backends.extend(self.next_hops.lingering().map(address));
        lingering.vips.extend(self.departed.vips.iter().map(|(vip, order)| address((*vip, *order))));
        let ports = self.departed.ports.iter();
        lingering.ports.extend(ports.map(|((transport, port), order)| ((family, *transport, *port), *order)));
        let ports = self.backend_ports.lingering();
        lingering
            .backend_ports
            .extend(ports.map(|((transport, port), order)| ((family, transport, port), order)));
    }

    fn forget(&mut self, family: IpFamily, unused: &Lingering, shared: &mut Shared) {
        let mine = |(address, order): (&IpAddr, &u64)| Some((F::from_ip(*address)?, *order));
        self.next_hops.forget(unused.backends.iter().filter_map(mine), &mut shared.addresses);
        let port_of = |((of, transport, port), order): (&(IpFamily, Transport, u16), &u64)| {
            (*of == family).then_some(((*transport, *port), *order))
        };
        for port in self.backend_ports.forget(unused.backend_ports.iter().filter_map(port_of)) {
            shared.captured.backend_ports.remove(&of_family::<F>(&port));
        }
        self.departed.forget(unused.vips.iter().filter_map(mine), unused.ports.iter().filter_map(port_of));
    }
}
