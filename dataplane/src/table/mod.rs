//! What a worker only reads, and what is swapped whole.
//!
//! The control plane compiles a [`Snapshot`] and [`publish`]es it; every worker sees either the old or the new one
//! for a whole batch. Parts that did not change are shared between snapshots by `Arc`.

mod name;
pub(crate) mod hash;
mod slots;
mod maglev;
mod pins;
mod service;
mod vip;
mod destinations;
mod next_hop;
mod peers;
mod toeplitz;
mod rss;
mod pages;
mod snapshot;
pub mod publish;

pub use destinations::Destinations;
pub use hash::{FlowHash, stable_hash};
pub use maglev::{Ring, ring_size};
pub use name::{BackendId, NextHopId, PinId, ServiceId, ServiceName, Transport};
pub use next_hop::{Link, NextHop};
pub use pages::Pages;
pub use peers::{Peers, Relay};
pub use pins::{Pin, Pins};
pub use rss::{Arrivals, Hashed, HashedFields, Rss, RssError, RssPorts};
pub use service::{Backend, Endpoints, Service, Sockets, TrafficPolicy};
pub use snapshot::{Locality, Prefix, Snapshot, Tables};
pub use toeplitz::Toeplitz;
pub use vip::{Target, VipIndex, VipKind, VipMatch};
