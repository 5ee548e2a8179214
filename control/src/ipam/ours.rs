//! Which Services get their addresses here (S-181), and what such a Service says now.

use crate::{
    config::Ours,
    objects::{ObjectKey, Subject},
    reports::{About, Change, read_condition},
};
use k8s_openapi::api::core::v1::Service;
use std::net::IpAddr;

/// The pool that the addresses of a Service are from.
pub(super) const POOL: &str = "metallb.io/ip-allocated-from-pool";
/// The same, as MetalLB wrote it before version 0.14.
pub(super) const OLD_POOL: &str = "metallb.universe.tf/ip-allocated-from-pool";
/// Whether a Service has its addresses, and why not.
pub const ADDRESS_ASSIGNED: &str = "penstock.dev/AddressAssigned";

/// Who gives a Service its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// We do.
    Ours,
    /// Somebody else does.
    Theirs,
    /// Nobody: it is of another type.
    Nobody,
}

/// Who gives this Service its addresses.
pub(super) fn standing(ours: &Ours, service: &Service) -> Standing {
    match service.spec.as_ref().filter(|spec| spec.type_.as_deref() == Some("LoadBalancer")) {
        None => Standing::Nobody,
        Some(spec) if ours.takes(spec.load_balancer_class.as_deref()) => Standing::Ours,
        Some(_) => Standing::Theirs,
    }
}

/// How a Service is referred to.
pub(super) fn about(key: &ObjectKey, service: &Service) -> About {
    About { subject: Subject::service(key), uid: service.metadata.uid.clone() }
}

/// What of our business a Service says.
pub(super) fn said(service: &Service) -> Vec<Change> {
    let annotations = service.metadata.annotations.as_ref();
    let annotation = |name: &'static str| {
        Change::Annotation(name, annotations.and_then(|annotations| annotations.get(name)).cloned())
    };
    let condition = read_condition(service, ADDRESS_ASSIGNED).map(Change::Condition);
    let states = [Change::Addresses(ingress(service)), annotation(POOL), annotation(OLD_POOL)];
    states.into_iter().chain(condition).collect()
}

/// The addresses that its status has.
pub(super) fn present(service: &Service) -> Vec<IpAddr> {
    ingress(service).iter().filter_map(|text| text.parse().ok()).collect()
}

/// The addresses and names in its status.
fn ingress(service: &Service) -> Vec<String> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entries = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    entries.filter_map(|entry| entry.ip.clone().or_else(|| entry.hostname.clone())).collect()
}

/// Annotations that MetalLB has renamed, in the words of the user.
pub(super) fn deprecated(service: &Service) -> impl Iterator<Item = &String> {
    let annotations = service.metadata.annotations.iter().flatten().map(|(name, _)| name);
    annotations.filter(|name| name.starts_with("metallb.universe.tf/") && *name != OLD_POOL)
}
