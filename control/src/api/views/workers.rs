//! `penstock show workers`: each worker, its core, its sockets, its numbers.

use crate::runtime::Appliance;
use penstock_dataplane::path::Counters;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkersView {
    /// The newest tables.
    generation: u64,
    workers: Vec<WorkerView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkerView {
    id: usize,
    alive: bool,
    core: Option<usize>,
    /// The tables this worker uses.
    generation: u64,
    turns: u64,
    counters: Counters,
    handoffs_refused: u64,
    splits_refused: u64,
    frames: FramesView,
    ports: Vec<PortView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FramesView {
    total: usize,
    free: usize,
    receiving: usize,
    sending: usize,
}

/// One socket.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    /// The interface.
    pub interface: String,
    /// Its queue.
    pub queue: u32,
    /// Where the classifier runs.
    pub xdp_mode: String,
    /// Who moves the packets.
    pub bind_mode: String,
}

pub(super) fn view(appliance: &Appliance) -> WorkersView {
    let workers = appliance.workers.iter().enumerate().map(|(id, worker)| {
        let report = worker.handle.report.read();
        WorkerView {
            id,
            alive: !worker.handle.has_died(),
            core: worker.core,
            generation: report.generation,
            turns: report.turns,
            counters: report.counters,
            handoffs_refused: report.handoffs_refused,
            splits_refused: report.splits_refused,
            frames: FramesView {
                total: report.frames.total,
                free: report.frames.free,
                receiving: report.frames.receiving,
                sending: report.frames.sending,
            },
            ports: worker.ports.clone(),
        }
    });
    WorkersView { generation: appliance.publisher.generation(), workers: workers.collect() }
}
