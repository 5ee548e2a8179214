//! `spec.ports` (§1.4).

use super::super::names::{NO_DNS_LABEL, NO_PORT, iana_service_name, is_dns_label, is_qualified_name};
use crate::fault::Faults;
use k8s_openapi::{api::core::v1::ServicePort, apimachinery::pkg::util::intstr::IntOrString};
use serde_json::json;

pub(super) fn validate(ports: &[ServicePort], kind: &str, faults: &mut Faults) {
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let at = |field: &str| format!("{path}.{field}");
        let earlier = &ports[..index];
        one(port, &at, ports.len() > 1, faults);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() && earlier.iter().any(|other| other.name.as_deref() == Some(name)) {
            faults.duplicate(at("name"), name);
        }
        if earlier.iter().any(|other| other.protocol == port.protocol && other.port == port.port) {
            faults.duplicate(&path, json!({"protocol": port.protocol, "port": port.port}));
        }
        let Some(node_port) = port.node_port.filter(|number| *number != 0) else { continue };
        if kind == "ClusterIP" {
            faults.forbidden(at("nodePort"), "may not be used when `type` is 'ClusterIP'");
        } else if !(1..=65535).contains(&node_port) {
            faults.invalid(at("nodePort"), node_port, NO_PORT);
        }
        if earlier.iter().any(|other| other.protocol == port.protocol && other.node_port == Some(node_port)) {
            faults.duplicate(at("nodePort"), node_port);
        }
    }
}

fn one(port: &ServicePort, at: &impl Fn(&str) -> String, name_needed: bool, faults: &mut Faults) {
    match port.name.as_deref().unwrap_or_default() {
        "" if name_needed => faults.required(at("name"), ""),
        "" => {}
        name if !is_dns_label(name) => faults.invalid(at("name"), name, NO_DNS_LABEL),
        _ => {}
    }
    if !(1..=65535).contains(&port.port) {
        faults.invalid(at("port"), port.port, NO_PORT);
    }
    let protocol = port.protocol.as_deref().unwrap_or_default();
    if !matches!(protocol, "SCTP" | "TCP" | "UDP") {
        faults.unsupported(at("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    }
    match &port.target_port {
        // Zero and empty stand for the port itself.
        None | Some(IntOrString::Int(0)) => {}
        Some(IntOrString::Int(number)) if !(1..=65535).contains(number) => {
            faults.invalid(at("targetPort"), number, NO_PORT);
        }
        Some(IntOrString::Int(_)) => {}
        Some(IntOrString::String(name)) if name.is_empty() => {}
        Some(IntOrString::String(name)) => {
            if let Some(reason) = iana_service_name(name) {
                faults.invalid(at("targetPort"), name, reason);
            }
        }
    }
    if let Some(protocol) = port.app_protocol.as_deref().filter(|protocol| !is_qualified_name(protocol)) {
        faults.invalid(at("appProtocol"), protocol, "must be a qualified name, as http or kubernetes.io/h2c");
    }
}
