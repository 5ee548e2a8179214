//! What the packet path reads, made from the model: pure, and only as much work as the change asks for.
//!
//! In: a [`Model`](crate::model::Model) and an [`Environment`] (what configuration and the kernel say). Out, as
//! [`Compiled`]: a `Snapshot`, the [`Changes`] from the one before, what the kernel-side classifier should capture
//! ([`Captured`]), and what is wrong. Read in this order: slices are merged per Service port (§2.3), split into lists
//! (§3.4), made into a record with its rings; VIPs and NodePorts are claimed (§3.2, §3.8); and [`Compiler`] puts the two
//! families together.
//!
//! A Service whose objects did not change costs nothing. One whose slices changed costs its own merging
//! and, where a list is another one, its rings. The VIP index is made again only when a Service or a node address
//! changes. Services, backends and next hops keep their numbers (`ids`).

mod environment;
mod ids;
mod addresses;
mod merge;
mod categorize;
mod record;
mod retire;
mod affinity;
mod next_hops;
mod backend_ports;
mod claims;
mod node_ports;
mod departed;
mod changes;
mod tally;
mod family;
mod ports;
mod capture;
mod lingering;
mod compiler;

pub use changes::{BackendRef, Captured, Changes, Items, Retired, ServiceRef};
pub use compiler::{Compiled, Compiler, PortView};
pub use environment::{Environment, Relay, Settings};
pub use lingering::Lingering;
pub use record::Candidate;
pub use tally::Tally;

#[cfg(test)]
mod tests;
