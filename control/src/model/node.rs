//! A Node, from the API's type to ours: what endpoint choice and NodePorts need of it.

use super::{Reading, address};
use crate::{fault::Faults, objects::ObjectKey};
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as api;
use std::net::IpAddr;

/// The taint of a Node that the cluster autoscaler drains.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// The addresses of its status, in that order.
    pub addresses: Vec<NodeAddress>,
    /// It is about to go: deleted, or marked so by the autoscaler. Load balancers should use another.
    pub leaving: bool,
    /// The prefixes its pods have addresses of.
    pub pod_cidrs: Vec<IpNet>,
}

/// An address of a Node's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeAddress {
    /// Which kind.
    pub kind: NodeAddressKind,
    /// The address.
    pub addr: IpAddr,
}

/// The kinds of node addresses that are IPs, the preferred first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeAddressKind {
    /// Within the cluster.
    InternalIp,
    /// From outside.
    ExternalIp,
}

impl Node {
    /// Reads an object of the API. A wrong field is left out, as the kubelet writes it and nobody else waits for it.
    pub fn read(key: &ObjectKey, object: &api::Node) -> Reading<Self> {
        let (mut faults, mut warnings) = (Faults::default(), Faults::default());
        let labels = object.metadata.labels.as_ref();
        let status =
            object.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
        let mut addresses = Vec::new();
        for (index, given) in status.iter().enumerate() {
            let kind = match given.type_.as_str() {
                "InternalIP" => NodeAddressKind::InternalIp,
                "ExternalIP" => NodeAddressKind::ExternalIp,
                _ => continue,
            };
            let path = format!("status.addresses[{index}].address");
            let addr = address::address(&path, &given.address, &mut faults, &mut warnings);
            addresses.extend(addr.map(|addr| NodeAddress { kind, addr }));
        }
        let mut pod_cidrs = Vec::new();
        let spec = object.spec.as_ref();
        for (index, text) in spec.and_then(|spec| spec.pod_cidrs.as_ref()).into_iter().flatten().enumerate() {
            pod_cidrs.extend(address::cidr(
                &format!("spec.podCIDRs[{index}]"),
                text,
                &mut faults,
                &mut warnings,
            ));
        }
        let zone = labels.and_then(|labels| labels.get("topology.kubernetes.io/zone"));
        let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        let leaving = object.metadata.deletion_timestamp.is_some()
            || taints.iter().any(|taint| taint.key == TO_BE_DELETED);
        let node = Self {
            name: key.name.clone(),
            zone: zone.filter(|zone| !zone.is_empty()).cloned(),
            addresses,
            leaving,
            pod_cidrs,
        };
        warnings.extend(faults.into_vec());
        Reading { value: Ok(Some(node)), warnings: warnings.into_vec() }
    }
}
