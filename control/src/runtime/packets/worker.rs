//! A worker: what it is told, and the grip on it.

use super::{
    common::{Common, random_seed},
    sockets::xdp_mode,
};
use crate::{
    api::views::PortView,
    config::Config,
    doctor::{Root, processors},
    routes::Interface,
};
use penstock_dataplane::{
    path::{PathConfig, Steering},
    state::{AffinityTable, Fragments, SnatPorts},
    worker::{Idle, WorkerHandle, WorkerSettings},
    xdp::Classifier,
};
use std::sync::{Arc, Mutex, PoisonError};

/// A worker and how to reach it.
#[derive(Debug)]
pub struct RunningWorker {
    /// Its number.
    pub index: u16,
    /// The grip on its thread.
    pub handle: WorkerHandle,
    /// Its core, if it is pinned.
    pub core: Option<usize>,
    /// Its sockets, as they were opened last.
    pub(in crate::runtime) ports: Mutex<Vec<PortView>>,
    /// Its rule for whose packet is whose.
    pub steering: Steering,
}

impl RunningWorker {
    /// Its sockets.
    pub fn ports(&self) -> Vec<PortView> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The classifier is attached anew.
    pub(in crate::runtime) fn look_at_modes(&self, classifier: &Classifier, interfaces: &[Interface]) {
        for port in self.ports.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            port.xdp_mode = xdp_mode(port.port, classifier, interfaces);
        }
    }
}

/// What workers do when there is nothing to do.
pub(in crate::runtime) fn idle(config: &Config) -> Idle {
    let idle = config.workers.idle(&processors::isolated(&Root::machine()));
    if config.workers.idle.is_none() && idle == Idle::Busy {
        tracing::info!("the workers' cores are isolated, so they poll without pause (workers.idle: busy)");
    }
    idle
}

/// Packets that cross between memory nodes cost more.
pub(super) fn warn_of_distance(config: &Config) {
    let root = Root::machine();
    let nodes = processors::nodes(&root);
    for interface in &config.interfaces {
        let node = processors::node_of(&root, &interface.name);
        if let Some((far, near)) = processors::distant(&config.workers.cores, node, &nodes) {
            tracing::warn!(
                interface = interface.name,
                cores = processors::list(&far),
                "workers are on another memory node than the NIC: pin them to some of {}",
                processors::list(near)
            );
        }
    }
}

/// What one worker is told.
pub(super) fn settings(config: &Config, index: usize, idle: Idle, common: &Common) -> WorkerSettings {
    WorkerSettings {
        index,
        core: config.workers.cores.get(index).copied(),
        idle,
        path: PathConfig {
            fragments: Arc::clone(&common.fragments),
            ..path_config(
                config,
                index as u16,
                config.workers.count as u16,
                random_seed(),
                Arc::clone(&common.affinity),
            )
        },
        start: common.start,
        kernel: common.kernel.clone(),
    }
}

/// The path's part of the configuration.
pub fn path_config(
    config: &Config,
    worker: u16,
    workers: u16,
    seed: u64,
    affinity: Arc<AffinityTable>,
) -> PathConfig {
    PathConfig {
        steering: Steering::new(SnatPorts::new(config.snat.ports.clone(), worker, workers), worker, workers),
        timeouts: config.timeouts.clone(),
        v4_flows: config.tables.ipv4_flows,
        v6_flows: config.tables.ipv6_flows,
        seed,
        tcp_reject: config.reject.tcp,
        echo: config.echo,
        fragments: Arc::new(Fragments::new(seed)),
        reply_rate: (config.reject.per_second, (config.reject.per_second / 20).max(1)),
        affinity,
    }
}
