//! `penstock show workers`: each worker, its core, its sockets, its numbers and theirs.

use super::lane::{self, LaneView};
use crate::{
    rss::{Lack, Told},
    runtime::Appliance,
};
use penstock_dataplane::{
    io::{PortCounters, PortId},
    path::Counters,
    worker::Report,
};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkersView {
    /// The newest tables.
    generation: u64,
    workers: Vec<WorkerView>,
    /// By interface, where there are workers to choose from.
    rss: Vec<RssView>,
    lane: LaneView,
}

/// What is known of how an interface chooses queues.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RssView {
    interface: String,
    known: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

impl RssView {
    fn of((interface, told): &(String, Told)) -> Option<Self> {
        let (known, because) = match told {
            Told::Nothing(Lack::OneWorker) => return None,
            Told::Nothing(lack) => (false, Some(lack.to_string())),
            Told::Facts(_) => (true, None),
        };
        Some(Self { interface: interface.clone(), known, because })
    }
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
    passes_refused: u64,
    splits_refused: u64,
    frames: FramesView,
    ports: Vec<SocketView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FramesView {
    total: usize,
    free: usize,
    receiving: usize,
    sending: usize,
}

/// How a queue of an interface is driven.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    /// Its number.
    #[serde(skip)]
    pub port: PortId,
    /// The interface.
    pub interface: String,
    /// Its queue.
    pub queue: u32,
    /// Where the classifier runs.
    pub xdp_mode: String,
    /// Who moves the packets.
    pub bind_mode: String,
}

/// One socket.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SocketView {
    #[serde(flatten)]
    port: PortView,
    /// Whether there is a socket, bound to an interface that exists.
    attached: bool,
    #[serde(flatten)]
    counters: PortCounters,
}

impl SocketView {
    fn of(port: &PortView, report: &Report) -> Self {
        let found =
            report.sockets.iter().find(|socket| (socket.port, socket.queue) == (port.port, port.queue));
        Self {
            port: port.clone(),
            attached: found.is_some_and(|socket| socket.attached),
            counters: found.map(|socket| socket.counters).unwrap_or_default(),
        }
    }
}

pub(super) fn view(appliance: &Appliance) -> WorkersView {
    let workers = appliance.workers.iter().enumerate().map(|(id, worker)| {
        let report = worker.handle.report.read();
        let ports = worker.ports().iter().map(|port| SocketView::of(port, &report)).collect();
        WorkerView {
            id,
            alive: !worker.handle.has_died(),
            core: worker.core,
            generation: report.generation,
            turns: report.turns,
            counters: report.counters,
            handoffs_refused: report.handoffs_refused,
            passes_refused: report.passes_refused,
            splits_refused: report.splits_refused,
            frames: FramesView {
                total: report.frames.total,
                free: report.frames.free,
                receiving: report.frames.receiving,
                sending: report.frames.sending,
            },
            ports,
        }
    });
    WorkersView {
        generation: appliance.publisher.generation(),
        workers: workers.collect(),
        lane: lane::view(appliance),
        rss: appliance.rss().iter().filter_map(RssView::of).collect(),
    }
}
