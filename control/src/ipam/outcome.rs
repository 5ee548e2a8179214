//! What came of settling a Service, in the words that users of MetalLB know (§5.3).

use super::{
    allocator::Settled,
    error::{FamilyError, Listed, Pending},
    ours::ADDRESS_ASSIGNED,
};
use crate::{
    objects::ObjectKey,
    reports::Notice,
    watch::{Condition, ConditionStatus},
};
use k8s_openapi::api::core::v1::Service;
use std::{borrow::Cow, net::IpAddr};

/// What a Service is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pool: Option<String>,
    pub(super) condition: Condition,
    /// What happened just now.
    pub(super) news: Vec<Notice>,
    /// What is wrong, to be told unless it was told before: unless the condition is the same.
    pub(super) failure: Option<Notice>,
}

impl Outcome {
    /// A Service that is to have no address.
    pub(super) fn none(reason: &'static str, message: impl Into<String>) -> Self {
        let condition = condition(false, reason, message.into());
        Self { addresses: Vec::new(), pool: None, condition, news: Vec::new(), failure: None }
    }

    /// A Service that had the addresses `present`, and was settled.
    pub(super) fn of(key: &ObjectKey, service: &Service, present: &[IpAddr], settled: Settled) -> Self {
        let news = news(key, present, &settled);
        let failure = failure(key, service, present, &settled);
        let condition = match (&settled.pending, settled.addresses.as_slice()) {
            (Some(pending), []) => {
                condition(false, pending.reason(), format!("{pending}: {}", pending.remedy()))
            }
            (pending, addresses) => assigned(addresses, &settled, pending.as_ref()),
        };
        Self { addresses: settled.addresses, pool: settled.pool, condition, news, failure }
    }
}

fn condition(holds: bool, reason: &'static str, message: String) -> Condition {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    Condition { kind: ADDRESS_ASSIGNED, status, reason: Cow::Borrowed(reason), message, generation: None }
}

/// It has addresses. There may be something to say about them all the same.
fn assigned(addresses: &[IpAddr], settled: &Settled, pending: Option<&Pending>) -> Condition {
    let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let pool = settled.pool.as_deref().unwrap_or_default();
    let has = format!("{} of IPAddressPool {pool}", words.join(", "));
    let (reason, message) = if let Some(pending) = pending {
        (pending.reason(), format!("{has} stays although {pending}: {}", pending.remedy()))
    } else if let Some((address, guest)) = &settled.guest {
        let advice = "one of them must give it up";
        ("AddressConflict", format!("{has}; somebody else gave {address} to Service {guest} too: {advice}"))
    } else if settled.lacks_second {
        let advice = "add addresses of the other family to it";
        ("SecondFamilyMissing", format!("{has}, which has none free of the other family: {advice}"))
    } else {
        ("Assigned", has)
    };
    condition(true, reason, message)
}

fn news(key: &ObjectKey, present: &[IpAddr], settled: &Settled) -> Vec<Notice> {
    let mut news = Vec::new();
    match &settled.cleared {
        Some(Pending::Families { .. }) => {
            if let Some(fault) = FamilyError::of(present) {
                let listed = Listed(present.to_vec());
                let note = format!("Failed to retrieve LBIPs IPFamily for {listed}: {fault}");
                news.push(Notice::warning("nolbIPsIPFamily", note));
            }
        }
        // Another pool is wished for, or there is none at all: that the address goes is no surprise.
        Some(Pending::OtherPool { .. }) | None => {}
        Some(_) if settled.pending == Some(Pending::NoPools) => {}
        Some(refused) => news.push(Notice::normal(
            "ClearAssignment",
            format!(
                "current IP for {:?} not allowed by config, will attempt for new IP assignment: {refused}",
                key.to_string()
            ),
        )),
    }
    match (settled.addresses.as_slice(), present) {
        (now, before) if now.is_empty() || now == before => {}
        ([first, second], [before]) if first == before => {
            news.push(Notice::normal("IPAllocated", format!("Assigned additional IP \"{second}\"")));
        }
        (now, _) => {
            news.push(Notice::normal("IPAllocated", format!("Assigned IP {}", Listed(now.to_vec()))));
        }
    }
    news
}

fn failure(key: &ObjectKey, service: &Service, present: &[IpAddr], settled: &Settled) -> Option<Notice> {
    match &settled.pending {
        // Nothing can be done for any Service; the condition says so.
        Some(Pending::NoPools) => None,
        Some(Pending::ClusterIps) => {
            let ips = service.spec.as_ref().and_then(|spec| spec.cluster_ips.clone()).unwrap_or_default();
            let note = format!("Service requires dual stack but not enough clusterips [{}]", ips.join(" "));
            Some(Notice::warning("not enough clusterips", note))
        }
        Some(Pending::Request(fault)) if !present.is_empty() => Some(Notice::warning(
            "LoadBalancerFailed",
            format!("invalid requested loadbalancer IPs: {fault}"),
        )),
        Some(pending) => {
            let note = format!("Failed to allocate IP for {:?}: {pending}", key.to_string());
            Some(Notice::warning("AllocationFailed", note))
        }
        None if settled.guest.is_some() => {
            let (address, guest) = settled.guest.as_ref()?;
            let note = format!("somebody else gave {address} to Service {guest} too");
            Some(Notice::warning("AddressConflict", note))
        }
        None if settled.lacks_second => {
            let pool = settled.pool.as_deref().unwrap_or_default();
            let note =
                format!("cannot assign additional IP in PreferDualStack: no available IPs in pool {pool:?}");
            Some(Notice::normal("AdditionalAssignFailed", note))
        }
        None => None,
    }
}
