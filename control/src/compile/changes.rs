//! The difference between two compilations, and what the classifier should capture: plain data.

use crate::model::IpFamily;
use imbl::OrdSet;
use penstock_dataplane::{
    table::{BackendId, ServiceId, ServiceName, Transport},
    xdp::{AddressFlags, FamilyPort},
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// What is new and what is gone since the compilation before. Feeds logs, metrics and the retirement of flows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// New in this one.
    pub added: Items,
    /// Gone with this one. Their numbers rest until they are released.
    pub removed: Items,
    /// Service ports that stay, but differ.
    pub changed: Vec<ServiceRef>,
    /// UDP flows to be decided anew on their next packet.
    pub retired: Vec<Retired>,
}

impl Changes {
    /// Whether nothing happened to Services and backends.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    /// One line for the log: counts, and the names where they are few.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FEW: usize = 3;
        let mut comma = "";
        for (sign, items) in [("+", &self.added), ("-", &self.removed)] {
            for (what, names) in [
                ("service ports", items.services.iter().map(ToString::to_string).collect::<Vec<_>>()),
                ("backends", items.backends.iter().map(ToString::to_string).collect()),
            ] {
                match names.len() {
                    0 => continue,
                    few @ 1..=FEW => {
                        write!(f, "{comma}{sign}{few} {what} ({})", names.join(", "))?;
                    }
                    many => write!(f, "{comma}{sign}{many} {what}")?,
                }
                comma = ", ";
            }
        }
        if !self.changed.is_empty() {
            write!(f, "{comma}{} service ports changed", self.changed.len())?;
            comma = ", ";
        }
        if !self.retired.is_empty() {
            write!(f, "{comma}UDP flows to {} backends look for another", self.retired.len())?;
        }
        Ok(())
    }
}

/// Service ports and backends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Items {
    /// Service ports.
    pub services: Vec<ServiceRef>,
    /// Backends.
    pub backends: Vec<BackendRef>,
}

/// A Service port of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceRef {
    /// The family.
    pub family: IpFamily,
    /// Its number in that family's table.
    pub id: ServiceId,
    /// Its name.
    pub name: Arc<ServiceName>,
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.family)
    }
}

impl fmt::Display for BackendRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.transport)
    }
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendRef {
    /// Its number, unique over both families.
    pub id: BackendId,
    /// Its protocol.
    pub transport: Transport,
    /// Where it listens.
    pub address: SocketAddr,
}

/// UDP flows of one Service port to one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Retired {
    /// The family.
    pub family: IpFamily,
    /// The Service port.
    pub service: ServiceId,
    /// The backend that serves no more.
    pub backend: BackendId,
}

/// What the kernel-side classifier should send to us. What there may be many of is in sets that share what they have in
/// common with those of the compilation before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// Addresses that are all ours.
    pub vips: OrdSet<IpAddr>,
    /// VIPs that are gone, but that flows may still be using.
    pub departed_vips: BTreeSet<IpAddr>,
    /// Addresses of the node: ours are the ports below, and replies to masqueraded flows.
    pub node_addresses: BTreeSet<IpAddr>,
    /// Ports on node addresses: NodePorts, and those of VIPs that are node addresses.
    pub node_ports: OrdSet<(IpFamily, Transport, u16)>,
    /// The same, that are gone, but that flows may still be using.
    pub departed_ports: BTreeSet<(IpFamily, Transport, u16)>,
    /// The SNAT address pool.
    pub snat_addresses: BTreeSet<IpAddr>,
    /// Backends that see the clients' addresses, so that their replies are not addressed to us.
    pub backends: OrdSet<IpAddr>,
    /// The ports that they serve on, or did while something still lingers.
    pub backend_ports: OrdSet<(IpFamily, Transport, u16)>,
}

impl Captured {
    /// The roles of an address, as the classifier takes them.
    pub fn roles(&self, address: IpAddr) -> AddressFlags {
        let is = |has: bool, flag| if has { flag } else { AddressFlags::NONE };
        is(self.vips.contains(&address) || self.departed_vips.contains(&address), AddressFlags::VIP)
            | is(self.node_addresses.contains(&address), AddressFlags::NODE)
            | is(self.snat_addresses.contains(&address), AddressFlags::SNAT)
            | is(self.backends.contains(&address), AddressFlags::BACKEND)
    }

    /// The ports with their protocol numbers, as the classifier takes them.
    pub fn protocol_ports(&self) -> OrdSet<FamilyPort> {
        self.node_ports.iter().chain(&self.departed_ports).map(numbered).collect()
    }

    /// The same for the ports of backends.
    pub fn backend_protocol_ports(&self) -> OrdSet<FamilyPort> {
        self.backend_ports.iter().map(numbered).collect()
    }
}

fn numbered((family, transport, port): &(IpFamily, Transport, u16)) -> FamilyPort {
    FamilyPort { v6: *family == IpFamily::V6, protocol: transport.protocol().0, port: *port }
}
