//! Who is where, in both worlds alike.
//!
//! | who | IPv4 | IPv6 |
//! |---|---|---|
//! | clients from outside, two groups | 10.1.128.0/18, 10.1.192.0/18 | fd00:1:0:0:a::/80, fd00:1:0:0:b::/80 |
//! | clients that the local detector takes for pods | 10.3.0.0/18 | fd00:3:0:0:c::/80 |
//! | another node of the cluster | 10.1.0.2 | fd00:1::2 |
//! | backends, eight pods on the other wire, clients too | 10.2.0.11-18 | fd00:2::11-18 |
//! | the gateway on the clients' side, where NodePorts are | 10.1.0.1 | fd00:1::1 |
//! | the gateway on the backends' side, what is masqueraded | 10.2.0.1 | fd00:2::1 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Pods, whichever interface they come from.
pub const CLUSTER_CIDR: [&str; 2] = ["10.2.0.0/15", "fd00:2::/31"];

/// Where the gateway's Node may be. Endpoints are hinted to the first two.
pub const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// What backends listen on for the objects that are compared.
pub const BACKEND_PORTS: [u16; 4] = [8080, 8081, 8082, 8083];

/// What the first of them listens on for the canary.
pub const CANARY_PORTS: [u16; 8] = [9000, 9001, 9002, 9003, 9004, 9005, 9006, 9007];

/// How many backends there are, each with an address of each family.
pub const BACKENDS: u8 = 8;

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// As objects spell it.
    pub fn word(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// The namespace that a flow is sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Client,
    /// By number, from 1.
    Backend(u8),
}

/// Where a flow comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    OutsideA,
    OutsideB,
    Pod,
    /// Another node of the cluster: an address of a Node, and no pod's.
    Node,
    /// The backends themselves, all of them in turn, so that some reach themselves.
    Backend,
    /// The backend of this number alone.
    OneBackend(u8),
}

impl Group {
    /// Those that random probes come from.
    pub const ALL: [Group; 5] = [Group::OutsideA, Group::OutsideB, Group::Pod, Group::Node, Group::Backend];

    /// Networks that source ranges are made of.
    pub const NETWORKS: [Group; 3] = [Group::OutsideA, Group::OutsideB, Group::Pod];

    /// All its addresses.
    pub fn network(self, family: Family) -> &'static str {
        match (self, family) {
            (Group::OutsideA, Family::V4) => "10.1.128.0/18",
            (Group::OutsideB, Family::V4) => "10.1.192.0/18",
            (Group::Pod, Family::V4) => "10.3.0.0/18",
            (Group::Node, Family::V4) => "10.1.0.2/32",
            (Group::Backend | Group::OneBackend(_), Family::V4) => "10.2.0.0/16",
            (Group::OutsideA, Family::V6) => "fd00:1:0:0:a::/80",
            (Group::OutsideB, Family::V6) => "fd00:1:0:0:b::/80",
            (Group::Pod, Family::V6) => "fd00:3:0:0:c::/80",
            (Group::Node, Family::V6) => "fd00:1::2/128",
            (Group::Backend | Group::OneBackend(_), Family::V6) => "fd00:2::/64",
        }
    }

    /// Whether its clients are so few that chance, or a hash, shows in where they are sent.
    pub fn is_small(self) -> bool {
        !Group::NETWORKS.contains(&self)
    }

    /// Client `number` of the group and its namespace; 16,000 differ in large groups.
    pub fn client(self, family: Family, number: u32) -> (Place, IpAddr) {
        let host = number % 16_000 + 1;
        let v4 = |a, b, c, host| Ipv4Addr::from_bits(Ipv4Addr::new(a, b, c, 0).to_bits() + host).into();
        let v6 = |net, group| Ipv6Addr::new(0xfd00, net, 0, 0, group, 0, 0, host as u16).into();
        let address = match (self, family) {
            (Group::OutsideA, Family::V4) => v4(10, 1, 128, host),
            (Group::OutsideB, Family::V4) => v4(10, 1, 192, host),
            (Group::Pod, Family::V4) => v4(10, 3, 0, host),
            (Group::OutsideA, Family::V6) => v6(1, 0xa),
            (Group::OutsideB, Family::V6) => v6(1, 0xb),
            (Group::Pod, Family::V6) => v6(3, 0xc),
            (Group::Node, _) => another_node(family),
            (Group::Backend, _) => {
                let number = (number % u32::from(BACKENDS)) as u8 + 1;
                return (Place::Backend(number), backend(family, number));
            }
            (Group::OneBackend(number), _) => return (Place::Backend(number), backend(family, number)),
        };
        (Place::Client, address)
    }
}

/// Address of backend `number`, from 1.
pub fn backend(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 2, 0, 10 + number).into(),
        // Reads the same in hexadecimal digits.
        Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x10 + u16::from(number)).into(),
    }
}

/// Addresses of all backends in `family`.
pub fn backends(family: Family) -> Vec<IpAddr> {
    (1..=BACKENDS).map(|number| backend(family, number)).collect()
}

/// The gateway's address that NodePorts are on.
pub fn node_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 1, 0, 1).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// What a masqueraded flow comes from; the node's too, but no NodePort is on it.
pub fn snat_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 2, 0, 1).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// Where clients are, which is another node of the cluster too.
pub fn another_node(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 1, 0, 2).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2).into(),
    }
}
