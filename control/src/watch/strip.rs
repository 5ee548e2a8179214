//! Which kinds are followed, and what of each object is kept.
//!
//! Kept is what `model`, `ipam` and `l2` read, and what events and conditions need to be about an object (uid,
//! generation). Versions and times that move while nothing else does are dropped, so that equal means "no news". Of
//! slices is kept what the model reads of them. Vectors are cut to size.

use crate::{
    metallb::{IpAddressPool, L2Advertisement},
    model::ReadSlice,
    objects::{Kind, ObjectKey, ObjectKind, Objects},
};
use k8s_openapi::{
    api::{
        core::v1::{Namespace, Node, NodeSpec, NodeStatus, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Resource, core::DeserializeGuard};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Whose annotations on Services somebody reads.
const ANNOTATIONS: [&str; 4] =
    ["metallb.io/", "metallb.universe.tf/", "penstock.dev/", "service.kubernetes.io/"];
/// Whose conditions on Services are ours.
const CONDITIONS: &str = "penstock.dev/";
/// The conditions of Nodes that say whether they may announce.
const NODE_CONDITIONS: [&str; 2] = ["NetworkUnavailable", "Ready"];

/// A kind as it comes from the API server.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// As it is kept.
    type Kept: PartialEq + Send + Sync + 'static;
    /// Its kind.
    const KIND: ObjectKind;
    /// Its name in paths, and in what people are told.
    const PLURAL: &'static str;
    /// Whether a cluster may lack the kind.
    const OPTIONAL: bool = false;
    /// Which of them are asked for, by label.
    const LABELS: Option<&'static str> = None;

    /// Where they are kept.
    fn of(objects: &mut Objects) -> &mut Kind<Self::Kept>;
    /// Keeps what is needed. An error says what is wrong with its shape.
    fn keep(self) -> Result<Self::Kept, String>;
}

/// What an object is called.
pub(super) fn key(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

impl Watched for Service {
    type Kept = Self;
    const KIND: ObjectKind = ObjectKind::Service;
    const PLURAL: &'static str = "services";

    fn of(objects: &mut Objects) -> &mut Kind<Self> {
        &mut objects.services
    }

    fn keep(mut self) -> Result<Self, String> {
        let annotations = self.metadata.annotations.take().map(|mut annotations| {
            annotations.retain(|name, _| ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix)));
            annotations
        });
        self.metadata = meta(self.metadata);
        self.metadata.annotations = annotations.filter(|annotations| !annotations.is_empty());
        if let Some(spec) = &mut self.spec {
            // By it two Services with the same backends share an address; nobody else asks whom it selects.
            spec.selector = spec.selector.take().filter(|_| spec.type_.as_deref() == Some("LoadBalancer"));
            spec.ports.iter_mut().for_each(Vec::shrink_to_fit);
        }
        if let Some(status) = &mut self.status {
            if let Some(conditions) = &mut status.conditions {
                conditions.retain(|condition| condition.type_.starts_with(CONDITIONS));
            }
            status.conditions = status.conditions.take().filter(|conditions| !conditions.is_empty());
            if let Some(ingress) = status.load_balancer.as_mut().and_then(|status| status.ingress.as_mut()) {
                ingress.shrink_to_fit();
            }
        }
        Ok(self)
    }
}

impl Watched for EndpointSlice {
    type Kept = ReadSlice;
    const KIND: ObjectKind = ObjectKind::EndpointSlice;
    const PLURAL: &'static str = "endpointslices";
    // As kube-proxy asks for them: clients of headless Services connect to endpoints themselves (§2.1).
    const LABELS: Option<&'static str> = Some("!service.kubernetes.io/headless");

    fn of(objects: &mut Objects) -> &mut Kind<ReadSlice> {
        &mut objects.slices
    }

    fn keep(self) -> Result<ReadSlice, String> {
        Ok(self.into())
    }
}

impl Watched for Node {
    type Kept = Self;
    const KIND: ObjectKind = ObjectKind::Node;
    const PLURAL: &'static str = "nodes";

    fn of(objects: &mut Objects) -> &mut Kind<Self> {
        &mut objects.nodes
    }

    fn keep(mut self) -> Result<Self, String> {
        self.metadata = meta(self.metadata);
        self.spec = self.spec.take().map(|spec| NodeSpec {
            pod_cidrs: spec.pod_cidrs,
            taints: spec.taints,
            unschedulable: spec.unschedulable,
            ..Default::default()
        });
        self.status = self.status.take().map(|status| {
            let mut conditions = status.conditions.unwrap_or_default();
            conditions.retain(|condition| NODE_CONDITIONS.contains(&condition.type_.as_str()));
            for condition in &mut conditions {
                // The kubelet's heartbeat.
                condition.last_heartbeat_time = None;
                condition.last_transition_time = None;
                condition.message = None;
                condition.reason = None;
            }
            NodeStatus {
                addresses: status.addresses,
                conditions: (!conditions.is_empty()).then_some(conditions),
                ..Default::default()
            }
        });
        Ok(self)
    }
}

impl Watched for Namespace {
    type Kept = Self;
    const KIND: ObjectKind = ObjectKind::Namespace;
    const PLURAL: &'static str = "namespaces";

    fn of(objects: &mut Objects) -> &mut Kind<Self> {
        &mut objects.namespaces
    }

    fn keep(self) -> Result<Self, String> {
        Ok(Self { metadata: meta(self.metadata), ..Default::default() })
    }
}

// Others write the schemas of custom resources: one that is not as we know it must not take the whole list with it.
impl Watched for DeserializeGuard<IpAddressPool> {
    type Kept = IpAddressPool;
    const KIND: ObjectKind = ObjectKind::IpAddressPool;
    const PLURAL: &'static str = "ipaddresspools";
    const OPTIONAL: bool = true;

    fn of(objects: &mut Objects) -> &mut Kind<IpAddressPool> {
        &mut objects.pools
    }

    fn keep(self) -> Result<IpAddressPool, String> {
        let mut pool = self.0.map_err(|invalid| invalid.error)?;
        pool.metadata = meta(pool.metadata);
        Ok(pool)
    }
}

impl Watched for DeserializeGuard<L2Advertisement> {
    type Kept = L2Advertisement;
    const KIND: ObjectKind = ObjectKind::L2Advertisement;
    const PLURAL: &'static str = "l2advertisements";
    const OPTIONAL: bool = true;

    fn of(objects: &mut Objects) -> &mut Kind<L2Advertisement> {
        &mut objects.advertisements
    }

    fn keep(self) -> Result<L2Advertisement, String> {
        let mut advertisement = self.0.map_err(|invalid| invalid.error)?;
        advertisement.metadata = meta(advertisement.metadata);
        Ok(advertisement)
    }
}

/// Name, labels, and what tells one object from a later one of the same name.
fn meta(meta: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        generation: meta.generation,
        labels: meta.labels,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
