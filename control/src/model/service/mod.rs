//! A Service, from the API's type to ours: defaults (§1.2), validation (§1.4), and what is left for the dataplane.
//!
//! Node ports and cluster IPs are taken as given. All faults are reported together.

mod defaults;
mod validate;
mod ports;
mod convert;

use super::{IpFamily, Reading};
use crate::{fault::Faults, objects::ObjectKey};
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as api;
use penstock_dataplane::table::{TrafficPolicy, Transport};
use serde::Serialize;
use std::{net::IpAddr, num::NonZeroU32};

/// A Service that is to be proxied: not headless, no ExternalName, with a cluster IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: ObjectKey,
    /// When it was created, in seconds of Unix time; manifests seldom say.
    pub created: Option<i64>,
    /// Its type.
    pub kind: ServiceType,
    /// At most one of each family.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// The IPs of `status.loadBalancer.ingress` with ipMode VIP.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges`, those that can be read; `None`: the field is empty, so everybody.
    pub source_ranges: Option<Vec<IpNet>>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// For traffic to cluster IPs.
    pub internal_policy: TrafficPolicy,
    /// For all other traffic.
    pub external_policy: TrafficPolicy,
    /// The timeout of ClientIP affinity, in seconds.
    pub affinity: Option<NonZeroU32>,
    /// Where external load balancers ask after local endpoints.
    pub health_check_node_port: Option<u16>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, which joins it to ports of EndpointSlices; may be empty.
    pub name: String,
    /// Its protocol.
    pub transport: Transport,
    /// Its number on VIPs.
    pub port: u16,
    /// Its number on node addresses.
    pub node_port: Option<u16>,
}

/// The type of a Service that is proxied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ServiceType {
    /// Reached by a cluster IP.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// Also by node ports.
    NodePort,
    /// Also by IPs a load balancer has given.
    LoadBalancer,
}

impl Service {
    /// The cluster IP of one family.
    pub fn cluster_ip(&self, family: IpFamily) -> Option<IpAddr> {
        self.cluster_ips.iter().copied().find(|address| IpFamily::of(*address) == family)
    }

    /// Reads an object of the API.
    pub fn read(key: &ObjectKey, object: &api::Service) -> Reading<Self> {
        let (mut faults, mut warnings) = (Faults::default(), Faults::default());
        // A Service for another proxy is not ours to judge.
        let labels = object.metadata.labels.as_ref();
        if labels.is_some_and(|labels| labels.contains_key("service.kubernetes.io/service-proxy-name")) {
            return Reading { value: Ok(None), warnings: Vec::new() };
        }
        let spec = defaults::spec(object.spec.clone().unwrap_or_default());
        let ingress = defaults::ingress(object.status.clone());
        validate::validate(&spec, &ingress, &mut faults, &mut warnings);
        let value = match faults.is_empty() {
            true => Ok(convert::convert(key, object, &spec, &ingress, &mut warnings)),
            false => Err(faults.into_vec()),
        };
        Reading { value, warnings: warnings.into_vec() }
    }
}

#[cfg(test)]
mod tests;
