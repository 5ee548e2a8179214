//! Kubernetes objects as plain, validated types, joined by Service.
//!
//! In: [`Objects`](crate::objects::Objects) of a source. Out: a [`Model`] of [`Joined`] Services and [`Node`]s, and what
//! is wrong. Nothing after this module knows of Kubernetes' own types. An object that is wrong keeps its last good
//! version; one that has not changed is not looked at again, and keeps its `Arc`, by which the compiler knows that
//! nothing has to be done for it. The rules are §1.2, §1.4, §2 and §3.1 of `service-semantics.md`.

mod address;
mod names;
mod service;
mod slice;
mod node;
mod differences;
mod join;

pub(crate) use differences::differences;
pub use join::{Joined, Model};
pub(crate) use names::transport;
pub use node::{Node, NodeAddress, NodeAddressKind};
pub use service::{Service, ServicePort, ServiceType};
pub use slice::{Endpoint, ReadSlice, Slice, SlicePort};

use crate::fault::Fault;
use serde::Serialize;
use std::{fmt, net::IpAddr, sync::Arc};

/// What came of looking at one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// The object; `None` if it is none of our business. Or all that is wrong with it.
    pub value: Result<Option<T>, Vec<Fault>>,
    /// What is right but may not be meant.
    pub warnings: Vec<Fault>,
}

impl<T> Reading<T> {
    /// The same, to be shared.
    pub(crate) fn shared(self) -> Reading<Arc<T>> {
        Reading { value: self.value.map(|value| value.map(Arc::new)), warnings: self.warnings }
    }
}

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum IpFamily {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

impl IpFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The family with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.name() == name)
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
