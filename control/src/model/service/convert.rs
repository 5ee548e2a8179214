//! A validated Service to ours. What cannot be converted has been reported by `validate` already.

use super::{
    super::{
        address::{address, cidr},
        names::transport,
    },
    Service, ServicePort, ServiceType,
};
use crate::{fault::Faults, objects::ObjectKey};
use k8s_openapi::api::core::v1 as api;
use penstock_dataplane::table::TrafficPolicy;
use std::{net::IpAddr, num::NonZeroU32};

/// `None` if the Service is not to be proxied (§3.1).
pub(super) fn convert(
    key: &ObjectKey,
    object: &api::Service,
    spec: &api::ServiceSpec,
    ingress: &[api::LoadBalancerIngress],
    warnings: &mut Faults,
) -> Option<Service> {
    let kind = match spec.type_.as_deref()? {
        "ClusterIP" => ServiceType::ClusterIp,
        "NodePort" => ServiceType::NodePort,
        "LoadBalancer" => ServiceType::LoadBalancer,
        _ => return None,
    };
    if spec.cluster_ips.iter().flatten().any(|ip| ip == "None") {
        return None;
    }
    let cluster_ips = addresses(spec.cluster_ips.iter().flatten());
    if cluster_ips.is_empty() {
        let message =
            "is empty, so the Service is not served: give it an address (nothing here allocates one)";
        warnings.add("spec.clusterIP", message);
        return None;
    }
    let vips = ingress.iter().filter(|entry| entry.ip_mode.as_deref() == Some("VIP"));
    let local = |policy: &Option<String>| match policy.as_deref() {
        Some("Local") => TrafficPolicy::Local,
        _ => TrafficPolicy::Cluster,
    };
    let mut unused = Faults::default();
    let ranges = spec.load_balancer_source_ranges.as_ref().filter(|ranges| !ranges.is_empty());
    let affinity = spec.session_affinity_config.as_ref();
    Some(Service {
        key: key.clone(),
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()),
        kind,
        cluster_ips,
        external_ips: addresses(spec.external_ips.iter().flatten()),
        load_balancer_ips: addresses(vips.filter_map(|entry| entry.ip.as_ref())),
        source_ranges: ranges.map(|ranges| {
            ranges.iter().filter_map(|range| cidr("", range, &mut unused, &mut Faults::default())).collect()
        }),
        ports: spec.ports.iter().flatten().filter_map(port).collect(),
        internal_policy: local(&spec.internal_traffic_policy),
        external_policy: local(&spec.external_traffic_policy),
        affinity: affinity
            .and_then(|config| config.client_ip.as_ref()?.timeout_seconds)
            .and_then(|seconds| NonZeroU32::new(u32::try_from(seconds).ok()?)),
        health_check_node_port: number(spec.health_check_node_port.unwrap_or_default()),
    })
}

/// Each address once, in the order given.
fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for text in texts {
        let read = address("", text, &mut Faults::default(), &mut Faults::default());
        all.extend(read.filter(|address| !all.contains(address)));
    }
    all
}

fn port(port: &api::ServicePort) -> Option<ServicePort> {
    Some(ServicePort {
        name: port.name.clone().unwrap_or_default(),
        transport: transport(port.protocol.as_deref()?)?,
        port: number(port.port)?,
        node_port: number(port.node_port.unwrap_or_default()),
    })
}

fn number(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number != 0)
}
