//! The address plan of the standard topology: private and documentation ranges only.
//!
//! | what | IPv4 | IPv6 |
//! |---|---|---|
//! | client network, gateway `.1`, client `.2`, more clients from `.128.0` | 10.1.0.0/16 | fd00:1::/64 |
//! | backend network, gateway `.1`, backend *n* `.10+n` | 10.2.0.0/16 | fd00:2::/64 |
//! | ClusterIPs | 10.96.0.0/16 | fd00:96::/112 |
//! | LoadBalancer addresses | 203.0.113.0/24 | 2001:db8:ffff::/64 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which IP families a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Both.
    pub const BOTH: Families = Families { v4: true, v6: true };

    /// Whether `address` belongs.
    pub fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// The addresses of a world. Every method gives the IPv4 address first and leaves out a family the world lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The families in use.
    pub families: Families,
}

impl Plan {
    fn pair(self, v4: [u8; 4], v6: [u16; 8]) -> Vec<IpAddr> {
        [IpAddr::from(v4), IpAddr::from(v6)]
            .into_iter()
            .filter(|address| self.families.has(*address))
            .collect()
    }

    /// The gateway on the side of the clients: its node address, where NodePorts are.
    pub fn gateway_client_side(self) -> Vec<IpAddr> {
        self.pair([10, 1, 0, 1], [0xfd00, 1, 0, 0, 0, 0, 0, 1])
    }

    /// The gateway on the side of the backends, where SNAT takes its source from.
    pub fn gateway_backend_side(self) -> Vec<IpAddr> {
        self.pair([10, 2, 0, 1], [0xfd00, 2, 0, 0, 0, 0, 0, 1])
    }

    /// The client.
    pub fn client(self) -> Vec<IpAddr> {
        self.pair([10, 1, 0, 2], [0xfd00, 1, 0, 0, 0, 0, 0, 2])
    }

    /// Backend `number`, counted from 1.
    pub fn backend(self, number: u8) -> Vec<IpAddr> {
        let host = 10 + number;
        self.pair([10, 2, 0, host], [0xfd00, 2, 0, 0, 0, 0, 0, in_hex_digits(host)])
    }

    /// ClusterIP `number`.
    pub fn cluster_ip(self, number: u8) -> Vec<IpAddr> {
        self.pair([10, 96, 0, number], [0xfd00, 0x96, 0, 0, 0, 0, 0, in_hex_digits(number)])
    }

    /// LoadBalancer address `number`.
    pub fn load_balancer_ip(self, number: u8) -> Vec<IpAddr> {
        self.pair([203, 0, 113, number], [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, in_hex_digits(number)])
    }

    /// The IPv4 address of client `index` among many that share the client's namespace.
    pub fn many_clients(self, index: u16) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 128, 0)) + u32::from(index))
    }

    /// The IPv6 address of client `index` among many that share the client's namespace.
    pub fn many_clients_v6(self, index: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 1, index)
    }

    /// Networks that clients reach by way of the gateway.
    pub fn service_networks(self) -> Vec<&'static str> {
        let v4 = ["10.96.0.0/16", "203.0.113.0/24"].into_iter().filter(move |_| self.families.v4);
        v4.chain(["fd00:96::/112", "2001:db8:ffff::/64"].into_iter().filter(move |_| self.families.v6))
            .collect()
    }

    /// The networks of the backends: what a cluster would call its pod CIDRs.
    pub fn backend_networks(self) -> Vec<&'static str> {
        let v4 = ["10.2.0.0/16"].into_iter().filter(move |_| self.families.v4);
        v4.chain(["fd00:2::/64"].into_iter().filter(move |_| self.families.v6)).collect()
    }

    /// The prefix length of every interface address of the plan.
    pub fn prefix_len(address: IpAddr) -> u8 {
        if address.is_ipv4() { 16 } else { 64 }
    }
}

/// 11 becomes 0x11, so that an address reads the same in both families.
fn in_hex_digits(number: u8) -> u16 {
    let number = u16::from(number);
    (number / 100 * 0x100) + (number / 10 % 10 * 0x10) + number % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_the_same_in_both_families() {
        let plan = Plan { families: Families::BOTH };
        let text = |addresses: Vec<IpAddr>| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(text(plan.backend(4)), ["10.2.0.14", "fd00:2::14"]);
        assert_eq!(text(plan.cluster_ip(10)), ["10.96.0.10", "fd00:96::10"]);
        assert_eq!(text(plan.load_balancer_ip(123)), ["203.0.113.123", "2001:db8:ffff::123"]);
    }

    #[test]
    fn a_missing_family_is_left_out() {
        let plan = Plan { families: Families { v4: true, v6: false } };
        assert_eq!(plan.client().len(), 1);
        assert_eq!(plan.service_networks().len(), 2);
    }
}
