//! Whether a new flow's backend sees the client or us: part of the decision (`select.rs`).
//!
//! In: who sends, how the Service was addressed, and its policy. Out: the row of `service-semantics.md` §3.7 that says so.

use crate::{
    table::{Service, Tables, TrafficPolicy, VipKind},
    wire::Family,
};
use serde::Serialize;

/// Who sends (§3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SourceClass {
    /// A pod, says the local detector.
    Pod,
    /// An address of this node.
    Host,
    /// Anybody else.
    Outside,
}

/// Whether the source is translated too, and by which row of §3.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Masquerade {
    /// The backend sees the client: a pod to a cluster IP (row 1).
    NoPodToClusterIp,
    /// The backend sees the client: no local detector is set (row 4).
    NoDetector,
    /// The backend sees the client: externalTrafficPolicy is Local (rows 6, 7).
    NoExternalLocal,
    /// Not from a local pod (row 2).
    YesNotLocal,
    /// masqueradeAll is set (row 3).
    YesAll,
    /// External traffic with policy Cluster (row 5).
    YesExternalCluster,
    /// External traffic from this node (row 8).
    YesHost,
    /// The client is the backend (row 9).
    YesHairpin,
}

impl Masquerade {
    /// Whether it is.
    pub fn is_on(self) -> bool {
        match self {
            Self::NoPodToClusterIp | Self::NoDetector | Self::NoExternalLocal => false,
            Self::YesNotLocal
            | Self::YesAll
            | Self::YesExternalCluster
            | Self::YesHost
            | Self::YesHairpin => true,
        }
    }
}

/// Who sends from this address.
#[inline]
pub(super) fn classify_source<F: Family>(tables: &Tables<F>, source: F::Addr) -> SourceClass {
    let locality = &tables.locality;
    if locality.host.contains(&source) {
        SourceClass::Host
    } else if locality.pods.is_some_and(|pods| pods.contains(source)) {
        SourceClass::Pod
    } else {
        SourceClass::Outside
    }
}

/// The rows of §3.7, in the order that decides.
pub(super) fn masquerade<F: Family>(
    tables: &Tables<F>,
    service: &Service<F>,
    kind: VipKind,
    source: SourceClass,
    hairpin: bool,
) -> Masquerade {
    if hairpin {
        return Masquerade::YesHairpin;
    }
    if kind == VipKind::ClusterIp {
        return match (tables.locality.masquerade_all, tables.locality.pods, source) {
            (true, _, _) => Masquerade::YesAll,
            (false, None, _) => Masquerade::NoDetector,
            (false, Some(_), SourceClass::Pod) => Masquerade::NoPodToClusterIp,
            (false, Some(_), SourceClass::Host | SourceClass::Outside) => Masquerade::YesNotLocal,
        };
    }
    match (service.external_policy, source) {
        (TrafficPolicy::Cluster, _) => Masquerade::YesExternalCluster,
        (TrafficPolicy::Local, SourceClass::Host) => Masquerade::YesHost,
        (TrafficPolicy::Local, SourceClass::Pod | SourceClass::Outside) => Masquerade::NoExternalLocal,
    }
}
