//! What operators of kube-proxy ask a node for, at the same ports, with the same answers (§3.14, §3.15).
//!
//! * `metricsBindAddress`, 127.0.0.1:10249: `/metrics` (OpenMetrics, names `penstock_*`), `/proxyMode` (`penstock`),
//!   `/healthz` (`ok`), `/configz` (the configuration in force).
//! * `healthzBindAddress`, 0.0.0.0:10256: `/healthz` (503 also while the node is about to go) and `/livez`.
//! * The healthCheckNodePort of each Service that has one, a family each: whether this node has local ready endpoints.
//!
//! In: what the control loop tells [`Health`], [`NodePortServers`] and [`Syncs`] after each sync, and the workers'
//! reports, read when somebody asks. Out: plain HTTP/1.1. Packets are never disturbed.

mod health;
mod node_port_health;
mod node_port_servers;
mod metrics;
mod configz;
mod listen;
mod pages;
#[cfg(test)]
mod testing;

pub use configz::configz;
pub use health::{Health, Moment, Status};
pub use listen::Listening;
pub use metrics::{ClusterSample, Metrics, Sample, Syncs, TableFacts, WorkerSample};
pub use node_port_health::{NodePortHealth, node_port_health};
pub use node_port_servers::{NodePortServers, Places};
pub use pages::{Pages, healthz_pages, metrics_pages};
