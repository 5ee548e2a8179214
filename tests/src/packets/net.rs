//! The addresses of the vectors' network, which `tests/vectors/manifests.yaml` and `penstock.yaml` describe too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// TCP: the Service's port and the backend's.
pub const WEB: (u16, u16) = (80, 8080);
/// UDP.
pub const DNS: (u16, u16) = (53, 5353);
/// SCTP.
pub const SIGNALS: (u16, u16) = (2905, 2905);
/// The port of a client.
const CLIENT_PORT: u16 = 40_000;

/// One family's addresses.
#[derive(Debug, Clone, Copy)]
pub struct Net {
    /// "IPv4" or "IPv6".
    pub name: &'static str,
    /// A client, outside the cluster.
    pub client_ip: IpAddr,
    /// A load-balancer IP of the Service.
    pub vip: IpAddr,
    /// Its cluster IP.
    pub cluster_ip: IpAddr,
    /// The cluster IP of a Service without endpoints.
    pub empty_ip: IpAddr,
    /// The only backend.
    pub backend_ip: IpAddr,
    /// What the backend sees as the source.
    pub gateway_ip: IpAddr,
    /// Something on the way.
    pub router_ip: IpAddr,
    /// Nobody of the cluster's.
    pub stranger_ip: IpAddr,
    /// What the client's flows are masqueraded with: TCP, UDP, SCTP. They come from a hash of the flow's tuple without a
    /// seed, so they are written down here; the vectors fail where they are wrong.
    masquerade_ports: [u16; 3],
}

impl Net {
    /// IPv4.
    pub const V4: Self = Self {
        name: "IPv4",
        client_ip: v4([198, 51, 100, 7]),
        vip: v4([203, 0, 113, 10]),
        cluster_ip: v4([10, 96, 0, 10]),
        empty_ip: v4([10, 96, 0, 20]),
        backend_ip: v4([10, 0, 1, 11]),
        gateway_ip: v4([10, 0, 1, 1]),
        router_ip: v4([10, 0, 1, 254]),
        stranger_ip: v4([192, 0, 2, 33]),
        masquerade_ports: [61_061, 61_011, 61_057],
    };
    /// IPv6.
    pub const V6: Self = Self {
        name: "IPv6",
        client_ip: v6(0x2001_0db8_000c, 7),
        vip: v6(0x2001_0db8_00ff, 0x10),
        cluster_ip: v6(0xfd00_0096_0000, 0x10),
        empty_ip: v6(0xfd00_0096_0000, 0x20),
        backend_ip: v6(0xfd00_000b_0000, 0x11),
        gateway_ip: v6(0xfd00_000b_0000, 1),
        router_ip: v6(0xfd00_000b_0000, 0xfe),
        stranger_ip: v6(0x2001_0db8_0bad, 33),
        masquerade_ports: [61_061, 61_014, 61_030],
    };
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Whether this is IPv4.
    pub fn is_v4(&self) -> bool {
        self.client_ip.is_ipv4()
    }

    /// The client's end of a flow.
    pub fn client(&self) -> SocketAddr {
        (self.client_ip, CLIENT_PORT).into()
    }

    /// A port of the load-balancer IP.
    pub fn vip(&self, port: (u16, u16)) -> SocketAddr {
        (self.vip, port.0).into()
    }

    /// A port of the cluster IP.
    pub fn cluster_ip_at(&self, port: (u16, u16)) -> SocketAddr {
        (self.cluster_ip, port.0).into()
    }

    /// A port of the backend.
    pub fn backend(&self, port: (u16, u16)) -> SocketAddr {
        (self.backend_ip, port.1).into()
    }

    /// What the backend sees of the client, in a flow to this port.
    pub fn gateway(&self, port: (u16, u16)) -> SocketAddr {
        let [tcp, udp, sctp] = self.masquerade_ports;
        let masqueraded = match port {
            WEB => tcp,
            DNS => udp,
            _ => sctp,
        };
        (self.gateway_ip, masqueraded).into()
    }
}

const fn v4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// A /48 and a host.
const fn v6(network: u128, host: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(network << 80 | host))
}
