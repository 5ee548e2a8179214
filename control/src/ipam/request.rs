//! What a Service asks for: its families, addresses or a pool by name, and with whom it shares.

use super::error::{FamilyError, RequestError};
use crate::{
    model::{IpFamily, transport},
    objects::ObjectKey,
    selector::Labels,
};
use k8s_openapi::api::core::v1 as api;
use penstock_dataplane::table::Transport;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Annotations are read under both.
const PREFIXES: [&str; 2] = ["metallb.io", "metallb.universe.tf"];

/// Which families a Service wants, its primary one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// One address of this family.
    One(IpFamily),
    /// One of each, or of the one that is to be had.
    Prefer(IpFamily),
    /// One of each.
    Both,
    /// One of each, and the Service has no cluster IP of the second.
    Impossible,
}

/// With whom an address may be shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sharing {
    /// `metallb.io/allow-shared-ip`; empty: with nobody.
    pub key: String,
    /// What must be the same behind it: nothing for Cluster policies, the pods' selector for Local ones.
    pub backend: BTreeMap<String, String>,
    /// Whether its external policy is Local.
    pub is_local: bool,
    /// Its ports, which nobody else may have.
    pub ports: BTreeSet<(Transport, u16)>,
}

/// What a Service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The Service.
    pub service: ObjectKey,
    /// Its labels.
    pub labels: Labels,
    /// The families it wants.
    pub families: Families,
    /// The addresses it wants; empty: any.
    pub addresses: Vec<IpAddr>,
    /// The pool it wants them from.
    pub pool: Option<String>,
    /// With whom it shares.
    pub sharing: Sharing,
}

impl Request {
    /// Reads a Service. `None`: it is to have no address, being of another type or without a cluster IP.
    pub fn read(key: &ObjectKey, service: &api::Service) -> Result<Option<Self>, RequestError> {
        let Some(request) = Self::without_addresses(key, service) else { return Ok(None) };
        let asked = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.as_deref());
        let addresses = match (annotation(service, "loadBalancerIPs"), asked.filter(|text| !text.is_empty()))
        {
            (Some(_), Some(_)) => return Err(RequestError::Both),
            (Some(text), None) => addresses(text)?,
            (None, Some(text)) => vec![text.parse().map_err(|_| RequestError::Field(text.to_owned()))?],
            (None, None) => Vec::new(),
        };
        Ok(Some(Self { addresses, ..request }))
    }

    /// The same, but for the addresses that it asks for.
    pub fn without_addresses(key: &ObjectKey, service: &api::Service) -> Option<Self> {
        let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() == Some("LoadBalancer"))?;
        let is_local = spec.external_traffic_policy.as_deref() == Some("Local");
        let selector = spec.selector.clone().unwrap_or_default();
        Some(Self {
            service: key.clone(),
            labels: service.metadata.labels.clone().unwrap_or_default(),
            families: families(spec)?,
            addresses: Vec::new(),
            pool: annotation(service, "address-pool").map(str::to_owned),
            sharing: Sharing {
                key: annotation(service, "allow-shared-ip").unwrap_or_default().to_owned(),
                backend: if is_local { selector } else { BTreeMap::new() },
                is_local,
                ports: spec.ports.iter().flatten().filter_map(port).collect(),
            },
        })
    }
}

/// One of MetalLB's annotations, if it says something.
fn annotation<'s>(service: &'s api::Service, name: &str) -> Option<&'s str> {
    let annotations = service.metadata.annotations.as_ref()?;
    let value = PREFIXES.iter().find_map(|prefix| annotations.get(&format!("{prefix}/{name}")))?;
    Some(value.as_str()).filter(|value| !value.is_empty())
}

fn families(spec: &api::ServiceSpec) -> Option<Families> {
    let ips = spec.cluster_ips.iter().flatten().chain(spec.cluster_ip.iter());
    let families: Vec<_> = ips.filter_map(|ip| ip.parse().ok().map(IpFamily::of)).collect();
    let primary = *families.first()?;
    let both = families.iter().any(|family| *family != primary);
    Some(match (spec.ip_family_policy.as_deref(), both) {
        (Some("RequireDualStack"), true) => Families::Both,
        (Some("RequireDualStack"), false) => Families::Impossible,
        (_, true) => Families::Prefer(primary),
        (_, false) => Families::One(primary),
    })
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, RequestError> {
    let read = |word: &str| word.trim().parse().map_err(|_| RequestError::Annotation(text.to_owned()));
    let addresses: Vec<IpAddr> = text.split(',').map(read).collect::<Result<_, _>>()?;
    match FamilyError::of(&addresses) {
        Some(fault) => Err(RequestError::Family(fault)),
        None => Ok(addresses),
    }
}

fn port(port: &api::ServicePort) -> Option<(Transport, u16)> {
    Some((transport(port.protocol.as_deref().unwrap_or("TCP"))?, u16::try_from(port.port).ok()?))
}
