//! A question that is put to both gateways: from whom, to what. It names Services and ports rather than addresses,
//! since the API server allocates others whenever the same objects are made again.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

use crate::{
    places::{self, Family, Group},
    random::Random,
    tries::Protocol,
};

/// An address with a port, as it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

/// What of a Service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    ClusterIp,
    /// Load balancer address number *n* of the status.
    LoadBalancer(usize),
    /// External address number *n*.
    External(usize),
    NodePort,
    /// The ClusterIP with a port that no Service has.
    ClusterIpOtherPort,
    /// The ClusterIP and port with the other protocol.
    ClusterIpOtherProtocol,
    /// An address of the load balancer with the NodePort.
    LoadBalancerNodePort,
    /// The ClusterIP with the NodePort.
    ClusterIpNodePort,
    /// The NodePort at an address of the node that is not its primary one.
    OtherAddressNodePort,
    /// What the server for load balancers' health checks says.
    HealthCheck,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub group: Group,
    pub family: Family,
    pub service: String,
    /// The name of the Service's port.
    pub port: String,
    pub kind: Kind,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probe { group, family, service, port, kind } = self;
        write!(f, "{group:?} → {kind:?} of {service}:{port} over {}", family.word())
    }
}

impl Probe {
    /// The address that it goes to, if the objects have it.
    pub fn resolve(&self, services: &[Value]) -> Option<Destination> {
        let service = services.iter().find(|service| service["metadata"]["name"] == self.service.as_str())?;
        let ports = service["spec"]["ports"].as_array()?;
        let port = ports.iter().find(|port| name(port) == self.port)?;
        let mut protocol = match port["protocol"].as_str() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let number = |field: &str| port[field].as_u64().and_then(|number| u16::try_from(number).ok());
        let spec = &service["spec"];
        let cluster_ip = || self.nth(spec["clusterIPs"].as_array()?.iter(), 0);
        let balancers = || service["status"]["loadBalancer"]["ingress"].as_array();
        let (address, port) = match self.kind {
            Kind::ClusterIp => (cluster_ip()?, number("port")?),
            Kind::LoadBalancer(n) => {
                (self.nth(balancers()?.iter().map(|ingress| &ingress["ip"]), n)?, number("port")?)
            }
            Kind::External(n) => (self.nth(spec["externalIPs"].as_array()?.iter(), n)?, number("port")?),
            Kind::NodePort => (places::node_address(self.family), number("nodePort")?),
            Kind::ClusterIpOtherPort => (cluster_ip()?, 4321),
            Kind::ClusterIpOtherProtocol => {
                protocol = if protocol == Protocol::Udp { Protocol::Tcp } else { Protocol::Udp };
                let asked = number("port")?;
                // Another port of the Service may have just that protocol and number.
                let word = if protocol == Protocol::Tcp { "TCP" } else { "UDP" };
                if ports.iter().any(|port| port["protocol"] == word && port["port"] == asked) {
                    return None;
                }
                (cluster_ip()?, asked)
            }
            Kind::LoadBalancerNodePort => {
                (self.nth(balancers()?.iter().map(|ingress| &ingress["ip"]), 0)?, number("nodePort")?)
            }
            Kind::ClusterIpNodePort => (cluster_ip()?, number("nodePort")?),
            Kind::OtherAddressNodePort => (places::snat_address(self.family), number("nodePort")?),
            Kind::HealthCheck => {
                protocol = Protocol::Health;
                let port = spec["healthCheckNodePort"].as_u64().and_then(|port| u16::try_from(port).ok());
                (places::node_address(self.family), port?)
            }
        };
        Some(Destination { protocol, address: SocketAddr::new(address, port) })
    }

    /// Every question that `services` give rise to, in random order.
    pub fn all(services: &[Value], random: &mut Random) -> Vec<Probe> {
        let mut probes = Vec::new();
        for service in services {
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            for port in ports {
                for family in Family::BOTH {
                    for group in Group::ALL {
                        let make = |kind| Probe {
                            group,
                            family,
                            service: service["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                            port: name(port).to_owned(),
                            kind,
                        };
                        probes.extend(KINDS.map(make));
                    }
                }
            }
        }
        probes.retain(|probe| probe.resolve(services).is_some() && probe.can_be_compared(services));
        random.shuffle(&mut probes);
        // What no rule of any Service catches is asked less often than the rest.
        probes.sort_by_cached_key(|probe| probe.is_off_the_road() && random.chance(75));
        probes
    }

    fn is_off_the_road(&self) -> bool {
        use Kind::*;
        matches!(
            self.kind,
            ClusterIpOtherPort
                | ClusterIpOtherProtocol
                | LoadBalancerNodePort
                | ClusterIpNodePort
                | OtherAddressNodePort
        )
    }

    /// With affinity, a few clients are sent to a few of the backends, by chance at one gateway and by a hash at the
    /// other. Health is asked for once: whoever asks, it is the same.
    fn can_be_compared(&self, services: &[Value]) -> bool {
        match self.kind {
            Kind::HealthCheck => self.group == Group::OutsideA,
            _ => !(self.group.is_small() && self.has_affinity(services)),
        }
    }

    pub fn has_affinity(&self, services: &[Value]) -> bool {
        let is_mine = |service: &&Value| service["metadata"]["name"] == self.service.as_str();
        services.iter().find(is_mine).is_some_and(|service| service["spec"]["sessionAffinity"] == "ClientIP")
    }

    /// Number `n` of the addresses of the probe's family.
    fn nth<'a>(&self, addresses: impl Iterator<Item = &'a Value>, n: usize) -> Option<IpAddr> {
        let parsed = addresses.filter_map(|address| address.as_str()?.parse().ok());
        parsed.filter(|address| Family::of(*address) == self.family).nth(n)
    }
}

const KINDS: [Kind; 12] = [
    Kind::ClusterIp,
    Kind::LoadBalancer(0),
    Kind::LoadBalancer(1),
    Kind::External(0),
    Kind::External(1),
    Kind::NodePort,
    Kind::ClusterIpOtherPort,
    Kind::ClusterIpOtherProtocol,
    Kind::LoadBalancerNodePort,
    Kind::ClusterIpNodePort,
    Kind::OtherAddressNodePort,
    Kind::HealthCheck,
];

fn name(port: &Value) -> &str {
    port["name"].as_str().unwrap_or_default()
}
