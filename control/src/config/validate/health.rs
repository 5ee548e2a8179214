//! What operators look at, and how fast changes are followed: `metricsBindAddress`, `healthzBindAddress`,
//! `minSyncPeriod`, `syncPeriod`. Names are kube-proxy's, and so are the defaults but that of `minSyncPeriod`.

use super::{
    super::{scalar, settings::Sync},
    check::parsed,
};
use crate::fault::Faults;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Only for this machine: metrics name every Service.
pub(super) const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
/// For load balancers and the kubelet.
pub(super) const HEALTHZ: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 10256);

/// An address with a port, or without for the default one; empty for none.
pub(super) fn bind_address(
    path: &str,
    given: Option<String>,
    default: SocketAddr,
    faults: &mut Faults,
) -> Option<SocketAddr> {
    match given.as_deref().map(str::trim) {
        None => Some(default),
        Some("") => None,
        Some(_) => {
            let parser = |text: &str| scalar::bind_address(text, default.port());
            Some(parsed(path, given, parser, faults).unwrap_or(default))
        }
    }
}

pub(super) fn sync(min_period: Option<String>, period: Option<String>, faults: &mut Faults) -> Sync {
    let default = Sync::default();
    let shown = |text: &Option<String>| format!("{:?}", text.as_deref().unwrap_or_default());
    let (shown_min, shown_period) = (shown(&min_period), shown(&period));
    let sync = Sync {
        min_period: parsed("minSyncPeriod", min_period, scalar::duration, faults)
            .unwrap_or(default.min_period),
        period: parsed("syncPeriod", period, scalar::duration, faults).unwrap_or(default.period),
    };
    if sync.min_period > Duration::from_secs(60) {
        faults.value("minSyncPeriod", shown_min, "must be at most 60s: changes of endpoints wait for it");
    }
    if sync.period < Duration::from_secs(1) || sync.period > Duration::from_secs(3600) {
        faults.value("syncPeriod", shown_period, "must be from 1s to 1h");
    }
    sync
}
