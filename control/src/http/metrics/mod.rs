//! `/metrics`: the numbers of the appliance in the OpenMetrics text format; every name starts with `penstock_`.
//!
//! What happens to packets comes from the workers' reports, read at each scrape ([`live`]); what came of the objects is
//! left by the control loop after each sync ([`tables`]); how the syncs went is counted as they go ([`syncs`]); and in a
//! cluster there is what gateways share ([`cluster`]).
//! Nothing of it costs a packet anything.

mod live;
mod tables;
mod syncs;
mod cluster;

pub use cluster::ClusterSample;
pub use live::{Sample, WorkerSample};
pub use syncs::Syncs;
pub use tables::TableFacts;

use super::Health;
use prometheus_client::{encoding::text, registry::Registry};
use std::sync::Arc;

/// Everything that is shown.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// `sample` is asked at every scrape.
    pub fn new(
        health: &Arc<Health>,
        syncs: &Syncs,
        sample: impl Fn() -> Sample + Send + Sync + 'static,
    ) -> Self {
        let mut registry = Registry::with_prefix("penstock");
        syncs.register(&mut registry);
        registry.register_collector(Box::new(live::Live::new(Arc::clone(health), sample)));
        Self { registry }
    }

    /// With the numbers of a gateway in a cluster, `sample`d at every scrape.
    #[must_use]
    pub fn in_cluster(mut self, sample: impl Fn() -> ClusterSample + Send + Sync + 'static) -> Self {
        self.registry.register_collector(Box::new(cluster::InCluster::new(sample)));
        self
    }

    /// The page.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::warn!(%error, "the metrics can't be written");
                String::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
