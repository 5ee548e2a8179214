//! Kubernetes objects as they were read, before anyone has looked inside: what sources hand to the model.

use crate::fault::{Origin, Problem};
use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Namespace and name; the namespace of a Node is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// `namespace/name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// An object and its place. An object that was not read again keeps its `Arc`, by which the model knows that it is
/// the same.
#[derive(Debug, Clone)]
pub struct Object<T> {
    /// Where it was read; `None` if it came from an API server.
    pub origin: Option<Origin>,
    /// The object.
    pub value: Arc<T>,
}

/// All objects of a source at one moment.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The source has not listed everything yet: what there is may lack endpoints, and must not be served.
    pub pending: bool,
    /// The Services.
    pub services: BTreeMap<ObjectKey, Object<Service>>,
    /// The EndpointSlices.
    pub slices: BTreeMap<ObjectKey, Object<EndpointSlice>>,
    /// The Nodes.
    pub nodes: BTreeMap<ObjectKey, Object<Node>>,
    /// What could not be read, and what was read but looks wrong.
    pub problems: Vec<Problem>,
}
