//! What the API server fills in on reading and writing (§1.2).

use k8s_openapi::api::core::v1::{
    ClientIPConfig, LoadBalancerIngress, ServiceSpec, ServiceStatus, SessionAffinityConfig,
};

/// `sessionAffinityConfig.clientIP.timeoutSeconds` where it is not given: three hours.
const AFFINITY_SECONDS: i32 = 10800;

pub(super) fn spec(mut spec: ServiceSpec) -> ServiceSpec {
    fill(&mut spec.type_, "ClusterIP");
    fill(&mut spec.session_affinity, "None");
    match spec.session_affinity.as_deref() {
        Some("ClientIP") => {
            let config = spec.session_affinity_config.get_or_insert_with(SessionAffinityConfig::default);
            let client = config.client_ip.get_or_insert_with(ClientIPConfig::default);
            client.timeout_seconds.get_or_insert(AFFINITY_SECONDS);
        }
        Some("None") => spec.session_affinity_config = None,
        _ => {}
    }
    for port in spec.ports.iter_mut().flatten() {
        fill(&mut port.protocol, "TCP");
    }
    let kind = spec.type_.as_deref().unwrap_or_default();
    let has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    if matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && has_external_ips) {
        fill(&mut spec.external_traffic_policy, "Cluster");
    }
    match kind {
        "ExternalName" => spec.internal_traffic_policy = None,
        _ if spec.internal_traffic_policy.is_none() => spec.internal_traffic_policy = Some("Cluster".into()),
        _ => {}
    }
    // What the API server does before defaulting: the older field alone fills the newer one.
    if let Some(ip) = spec.cluster_ip.clone().filter(|ip| !ip.is_empty()) {
        let ips = spec.cluster_ips.get_or_insert_default();
        if ips.is_empty() {
            ips.push(ip);
        }
    }
    spec
}

pub(super) fn ingress(status: Option<ServiceStatus>) -> Vec<LoadBalancerIngress> {
    let mut ingress = status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
    for entry in &mut ingress {
        if entry.ip.as_ref().is_some_and(|ip| !ip.is_empty()) && entry.ip_mode.is_none() {
            entry.ip_mode = Some("VIP".into());
        }
    }
    ingress
}

fn fill(field: &mut Option<String>, default: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(default.into());
    }
}
