//! An EndpointSlice, from the API's type to ours (§2.1–§2.3).

use super::{
    IpFamily, Reading,
    address::{address, nobody, special},
    names::{NO_PORT, transport},
};
use crate::{fault::Faults, objects::ObjectKey};
use k8s_openapi::api::discovery::v1 as api;
use penstock_dataplane::table::Transport;
use std::{collections::BTreeSet, net::IpAddr};

/// A slice of a Service's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The Service it is of.
    pub service: ObjectKey,
    /// The family of its endpoints.
    pub family: IpFamily,
    /// The ports all its endpoints have.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// A port of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// Its name, which joins it to a port of the Service.
    pub name: String,
    /// Its protocol.
    pub transport: Transport,
    /// Where the endpoints listen.
    pub port: u16,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub addr: IpAddr,
    /// May get new flows.
    pub ready: bool,
    /// Could serve, whether or not it is going.
    pub serving: bool,
    /// Is going.
    pub terminating: bool,
    /// The node it is on; `None` is local to nobody.
    pub node: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Zones that should use it; empty: no hint.
    pub for_zones: BTreeSet<String>,
    /// Nodes that should use it; empty: no hint.
    pub for_nodes: BTreeSet<String>,
    /// The Pod behind it, for people.
    pub target: Option<String>,
}

impl Slice {
    /// Reads an object of the API.
    pub fn read(key: &ObjectKey, object: &api::EndpointSlice) -> Reading<Self> {
        let (mut faults, mut warnings) = (Faults::default(), Faults::default());
        let slice = read(key, object, &mut faults, &mut warnings);
        let value = if faults.is_empty() { Ok(slice) } else { Err(faults.into_vec()) };
        Reading { value, warnings: warnings.into_vec() }
    }
}

fn read(
    key: &ObjectKey,
    object: &api::EndpointSlice,
    faults: &mut Faults,
    warnings: &mut Faults,
) -> Option<Slice> {
    let label = |name: &str| object.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    let Some(service) = label("kubernetes.io/service-name").filter(|name| !name.is_empty()) else {
        warnings.add(
            "metadata.labels[kubernetes.io/service-name]",
            "is not set, so the slice belongs to no Service",
        );
        return None;
    };
    if label("service.kubernetes.io/headless").is_some() {
        return None;
    }
    let family = match object.address_type.as_str() {
        "FQDN" => return None,
        other => match IpFamily::from_name(other) {
            Some(family) => family,
            None => {
                faults.unsupported("addressType", other, &["FQDN", "IPv4", "IPv6"]);
                return None;
            }
        },
    };
    Some(Slice {
        service: ObjectKey::new(key.namespace.clone(), service.clone()),
        family,
        ports: ports(object.ports.as_deref().unwrap_or_default(), faults),
        endpoints: endpoints(object.endpoints.as_deref().unwrap_or_default(), family, faults, warnings),
    })
}

fn ports(ports: &[api::EndpointPort], faults: &mut Faults) -> Vec<SlicePort> {
    let mut known = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("ports[{index}]");
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let transport = transport(protocol);
        if transport.is_none() {
            faults.unsupported(format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
        if ports[..index].iter().any(|other| other.name == port.name) && port.name.is_some() {
            faults.duplicate(format!("{path}.name"), &port.name);
        }
        // Without a name or a number there is nothing to join or to connect to.
        let (Some(name), Some(number)) = (&port.name, port.port.filter(|number| *number != 0)) else {
            continue;
        };
        match (transport, u16::try_from(number)) {
            (Some(transport), Ok(port)) => known.push(SlicePort { name: name.clone(), transport, port }),
            (_, Err(_)) => faults.invalid(format!("{path}.port"), number, NO_PORT),
            (None, _) => {}
        }
    }
    known
}

fn endpoints(
    endpoints: &[api::Endpoint],
    family: IpFamily,
    faults: &mut Faults,
    warnings: &mut Faults,
) -> Vec<Endpoint> {
    let mut known = Vec::with_capacity(endpoints.len());
    for (index, endpoint) in endpoints.iter().enumerate() {
        // Only the first address is used, by everybody.
        let Some(text) = endpoint.addresses.first() else { continue };
        let path = format!("endpoints[{index}].addresses[0]");
        let Some(addr) = address(&path, text, faults, warnings) else { continue };
        if IpFamily::of(addr) != family {
            faults.invalid(path, text, format!("must be an {family} address as addressType says"));
        } else if let Some(reason) = special(addr) {
            faults.invalid(path, text, reason);
        } else if let Some(reason) = nobody(addr) {
            warnings.invalid(path, text, reason);
            continue;
        }
        let conditions = endpoint.conditions.as_ref();
        let hints = endpoint.hints.as_ref();
        let zones = hints.and_then(|hints| hints.for_zones.as_ref());
        let nodes = hints.and_then(|hints| hints.for_nodes.as_ref());
        known.push(Endpoint {
            addr,
            ready: conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
            serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(true),
            terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
            node: endpoint.node_name.clone(),
            zone: endpoint.zone.clone(),
            for_zones: zones.into_iter().flatten().map(|zone| zone.name.clone()).collect(),
            for_nodes: nodes.into_iter().flatten().map(|node| node.name.clone()).collect(),
            target: endpoint.target_ref.as_ref().and_then(|target| target.name.clone()),
        });
    }
    known
}

#[cfg(test)]
mod tests;
