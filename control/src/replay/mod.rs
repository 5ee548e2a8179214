//! `penstock replay`: the real path over a capture, without root and without interfaces, the same bytes every time.
//!
//! In: a capture, a folder of manifests, and a configuration for what netlink would tell. Out: a capture of what the
//! gateway would have sent, and the count of each verdict. Time is the capture's. What the configuration leaves open is
//! synthesised by the rules of `ways`. One worker; the flow table's hash has a fixed seed.

mod ways;

use crate::{
    compile::{Compiler, Environment},
    config::{Config, ConfigError},
    fault::Problem,
    manifests::{self, FolderError},
    model::Model,
    runtime::path_config,
};
use imbl::OrdSet;
use penstock_dataplane::{
    io::pcap::{PcapIo, ReplayError, ReplaySummary},
    path::{Counters, Path as PacketPath},
    state::{AffinityTable, Millis},
    table::{Snapshot, publish::Publisher},
    worker::{Mesh, Worker},
};
use serde::Serialize;
use std::{
    io::{Read, Write},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
};

/// The flow table's seed: any fixed number, so that a full table evicts the same flows every time.
const SEED: u64 = 0x7065_6e73_746f_636b;

/// What to replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The capture to read: pcap or pcapng, Ethernet.
    pub input: PathBuf,
    /// The capture to write: pcap.
    pub output: PathBuf,
    /// A folder of manifests, or one file.
    pub manifests: PathBuf,
    /// The configuration; without one there is a single interface, `replay0`, with default settings.
    pub config: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The path's counters.
    pub counters: Counters,
    /// Packets read and written.
    #[serde(flatten)]
    pub summary: ReplaySummary,
    /// What was wrong with the manifests.
    #[serde(skip)]
    pub problems: Vec<Problem>,
}

/// Why a replay is not possible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The manifests.
    #[error(transparent)]
    Manifests(#[from] FolderError),
    /// The captures.
    #[error(transparent)]
    Capture(#[from] ReplayError),
}

/// Replays a capture.
pub fn run(replay: &Replay) -> Result<Outcome, Error> {
    run_watched(replay, |_| {})
}

/// Replays a capture, and shows the counters after each of the worker's turns: one for packets that are a millisecond
/// or less from each other, and one for what a turn has left to do.
pub fn run_watched(replay: &Replay, watch: impl FnMut(&Counters)) -> Result<Outcome, Error> {
    let config = match &replay.config {
        Some(path) => Config::load(path)?,
        None => Config::from_yaml("interfaces: [{name: replay0}]", "the default configuration", "")?,
    };
    let objects = manifests::read(&replay.manifests)?;
    let mut model = Model::default();
    let mut problems = objects.problems.clone();
    problems.extend(model.update(&objects));

    let mut compiler = Compiler::new();
    compiler.take(&model, &(&config).into());
    let compiled = compiler.compile(&model, &environment(&config, &compiler.targets()));
    problems.extend(compiled.problems);

    let arrival = ways::arrival(&config);
    let io = PcapIo::open(&replay.input, &replay.output, Box::new(arrival))?;
    let affinity = Arc::new(AffinityTable::new(config.tables.affinity, SEED));
    let (counters, summary) =
        drive(io, PacketPath::new(path_config(&config, 0, 1, SEED, affinity)), compiled.snapshot, watch)?;
    Ok(Outcome { counters, summary, problems })
}

fn environment(config: &Config, targets: &OrdSet<IpAddr>) -> Environment {
    Environment::of(config, &ways::view(config, targets))
}

/// One worker, turned until the capture is at its end.
fn drive<R: Read, W: Write>(
    io: PcapIo<R, W>,
    path: PacketPath,
    snapshot: Snapshot,
    mut watch: impl FnMut(&Counters),
) -> Result<(Counters, ReplaySummary), Error> {
    let (_, reader) = Publisher::single(snapshot);
    let (_, no_questions) = crossbeam::channel::bounded(1);
    let start = io.now();
    let clock = move |io: &PcapIo<R, W>| Millis((io.now() - start).as_millis() as u32);
    let mut worker = Worker::new(io, path, reader, Mesh::new(1, 0).place(0), no_questions);
    while !worker.io().is_at_end() || worker.is_pending() {
        worker.poll(clock);
        watch(&worker.path().counters());
    }
    let counters = worker.report().counters;
    let (summary, _) = worker.into_io().finish()?;
    Ok((counters, summary))
}
