//! `penstock run`: the appliance.
//!
//! Starts in this order: routes and neighbours, the source of objects, classifier and workers (`packets`), the first
//! tables, the control socket. From then on `follow` turns every change of objects, routes and addresses into new tables,
//! at the pace of `pace`, by `control`; `repair` looks after interfaces that come and go, `operators` are told how it went,
//! and `in_cluster` is what a gateway does in a cluster beside. What is wrong with an object is reported on it; what is
//! wrong with the machine ends the start with an error that says what to do. A stop detaches the classifier first.

mod error;
mod packets;
mod repair;
mod classifier;
mod lane;
mod survey;
mod source;
mod control;
mod follow;
mod take_over;
mod pace;
mod known;
mod told;
mod numbers;
mod pipeline;
mod in_cluster;
mod operators;
mod logging;

pub use error::RuntimeError;
pub use known::Known;
pub use lane::{FastLane, LanePort};
pub use logging::start_logging;
pub use packets::{Common, RunningWorker, path_config};
pub use pipeline::{Made, Pipeline};

use crate::{
    config::Config,
    http::{Sample, WorkerSample},
    routes::View,
    rss::Told,
};
use penstock_dataplane::{io::PortId, path::Steering, table::publish::Publisher, xdp::Classifier};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// A running appliance, as far as questions are concerned.
#[derive(Debug)]
pub struct Appliance {
    /// The tables in use.
    pub publisher: Publisher,
    /// The workers.
    pub workers: Vec<RunningWorker>,
    /// What the workers have in common.
    pub common: Common,
    /// The steering rule of a single worker, where there is none to ask.
    pub steering: Steering,
    classifier: Mutex<Classifier>,
    /// The fast lane, if there is one, and why not.
    pub lane: FastLane,
    interfaces: Vec<String>,
    view: RwLock<Arc<View>>,
    rss: RwLock<Arc<[(String, Told)]>>,
    known: RwLock<Arc<Known>>,
}

impl Appliance {
    /// The name of a port's interface.
    pub fn interface_name(&self, port: PortId) -> String {
        self.interfaces.get(usize::from(port.0)).cloned().unwrap_or_else(|| format!("port {}", port.0))
    }

    /// The objects as they were taken in last, and what is wrong with them.
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of each interface's choice of queues.
    pub fn rss(&self) -> Arc<[(String, Told)]> {
        Arc::clone(&self.rss.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why a backend address has no next hop, as far as the kernel tells.
    pub fn why_unreachable(&self, addr: IpAddr) -> Option<String> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.ways.get(&addr)?.link.as_ref().err().map(ToString::to_string)
    }

    /// The numbers behind `/metrics`.
    pub fn sample(&self) -> Sample {
        let workers = self.workers.iter().map(|worker| WorkerSample {
            alive: !worker.handle.has_died(),
            report: worker.handle.report.read(),
            interfaces: self.interfaces.clone(),
        });
        Sample {
            generation: self.publisher.generation(),
            workers: workers.collect(),
            affinity: (self.common.affinity.len(), self.common.affinity.capacity()),
            classifier: self.classifier_counters(),
            lane: (self.lane.decision().is_on(), self.lane.ports()),
        }
    }

    /// Packets by the classifier's decision.
    pub fn classifier_counters(&self) -> Vec<(&'static str, u64)> {
        let classifier = self.classifier.lock().unwrap_or_else(PoisonError::into_inner);
        match classifier.counters() {
            Ok(counters) => counters.named().collect(),
            Err(error) => {
                tracing::warn!(%error, "the classifier's counters can't be read");
                Vec::new()
            }
        }
    }
}

/// Runs the appliance until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), RuntimeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(follow::run(config));
    // Nothing that is still being asked keeps the process from ending.
    runtime.shutdown_background();
    result
}
