//! `manifests`, `kubernetes` and `announce`: where objects come from, and what is done for their addresses.

use super::{
    super::{
        raw, scalar,
        settings::{Announce, Kubernetes, Manifests, Ours, Source},
    },
    check::{absolute_path, parsed},
};
use crate::fault::Faults;
use std::time::Duration;

/// Where a pod finds the namespace that it is in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Outside of pods.
const NAMESPACE: &str = "penstock-system";
/// The class of LoadBalancer Services that are ours.
const CLASS: &str = "penstock.dev/gateway";
/// With four renewals in it, of which three may be late.
const LEASE_DURATION: Duration = Duration::from_secs(4);
/// Longer than most flows live.
const RELAY: Duration = Duration::from_secs(300);
/// Longer than clients take to hear of a new owner.
const DRAIN: Duration = Duration::from_secs(2);
/// What a Lease can say is whole seconds.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

pub(super) fn source(
    manifests: Option<raw::Manifests>,
    kubernetes: Option<raw::Kubernetes>,
    faults: &mut Faults,
) -> Source {
    match kubernetes {
        Some(_) if manifests.is_some() => {
            faults.add("kubernetes", "objects come from `manifests` or from `kubernetes`; leave one out");
            Source::Kubernetes(self::kubernetes(raw::Kubernetes::default(), faults))
        }
        Some(raw) => Source::Kubernetes(self::kubernetes(raw, faults)),
        None => {
            let path = manifests.unwrap_or_default().path;
            let path = absolute_path("manifests.path", path, "/etc/penstock/manifests", faults);
            Source::Manifests(Manifests { path })
        }
    }
}

fn kubernetes(raw: raw::Kubernetes, faults: &mut Faults) -> Kubernetes {
    let own = || std::fs::read_to_string(OWN_NAMESPACE).map(|text| text.trim().to_owned());
    let namespace = word("kubernetes.namespace", raw.namespace, faults);
    let namespace = namespace.unwrap_or_else(|| own().unwrap_or_else(|_| NAMESPACE.to_owned()));
    let pool_namespace = word("kubernetes.poolNamespace", raw.pool_namespace, faults);
    Kubernetes {
        kubeconfig: raw.kubeconfig.map(|path| absolute_path("kubernetes.kubeconfig", Some(path), "", faults)),
        pool_namespace: pool_namespace.unwrap_or_else(|| namespace.clone()),
        namespace,
        ours: Ours {
            class: word("kubernetes.loadBalancerClass", raw.load_balancer_class, faults)
                .unwrap_or_else(|| CLASS.to_owned()),
            classless: raw.classless.unwrap_or(false),
        },
    }
}

pub(super) fn announce(raw: raw::Announce, source: &Source, faults: &mut Faults) -> Announce {
    let mut duration = |field: &str, given, default| {
        parsed(&format!("announce.{field}"), given, scalar::duration, faults).unwrap_or(default)
    };
    let lease_duration = duration("leaseDuration", raw.lease_duration, LEASE_DURATION);
    let announce = Announce {
        enabled: raw.enabled.unwrap_or(matches!(source, Source::Kubernetes(_))),
        lease_duration,
        renew_interval: duration("renewInterval", raw.renew_interval, lease_duration / 4),
        gratuitous_interval: Some(duration("gratuitousInterval", raw.gratuitous_interval, Duration::ZERO))
            .filter(|interval| !interval.is_zero()),
        relay: duration("relay", raw.relay, RELAY),
        drain: duration("drain", raw.drain, DRAIN),
    };
    if announce.enabled && !matches!(source, Source::Kubernetes(_)) {
        faults.value(
            "announce.enabled",
            true,
            "gateways elect by Leases, so this needs `kubernetes`; leave it out",
        );
    }
    if announce.lease_duration < SHORTEST_LEASE {
        let shown = format!("{:?}", announce.lease_duration);
        faults.value("announce.leaseDuration", shown, "must be at least 1s, as Leases count whole seconds");
    }
    if announce.renew_interval.is_zero() || announce.renew_interval * 2 > announce.lease_duration {
        faults.value(
            "announce.renewInterval",
            format!("{:?}", announce.renew_interval),
            "must be more than 0 and at most half of announce.leaseDuration, so that one late renewal costs nothing",
        );
    }
    announce
}

/// Text that must not be empty where it is given.
fn word(path: &str, given: Option<String>, faults: &mut Faults) -> Option<String> {
    let given = given?;
    if given.trim().is_empty() {
        faults.value(path, format!("{given:?}"), "must not be empty; leave it out for the default");
        return None;
    }
    Some(given)
}
