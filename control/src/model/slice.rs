//! An EndpointSlice, from the API's type to ours (§2.1–§2.3).
//!
//! Slices are read as they come in, and what is read is what sources keep ([`ReadSlice`]): a hundred thousand endpoints take
//! 15 MB so, and 120 MB as the API's type has them. Everybody who looks at a slice shares it.

use super::{
    IpFamily, Reading,
    address::{address, nobody, special},
    names::{NO_PORT, transport},
};
use crate::fault::Faults;
use k8s_openapi::api::discovery::v1 as api;
use penstock_dataplane::table::Transport;
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};

/// A slice of a Service's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The Service it is of, in the same namespace.
    pub service: Box<str>,
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
    /// Makes its Service worth announcing (§5.6): ready, or said to serve. For the packet path, what is not said to serve
    /// does.
    pub announceable: bool,
    /// The node it is on; `None` is local to nobody.
    pub node: Option<Box<str>>,
    /// Zones that should use it; empty: no hint.
    pub for_zones: Box<[Box<str>]>,
    /// Nodes that should use it; empty: no hint.
    pub for_nodes: Box<[Box<str>]>,
    /// The Pod behind it, for people.
    pub target: Option<Box<str>>,
}

/// An EndpointSlice as sources keep it: what was read of it, and what it takes to report on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "api::EndpointSlice")]
pub struct ReadSlice {
    /// Its uid.
    pub uid: Option<Box<str>>,
    /// The Service that its label names, whatever else is wrong with it.
    pub service: Option<Box<str>>,
    /// What came of looking at it.
    pub reading: Reading<Arc<Slice>>,
}

impl From<api::EndpointSlice> for ReadSlice {
    fn from(object: api::EndpointSlice) -> Self {
        Self {
            uid: object.metadata.uid.as_deref().map(Into::into),
            service: label(&object, SERVICE).map(Into::into),
            reading: Slice::read(&object).shared(),
        }
    }
}

impl ReadSlice {
    /// The slice, if it is of use.
    pub fn slice(&self) -> Option<&Arc<Slice>> {
        self.reading.value.as_ref().ok()?.as_ref()
    }
}

const SERVICE: &str = "kubernetes.io/service-name";

fn label<'s>(object: &'s api::EndpointSlice, name: &str) -> Option<&'s str> {
    object.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

impl Slice {
    /// Reads an object of the API.
    pub fn read(object: &api::EndpointSlice) -> Reading<Self> {
        let (mut faults, mut warnings) = (Faults::default(), Faults::default());
        let slice = read(object, &mut faults, &mut warnings);
        let value = if faults.is_empty() { Ok(slice) } else { Err(faults.into_vec()) };
        Reading { value, warnings: warnings.into_vec() }
    }
}

fn read(object: &api::EndpointSlice, faults: &mut Faults, warnings: &mut Faults) -> Option<Slice> {
    let Some(service) = label(object, SERVICE).filter(|name| !name.is_empty()) else {
        warnings.add(
            "metadata.labels[kubernetes.io/service-name]",
            "is not set, so the slice belongs to no Service",
        );
        return None;
    };
    if label(object, "service.kubernetes.io/headless").is_some() {
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
        service: service.into(),
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
    known.shrink_to_fit();
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
        let (ready, serving) = conditions.map_or((None, None), |given| (given.ready, given.serving));
        let zones = zones.into_iter().flatten().map(|zone| zone.name.as_str());
        let nodes = nodes.into_iter().flatten().map(|node| node.name.as_str());
        known.push(Endpoint {
            addr,
            ready: ready.unwrap_or(true),
            serving: serving.unwrap_or(true),
            terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
            announceable: ready.unwrap_or(true) || serving.unwrap_or(false),
            node: endpoint.node_name.as_deref().map(Into::into),
            for_zones: zones.map(Into::into).collect(),
            for_nodes: nodes.map(Into::into).collect(),
            target: endpoint.target_ref.as_ref().and_then(|target| Some(target.name.as_deref()?.into())),
        });
    }
    known
}

#[cfg(test)]
mod tests;
