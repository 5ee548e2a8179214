//! What a Service may say (§1.4), once its defaults are filled in.

use super::super::{
    IpFamily,
    address::{self, special},
    names::{NO_PORT, is_dns_subdomain, is_qualified_name},
};
use crate::fault::{Fault, Faults};
use k8s_openapi::api::core::v1::{LoadBalancerIngress, ServiceSpec};

/// A day; the message says "less than", but the API accepts the bound itself.
const LONGEST_AFFINITY_SECONDS: i32 = 86_400;
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) fn validate(
    spec: &ServiceSpec,
    ingress: &[LoadBalancerIngress],
    faults: &mut Faults,
    warnings: &mut Faults,
) {
    let kind = text(&spec.type_);
    let headless = text(&spec.cluster_ip) == "None";
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ports.is_empty() && !headless && kind != "ExternalName" {
        faults.required("spec.ports", "");
    }
    super::ports::validate(ports, kind, faults);
    if !matches!(kind, "ClusterIP" | "ExternalName" | "LoadBalancer" | "NodePort") {
        faults.unsupported("spec.type", kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    }
    external_name(spec, kind, faults);
    cluster_ips(spec, kind, faults, warnings);
    families(spec, faults);
    affinity(spec, faults);
    for (index, ip) in spec.external_ips.iter().flatten().enumerate() {
        let path = format!("spec.externalIPs[{index}]");
        if let Some(reason) = address::address(&path, ip, faults, warnings).and_then(special) {
            faults.invalid(path, ip, reason);
        }
    }
    load_balancer(spec, kind, faults, warnings);
    policies(spec, kind, faults);
    status(ingress, kind, faults, warnings);
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

fn external_name(spec: &ServiceSpec, kind: &str, faults: &mut Faults) {
    if kind != "ExternalName" {
        return;
    }
    const FORBIDDEN: &str = "may not be set for ExternalName services";
    for (path, set) in [
        ("spec.clusterIPs", spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty())),
        ("spec.ipFamilies", spec.ip_families.as_ref().is_some_and(|families| !families.is_empty())),
        ("spec.ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ] {
        if set {
            faults.forbidden(path, FORBIDDEN);
        }
    }
    let name = text(&spec.external_name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        faults.required("spec.externalName", "");
    } else if !is_dns_subdomain(name) {
        faults.invalid("spec.externalName", name, "must be a lowercase RFC 1123 subdomain");
    }
}

fn cluster_ips(spec: &ServiceSpec, kind: &str, faults: &mut Faults, warnings: &mut Faults) {
    const PATH: &str = "spec.clusterIPs";
    let (ip, ips) = (text(&spec.cluster_ip), spec.cluster_ips.as_deref().unwrap_or_default());
    if kind == "ExternalName" {
        return;
    }
    if ip.is_empty() && !ips.is_empty() {
        faults.invalid(PATH, ips, "must be empty when `clusterIP` is not specified");
    } else if !ips.is_empty() && ips[0] != ip {
        faults.invalid(PATH, ips, "first value must match `clusterIP`");
    }
    if ips.first().is_some_and(|first| first == "None") {
        match kind {
            "LoadBalancer" => faults.invalid(
                format!("{PATH}[0]"),
                "None",
                "may not be set to 'None' for LoadBalancer services",
            ),
            "NodePort" => {
                faults.invalid(format!("{PATH}[0]"), "None", "may not be set to 'None' for NodePort services")
            }
            _ => {}
        }
    }
    if ips.len() > 1 && ips.iter().any(|ip| ip == "None") {
        return faults.invalid(PATH, ips, "'None' must be the first and only value");
    }
    if ips.iter().any(|ip| ip == "None") {
        return;
    }
    if ips.len() > 2 {
        faults.invalid(PATH, ips, "may only hold up to 2 values");
    }
    let mut families = Vec::new();
    for (index, ip) in ips.iter().enumerate() {
        families
            .extend(address::address(&format!("{PATH}[{index}]"), ip, faults, warnings).map(IpFamily::of));
    }
    if ips.len() == 2 && families.len() == 2 {
        if families[0] == families[1] {
            faults.invalid(PATH, ips, "may specify no more than one IP for each IP family");
        }
        if !matches!(text(&spec.ip_family_policy), "RequireDualStack" | "PreferDualStack" | "") {
            let detail =
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified";
            faults.invalid("spec.ipFamilyPolicy", text(&spec.ip_family_policy), detail);
        }
    }
    for (index, (family, wanted)) in families.iter().zip(spec.ip_families.iter().flatten()).enumerate() {
        if family.name() != wanted {
            let detail = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            faults.invalid(format!("{PATH}[{index}]"), &ips[index], detail);
        }
    }
}

fn families(spec: &ServiceSpec, faults: &mut Faults) {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    for (index, family) in families.iter().enumerate() {
        let path = format!("spec.ipFamilies[{index}]");
        match IpFamily::from_name(family) {
            None => faults.unsupported(path, family, &["IPv4", "IPv6"]),
            Some(_) if families[..index].contains(family) => faults.duplicate(path, family),
            Some(_) => {}
        }
    }
    if !matches!(text(&spec.ip_family_policy), "" | "PreferDualStack" | "RequireDualStack" | "SingleStack") {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        faults.unsupported("spec.ipFamilyPolicy", text(&spec.ip_family_policy), &supported);
    }
}

fn affinity(spec: &ServiceSpec, faults: &mut Faults) {
    match text(&spec.session_affinity) {
        "ClientIP" => {
            let config = spec.session_affinity_config.as_ref();
            let seconds =
                config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds).unwrap_or_default();
            if seconds <= 0 || seconds > LONGEST_AFFINITY_SECONDS {
                let detail = format!("must be greater than 0 and less than {LONGEST_AFFINITY_SECONDS}");
                faults.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, detail);
            }
        }
        "None" => {}
        other => faults.unsupported("spec.sessionAffinity", other, &["ClientIP", "None"]),
    }
}

fn load_balancer(spec: &ServiceSpec, kind: &str, faults: &mut Faults, warnings: &mut Faults) {
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    if kind != "LoadBalancer" {
        // The API server's path has this capital letter.
        if !ranges.is_empty() {
            faults.forbidden("spec.LoadBalancerSourceRanges", ONLY_LOAD_BALANCER);
        }
        if spec.allocate_load_balancer_node_ports.is_some() {
            faults.forbidden("spec.allocateLoadBalancerNodePorts", ONLY_LOAD_BALANCER);
        }
        if spec.load_balancer_class.is_some() {
            faults.forbidden("spec.loadBalancerClass", ONLY_LOAD_BALANCER);
        }
        return;
    }
    // An API server refuses these, but may have stored some long ago. As for kube-proxy the others count: who is left out
    // by it is kept out, so it lets nobody in.
    let mut unread = Faults::default();
    for (index, range) in ranges.iter().enumerate() {
        address::cidr(&format!("spec.LoadBalancerSourceRanges[{index}]"), range, &mut unread, warnings);
    }
    warnings.extend(unread.into_vec().into_iter().map(|Fault { path, message }| Fault {
        path,
        message: format!("{message}; this range is left out, the others count"),
    }));
    if let Some(class) = spec.load_balancer_class.as_deref().filter(|class| !is_qualified_name(class)) {
        faults.invalid(
            "spec.loadBalancerClass",
            class,
            "must be a qualified name, as example.com/internal-vip",
        );
    }
}

fn policies(spec: &ServiceSpec, kind: &str, faults: &mut Faults) {
    const POLICIES: [&str; 2] = ["Cluster", "Local"];
    let has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    let accessible = matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && has_external_ips);
    let external = text(&spec.external_traffic_policy);
    if !accessible && !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        faults.invalid("spec.externalTrafficPolicy", external, detail);
    } else if accessible && !POLICIES.contains(&external) {
        faults.unsupported("spec.externalTrafficPolicy", external, &POLICIES);
    }
    let internal = text(&spec.internal_traffic_policy);
    if kind != "ExternalName" && !POLICIES.contains(&internal) {
        faults.unsupported("spec.internalTrafficPolicy", internal, &POLICIES);
    }
    let port = spec.health_check_node_port.unwrap_or_default();
    if port != 0 {
        const PATH: &str = "spec.healthCheckNodePort";
        if !(kind == "LoadBalancer" && external == "Local") {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            faults.invalid(PATH, port, detail);
        } else if !(1..=65535).contains(&port) {
            faults.invalid(PATH, port, NO_PORT);
        }
    }
    const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if let Some(given) = spec.traffic_distribution.as_deref().filter(|given| !DISTRIBUTIONS.contains(given)) {
        faults.unsupported("spec.trafficDistribution", given, &DISTRIBUTIONS);
    }
}

fn status(ingress: &[LoadBalancerIngress], kind: &str, faults: &mut Faults, warnings: &mut Faults) {
    if !ingress.is_empty() && kind != "LoadBalancer" {
        faults
            .forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'");
    }
    for (index, entry) in ingress.iter().enumerate() {
        let path = format!("status.loadBalancer.ingress[{index}]");
        let ip = text(&entry.ip);
        if !ip.is_empty() {
            address::address(&format!("{path}.ip"), ip, faults, warnings);
        }
        match entry.ip_mode.as_deref() {
            Some(_) if ip.is_empty() => {
                faults.forbidden(format!("{path}.ipMode"), "may not be specified when `ip` is not set");
            }
            None | Some("Proxy" | "VIP") => {}
            Some(other) => faults.unsupported(format!("{path}.ipMode"), other, &["Proxy", "VIP"]),
        }
    }
}
