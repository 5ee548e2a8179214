//! One IPAddressPool: `metallb.io/v1beta1`, read as MetalLB reads it (§5.2).

use super::error::PoolError;
use crate::{
    metallb::{PoolSpec, ServiceAllocation},
    model::IpFamily,
    selector::{Labels, Selector},
};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::{collections::BTreeSet, net::IpAddr};

/// A pool that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its prefixes, in the order of allocation.
    pub prefixes: Vec<IpNet>,
    /// Whether Services that ask for nothing may have its addresses.
    pub auto_assign: bool,
    avoid_buggy_ips: bool,
    admission: Option<Admission>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Admission {
    priority: u32,
    namespaces: BTreeSet<String>,
    namespace_selectors: Vec<Selector>,
    service_selectors: Vec<Selector>,
}

/// How much of a pool is used, by family: IPv4, IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Addresses that Services have; a shared one counts once.
    pub assigned: [i64; 2],
    /// Addresses that they might have besides. A pool larger than the type says the largest number there is.
    pub available: [i64; 2],
}

impl Pool {
    /// Reads a pool.
    pub fn read(name: &str, spec: &PoolSpec) -> Result<Self, PoolError> {
        if spec.addresses.is_empty() {
            return Err(PoolError::Empty { pool: name.to_owned() });
        }
        let mut prefixes = Vec::new();
        for text in &spec.addresses {
            prefixes.extend(addresses(name, text)?);
        }
        let admission = spec.service_allocation.as_ref().map(|raw| admission(name, raw)).transpose()?;
        let auto_assign = spec.auto_assign.unwrap_or(true);
        Ok(Self {
            name: name.to_owned(),
            prefixes,
            auto_assign,
            avoid_buggy_ips: spec.avoid_buggy_ips,
            admission,
        })
    }

    /// Whether it is said which Services it is for. Such pools come before the others.
    pub fn is_restricted(&self) -> bool {
        self.admission.is_some()
    }

    /// The place among pools that are restricted: low first.
    pub(super) fn order(&self) -> u32 {
        let priority = self.admission.as_ref().map_or(0, |admission| admission.priority);
        if priority == 0 { u32::MAX } else { priority }
    }

    /// Whether a Service with these labels, in this namespace with its labels, may have addresses of it.
    pub fn admits(&self, namespace: &str, namespace_labels: &Labels, service: &Labels) -> bool {
        let Some(admission) = &self.admission else { return true };
        let Admission { namespaces, namespace_selectors, service_selectors, .. } = admission;
        let any = |selectors: &[Selector], labels| selectors.iter().any(|selector| selector.selects(labels));
        let namespace_fits = namespaces.is_empty() && namespace_selectors.is_empty()
            || namespaces.contains(namespace)
            || any(namespace_selectors, namespace_labels);
        namespace_fits && (service_selectors.is_empty() || any(service_selectors, service))
    }

    /// Whether it has this address to give.
    pub fn contains(&self, address: IpAddr) -> bool {
        !(self.avoid_buggy_ips && is_buggy(address))
            && self.prefixes.iter().any(|prefix| prefix.contains(&address))
    }

    /// Its prefixes of one family, each with its place in the order of allocation.
    pub(super) fn prefixes_of(&self, family: IpFamily) -> impl Iterator<Item = (usize, IpNet)> {
        let all = self.prefixes.iter().copied().enumerate();
        all.filter(move |(_, prefix)| IpFamily::of(prefix.addr()) == family)
    }

    /// The place of the prefix that has this address.
    pub(super) fn place(&self, address: IpAddr) -> Option<usize> {
        self.prefixes.iter().position(|prefix| prefix.contains(&address))
    }

    /// How many addresses of one family it has to give.
    pub(super) fn capacity(&self, family: IpFamily) -> i64 {
        let capacity = self.prefixes_of(family).fold(0u128, |sum, (_, prefix)| {
            let buggy = if self.avoid_buggy_ips { buggy_in(&prefix) } else { 0 };
            sum.saturating_add(size(&prefix)) - buggy
        });
        if capacity >= 1 << 62 { i64::MAX } else { capacity as i64 }
    }
}

/// The addresses that some old equipment takes for a network's own, or its broadcast.
fn is_buggy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if matches!(v4.octets()[3], 0 | 255))
}

fn size(prefix: &IpNet) -> u128 {
    let bits = u32::from(prefix.max_prefix_len() - prefix.prefix_len());
    1u128.checked_shl(bits).unwrap_or(u128::MAX)
}

fn buggy_in(prefix: &IpNet) -> u128 {
    match prefix {
        IpNet::V4(_) if prefix.prefix_len() <= 24 => size(prefix) / 256 * 2,
        // A part of a /24 has at most its first and its last.
        IpNet::V4(_) => {
            let ends = BTreeSet::from([prefix.network(), prefix.broadcast()]);
            ends.into_iter().filter(|end| is_buggy(*end)).count() as u128
        }
        IpNet::V6(_) => 0,
    }
}

/// What one entry of `addresses` says: a prefix without blanks, or a range.
fn addresses(pool: &str, text: &str) -> Result<Vec<IpNet>, PoolError> {
    let Some((first, last)) = text.split_once('-') else {
        let fault = |reason: &str| PoolError::Cidr {
            pool: pool.to_owned(),
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        if !text.contains('/') {
            return Err(fault("write a single address with its length, as 192.0.2.1/32"));
        }
        let prefix: IpNet =
            text.parse().map_err(|_| fault("must be an address and a length, as 192.0.2.0/24"))?;
        return Ok(vec![prefix.trunc()]);
    };
    let fault = |reason: String| PoolError::Range { pool: pool.to_owned(), text: text.to_owned(), reason };
    let end = |which: &str, text: &str| {
        text.trim().parse::<IpAddr>().map_err(|_| fault(format!("invalid {which} IP {:?}", text.trim())))
    };
    let (first, last) = (end("start", first)?, end("end", last)?);
    let reversed = || fault(format!("start IP \"{first}\" is after the end IP \"{last}\""));
    match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => Ok(Ipv4Subnets::new(a, b, 0).map(IpNet::V4).collect()),
        (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => Ok(Ipv6Subnets::new(a, b, 0).map(IpNet::V6).collect()),
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Err(reversed()),
        _ => Err(fault("start and end IPs must be the same family".to_owned())),
    }
}

fn admission(pool: &str, raw: &ServiceAllocation) -> Result<Admission, PoolError> {
    let mut namespaces = BTreeSet::new();
    for namespace in &raw.namespaces {
        if !namespaces.insert(namespace.clone()) {
            let (pool, namespace) = (pool.to_owned(), namespace.clone());
            return Err(PoolError::DuplicateNamespace { pool, namespace });
        }
    }
    let selectors = |raw: &[LabelSelector]| {
        let read = raw.iter().map(Selector::read).collect::<Result<Vec<_>, _>>();
        read.map_err(|reason| PoolError::Selector { pool: pool.to_owned(), reason })
    };
    Ok(Admission {
        priority: raw.priority,
        namespaces,
        namespace_selectors: selectors(&raw.namespace_selectors)?,
        service_selectors: selectors(&raw.service_selectors)?,
    })
}
