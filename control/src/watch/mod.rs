//! An API server as the source of objects, and as the place where our answers are written: the only user of kube.
//!
//! In: [`config::Kubernetes`](crate::config::Kubernetes). Out: a [`Cluster`], which gives [`Objects`](crate::objects::Objects)
//! that follow the API server, a [`Writer`] of statuses, conditions and events, and [`Leases`] by which gateways know of
//! each other.
//!
//! Each kind is followed by a task of its own (`follow`): list, watch, and after an outage list again, for what was restored
//! may be older than what we had. What is listed is compared with what is known (`store`): objects that say the same keep
//! their `Arc`, so a list that brings no news wakes nobody. Fields that nobody reads are dropped on arrival (`strip`), so a
//! kubelet's heartbeat is no news either. What is wrong with the connection is told once, as one of
//! [`Objects::problems`](crate::objects::Objects::problems) (`board`); last good objects stay, for as long as it takes.
//!
//! What it needs to be allowed, and `deploy/` grants, no more and no less:
//!
//! | API group | resource | verbs | where | for |
//! |---|---|---|---|---|
//! | (core) | `services`, `nodes`, `namespaces` | list, watch | everywhere | the model |
//! | `discovery.k8s.io` | `endpointslices` | list, watch | everywhere | the model |
//! | `metallb.io` | `ipaddresspools`, `l2advertisements` | list, watch | the pools' namespace | addresses, announcements |
//! | (core) | `services` | patch | everywhere | annotations |
//! | (core) | `services/status` | patch | everywhere | addresses, conditions |
//! | `metallb.io` | `ipaddresspools/status` | patch | the pools' namespace | how much of a pool is used |
//! | (core) | `events` | create, patch | everywhere | events; patch counts up |
//! | `coordination.k8s.io` | `leases` | get, list, watch, create, update, patch, delete | our namespace | membership, locks |

mod client;
mod strip;
mod store;
mod reminder;
mod board;
mod connection;
mod follow;
mod cluster;
mod error;
mod writer;
mod events;
mod seen;
mod leases;

pub use board::is_of_connection;
pub use client::ClusterError;
pub use cluster::Cluster;
pub use connection::Connection;
pub use error::WriteError;
pub use events::{Event, Level, Reference};
pub use leases::{Leases, Renewal};
pub use seen::{SeenLease, SeenLeases};
pub use writer::{Condition, ConditionStatus, Writer};

/// The field manager of what is written, or its beginning.
const MANAGER: &str = "penstock";
