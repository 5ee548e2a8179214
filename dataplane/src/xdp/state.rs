//! What the classifier has to know, as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::{BitAnd, BitOr, BitOrAssign, RangeInclusive};

use imbl::{OrdMap, OrdSet};

use crate::io::PortId;

/// The roles of an address. The numbers are those of `maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct AddressFlags(u32);

impl AddressFlags {
    /// No role.
    pub const NONE: AddressFlags = AddressFlags(0);
    /// A service address: everything sent to it is ours.
    pub const VIP: AddressFlags = AddressFlags(1);
    /// An address of this node: ours are the NodePorts and the SNAT range.
    pub const NODE: AddressFlags = AddressFlags(2);
    /// A source address of our translations: where it isn't the node's too, all its ports are ours.
    pub const SNAT: AddressFlags = AddressFlags(4);
    /// A backend which sees the clients' addresses, so that its replies are not addressed to us: on interfaces with
    /// the backend role, what it sends from a port that backends serve on is ours.
    pub const BACKEND: AddressFlags = AddressFlags(8);

    /// The number in the map.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all roles of `other` are among these.
    pub fn contains(self, other: AddressFlags) -> bool {
        self & other == other
    }
}

impl BitOr for AddressFlags {
    type Output = AddressFlags;
    fn bitor(self, other: AddressFlags) -> AddressFlags {
        AddressFlags(self.0 | other.0)
    }
}

impl BitOrAssign for AddressFlags {
    fn bitor_assign(&mut self, other: AddressFlags) {
        *self = *self | other;
    }
}

impl BitAnd for AddressFlags {
    type Output = AddressFlags;
    fn bitand(self, other: AddressFlags) -> AddressFlags {
        AddressFlags(self.0 & other.0)
    }
}

impl fmt::Debug for AddressFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(Self::VIP, "VIP"), (Self::NODE, "NODE"), (Self::SNAT, "SNAT"), (Self::BACKEND, "BACKEND")];
        let held: Vec<&str> =
            names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| *name).collect();
        f.write_str(if held.is_empty() { "NONE" } else { "" })?;
        f.write_str(&held.join("|"))
    }
}

/// What the classifier knows of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceEntry {
    /// The port, which selects the sockets its packets go to.
    pub port: PortId,
    /// Whether backends are behind it, so that packets are matched by their source too.
    pub backend: bool,
}

/// A port of a protocol in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyPort {
    /// IPv6, not IPv4.
    pub v6: bool,
    /// IP protocol number: 6, 17 or 132.
    pub protocol: u8,
    /// The port.
    pub port: u16,
}

impl fmt::Display for FamilyPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FamilyPort { v6, protocol, port } = self;
        write!(f, "IPv{} protocol {protocol} port {port}", if *v6 { 6 } else { 4 })
    }
}

/// All that the classifier decides by. What there may be a hundred thousand of is in maps that share what they have in
/// common, so that two states are told apart at the cost of what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifierState {
    /// Addresses and their roles.
    pub addresses: OrdMap<IpAddr, AddressFlags>,
    /// Ranges of Service addresses, by prefix length: addresses in them that have no role are treated as VIPs.
    pub ranges: BTreeSet<(IpAddr, u8)>,
    /// NodePorts. In a family that a Service lacks, its NodePort is the kernel's.
    pub node_ports: OrdSet<FamilyPort>,
    /// Ports that backends with [`AddressFlags::BACKEND`] serve on.
    pub backend_ports: OrdSet<FamilyPort>,
    /// The ports of node addresses that translations use.
    pub snat_ports: RangeInclusive<u16>,
    /// Interfaces by kernel index. Packets from others are the kernel's.
    pub interfaces: BTreeMap<u32, InterfaceEntry>,
}

impl ClassifierState {
    /// The SNAT range of a state that has none: no port is in it.
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
    pub const NO_SNAT_PORTS: RangeInclusive<u16> = 1..=0;
}

impl Default for ClassifierState {
    fn default() -> Self {
        ClassifierState {
            addresses: OrdMap::new(),
            ranges: BTreeSet::new(),
            node_ports: OrdSet::new(),
            backend_ports: OrdSet::new(),
            snat_ports: Self::NO_SNAT_PORTS,
            interfaces: BTreeMap::new(),
        }
    }
}
