//! Our answers, written to the objects they are about.
//!
//! Statuses by server-side apply, each subject by a field manager of its own, so that what two gateways or two parts of this
//! program write does not undo each other; what is ours is written whoever wrote it last. Annotations by a merge patch,
//! because an apply would make anew a Service that was just deleted. What is there already costs the API server a
//! look and wakes nobody. Nothing is tried again here: callers know whether it is still what they want.

use super::{
    MANAGER,
    error::{WriteError, within},
    events::{Event, Recorder},
};
use crate::{
    ipam::Usage,
    metallb::IpAddressPool,
    objects::{ObjectKey, Objects},
};
use k8s_openapi::{
    api::core::v1::Service,
    apimachinery::pkg::apis::meta::v1::{self as meta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    fmt::{self, Debug},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It is.
    True,
    /// It is not.
    False,
    /// It cannot be told.
    Unknown,
}

impl ConditionStatus {
    fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition of an object (`metav1.Condition`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about, as `penstock.dev/AddressAssigned`.
    pub kind: &'static str,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// Why, in one word as `NoAddressesLeft`.
    pub reason: Cow<'static, str>,
    /// Why, for people.
    pub message: String,
    /// The generation of the object that this was said of; `None`: the one that is known.
    pub generation: Option<i64>,
}

/// Writes to the API server. A copy is cheap.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    objects: watch::Receiver<Objects>,
    events: Arc<Recorder>,
}

impl Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(client: Client, node_name: &str, objects: watch::Receiver<Objects>) -> Self {
        let events = Arc::new(Recorder::new(client.clone(), node_name));
        Self { client, objects, events }
    }

    /// Sets `status.loadBalancer.ingress` of a Service; no addresses: clears it.
    pub async fn service_addresses(
        &self,
        service: &ObjectKey,
        addresses: &[IpAddr],
    ) -> Result<(), WriteError> {
        let ingress: Vec<_> = addresses.iter().map(|address| json!({"ip": address})).collect();
        let status = json!({"loadBalancer": {"ingress": ingress}});
        self.service_status(service, "addresses", status).await
    }

    /// Sets a condition of a Service. The time of its last transition stays while its status does.
    pub async fn service_condition(
        &self,
        service: &ObjectKey,
        condition: &Condition,
    ) -> Result<(), WriteError> {
        let since = self.since(service, condition).unwrap_or_else(|| Time(Timestamp::now()));
        let condition_now = meta::Condition {
            type_: condition.kind.to_owned(),
            status: condition.status.word().to_owned(),
            reason: condition.reason.clone().into_owned(),
            message: condition.message.clone(),
            observed_generation: condition.generation.or_else(|| self.generation(service)),
            last_transition_time: since,
        };
        let part = condition.kind.rsplit('/').next().unwrap_or_default();
        self.service_status(service, part, json!({"conditions": [condition_now]})).await
    }

    /// The generation of a Service that is known.
    fn generation(&self, service: &ObjectKey) -> Option<i64> {
        self.objects.borrow().services.get(service)?.value.metadata.generation
    }

    /// Since when a condition has the status that it is to have.
    fn since(&self, service: &ObjectKey, condition: &Condition) -> Option<Time> {
        let objects = self.objects.borrow();
        let status = objects.services.get(service)?.value.status.as_ref()?;
        let mut conditions = status.conditions.iter().flatten();
        let known = conditions.find(|known| known.type_ == condition.kind)?;
        (known.status == condition.status.word()).then(|| known.last_transition_time.clone())
    }

    /// Applies a part of a Service's status.
    async fn service_status(&self, service: &ObjectKey, part: &str, status: Value) -> Result<(), WriteError> {
        let known = self.objects.borrow().services.get(service).map(|known| Arc::clone(&known.value));
        let api: Api<Service> = Api::namespaced(self.client.clone(), &service.namespace);
        let what = format!("patch services/status {service}");
        apply_status(&api, known.as_deref(), &what, part, status).await
    }

    /// Sets an annotation of a Service, or removes it.
    pub async fn annotate_service(
        &self,
        service: &ObjectKey,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), WriteError> {
        let patch = json!({"metadata": {"annotations": {name: value}}});
        let api: Api<Service> = Api::namespaced(self.client.clone(), &service.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let patch = Patch::Merge(&patch);
        let request = api.patch_metadata(&service.name, &params, &patch);
        within(PATIENCE, &format!("patch services {service}"), request).await.map(drop)
    }

    /// Writes how much of a pool is used.
    pub async fn pool_usage(&self, pool: &ObjectKey, usage: &Usage) -> Result<(), WriteError> {
        let known = self.objects.borrow().pools.get(pool).map(|known| Arc::clone(&known.value));
        let api: Api<IpAddressPool> = Api::namespaced(self.client.clone(), &pool.namespace);
        let status = json!({
            "assignedIPv4": usage.assigned[0],
            "assignedIPv6": usage.assigned[1],
            "availableIPv4": usage.available[0],
            "availableIPv6": usage.available[1],
        });
        let what = format!("patch ipaddresspools/status {pool}");
        apply_status(&api, known.as_deref(), &what, "usage", status).await
    }

    /// Records an event. One that was recorded before is counted up.
    pub async fn event(&self, event: &Event) -> Result<(), WriteError> {
        self.events.record(event).await
    }
}

/// Applies a part of an object's status, if it is still the object that is known: an apply to what is gone would create
/// it, or come to be about another of the same name.
async fn apply_status<K>(
    api: &Api<K>,
    known: Option<&K>,
    what: &str,
    part: &str,
    status: Value,
) -> Result<(), WriteError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let gone = || WriteError::Gone { what: what.to_owned() };
    let meta = known.ok_or_else(gone)?.meta();
    let (Some(name), Some(uid)) = (&meta.name, &meta.uid) else { return Err(gone()) };
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": uid},
        "status": status,
    });
    let (params, patch) = (PatchParams::apply(&format!("{MANAGER}-{part}")).force(), Patch::Apply(&patch));
    match within(PATIENCE, what, api.patch_status(name, &params, &patch)).await {
        // Fields are taken by force, so only the uid can be in conflict.
        Err(WriteError::Conflict { .. }) => Err(gone()),
        answer => answer.map(drop),
    }
}
