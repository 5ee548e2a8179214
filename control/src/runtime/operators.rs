//! What load balancers and monitoring are told: fed by the control loop, served by [`http`](crate::http).

use super::{Appliance, Pipeline, numbers::Numbers};
use crate::{
    config::Config,
    fault::Problem,
    http::{
        Health, Listening, Metrics, Moment, NodePortServers, Pages, Places, Syncs, TableFacts, configz,
        healthz_pages, metrics_pages,
    },
};
use penstock_dataplane::{table::Tables, wire::Family};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How many periods of retrying a change may wait before the appliance is unhealthy.
const PERIODS: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Operators {
    health: Arc<Health>,
    syncs: Syncs,
    servers: NodePortServers,
}

impl Operators {
    pub(super) fn new(config: &Config) -> Self {
        let health = Arc::new(Health::new(config.sync.period * PERIODS, &config.node_name));
        let servers = NodePortServers::new(&config.node_name, Arc::clone(&health));
        Self { health, syncs: Syncs::default(), servers }
    }

    /// Begins to serve the pages, and goes on until the process ends.
    pub(super) fn serve(&self, config: &Config, appliance: &Arc<Appliance>, in_cluster: Option<Numbers>) {
        let asked = Arc::clone(appliance);
        let mut metrics = Metrics::new(&self.health, &self.syncs, move || asked.sample());
        if let Some(numbers) = in_cluster {
            metrics = metrics.in_cluster(move || numbers.sample());
        }
        let pages = Pages {
            health: Arc::clone(&self.health),
            metrics: Arc::new(metrics),
            config: Arc::new(configz(config)),
        };
        if let Some(address) = config.metrics_bind_address {
            tokio::spawn(Listening::whatever_it_takes("/metrics", address, metrics_pages(&pages)));
        }
        if let Some(address) = config.healthz_bind_address {
            tokio::spawn(Listening::whatever_it_takes("/healthz", address, healthz_pages(&pages.health)));
        }
    }

    /// These interfaces can't be used.
    pub(super) fn missing_interfaces(&self, names: Vec<String>) {
        self.health.missing_interfaces(names);
    }

    /// A change has come in.
    pub(super) fn queued(&self) {
        let now = Moment::now();
        self.health.queued(now);
        self.syncs.queued(now);
    }

    /// Brings the healthCheckNodePort servers in line with the objects. Returns what could not be had.
    pub(super) async fn objects(
        &mut self,
        pipeline: &Pipeline,
        config: &Config,
        appliance: &Appliance,
    ) -> Vec<Problem> {
        self.health.node(pipeline.node(config));
        let tables = appliance.publisher.current();
        let addresses = node_ports_at(&tables.v4).chain(node_ports_at(&tables.v6));
        let places = Places::of(&config.node_port_addresses, addresses);
        self.servers.sync(&pipeline.health(config), &places).await
    }

    /// New tables were published, or could not be; `all` changes that came in are in them.
    pub(super) fn published(&self, facts: TableFacts, outcome: Outcome) {
        let now = Moment::now();
        self.syncs.ended(now, outcome.took, outcome.failed);
        self.syncs.tables(&facts);
        if outcome.all && !outcome.failed {
            self.health.updated(now);
        }
    }
}

/// How a publication went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) took: Duration,
    pub(super) failed: bool,
    /// Nothing that came in is left for another.
    pub(super) all: bool,
}

fn node_ports_at<F: Family>(tables: &Tables<F>) -> impl Iterator<Item = IpAddr> + '_ {
    tables.vips.node_addresses.iter().map(|address| F::to_ip(*address))
}
