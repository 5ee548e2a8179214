//! Kubernetes objects as they were read, before anyone has looked inside: what sources hand to the model. EndpointSlices are
//! the exception, because there are so many: of them is kept what was read.

use crate::{
    fault::{Origin, Problem},
    metallb::{IpAddressPool, L2Advertisement},
    model::ReadSlice,
};
use imbl::{OrdMap, ordmap::DiffItem};
use k8s_openapi::Resource;
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

/// Namespace and name; the namespace of a Node, or of a Namespace, is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

impl FromStr for ObjectKey {
    type Err = &'static str;

    /// Reads `namespace/name`, or a name in the namespace `default`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err("must be NAMESPACE/SERVICE");
        }
        Ok(Self::new(namespace, name))
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
#[derive(Debug)]
pub struct Object<T> {
    /// Where it was read; `None` if it came from an API server.
    pub origin: Option<Origin>,
    /// The object.
    pub value: Arc<T>,
}

impl<T> Clone for Object<T> {
    fn clone(&self) -> Self {
        Self { origin: self.origin.clone(), value: Arc::clone(&self.value) }
    }
}

/// Whether they are the same reading of the same place, which costs no look inside.
impl<T> PartialEq for Object<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value) && self.origin == other.origin
    }
}

/// The objects of one kind. A copy costs nothing, and two of them are told apart by what differs.
pub type Kind<T> = OrdMap<ObjectKey, Object<T>>;

/// The keys of what one of them has and the other has not, or not the same.
pub fn changed_keys<T>(old: &Kind<T>, new: &Kind<T>) -> BTreeSet<ObjectKey> {
    let differences = old.diff(new).map(|item| match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => key,
    });
    differences.cloned().collect()
}

/// All objects of a source at one moment. A copy is cheap: sources hand out one for each moment.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The source has not listed everything yet: what there is may lack endpoints, and must not be served.
    pub pending: bool,
    /// The Services.
    pub services: Kind<Service>,
    /// The EndpointSlices.
    pub slices: Kind<ReadSlice>,
    /// The Nodes.
    pub nodes: Kind<Node>,
    /// The Namespaces, for their labels.
    pub namespaces: Kind<Namespace>,
    /// The pools that LoadBalancer Services have their addresses from.
    pub pools: Kind<IpAddressPool>,
    /// Which of those addresses are announced, and where.
    pub advertisements: Kind<L2Advertisement>,
    /// What could not be read, and what was read but looks wrong.
    pub problems: Vec<Problem>,
}

/// The kinds of objects that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A Service.
    Service,
    /// An EndpointSlice.
    EndpointSlice,
    /// A Node.
    Node,
    /// A Namespace.
    Namespace,
    /// MetalLB's IPAddressPool.
    IpAddressPool,
    /// MetalLB's L2Advertisement.
    L2Advertisement,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Service,
        Self::EndpointSlice,
        Self::Node,
        Self::Namespace,
        Self::IpAddressPool,
        Self::L2Advertisement,
    ];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => Service::KIND,
            Self::EndpointSlice => EndpointSlice::KIND,
            Self::Node => Node::KIND,
            Self::Namespace => Namespace::KIND,
            Self::IpAddressPool => IpAddressPool::KIND,
            Self::L2Advertisement => L2Advertisement::KIND,
        }
    }

    /// Its group and version in the API.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Service => Service::API_VERSION,
            Self::EndpointSlice => EndpointSlice::API_VERSION,
            Self::Node => Node::API_VERSION,
            Self::Namespace => Namespace::API_VERSION,
            Self::IpAddressPool => IpAddressPool::API_VERSION,
            Self::L2Advertisement => L2Advertisement::API_VERSION,
        }
    }
}

/// An object by kind and name, as messages name it: `Service default/web`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub key: ObjectKey,
}

impl Subject {
    /// A Service.
    pub fn service(key: &ObjectKey) -> Self {
        Self { kind: ObjectKind::Service, key: key.clone() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key)
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
