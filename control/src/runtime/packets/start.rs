//! Classifier, sockets and workers, started together.

use super::{
    attach::attach,
    common::Common,
    queues::queues,
    sockets::{Bound, Socket, describe, named, socket_config, sockets},
    worker::{RunningWorker, idle, settings, warn_of_distance},
};
use crate::{
    config::Config,
    lane::{Decision, decide},
    routes::Interface,
    runtime::{
        error::RuntimeError,
        lane::{self, FastLane, Loaded},
    },
};
use penstock_dataplane::{
    io::{
        PortId,
        af_xdp::{AfXdp, BindMode},
    },
    table::{Snapshot, publish::Publisher},
    worker::{self, Idle, Mesh, SpawnError},
    xdp::Classifier,
};
use std::{
    os::fd::AsFd,
    sync::{Mutex, mpsc},
};

/// What was started.
#[derive(Debug)]
pub(in crate::runtime) struct Started {
    pub(in crate::runtime) publisher: Publisher,
    pub(in crate::runtime) classifier: Classifier,
    pub(in crate::runtime) workers: Vec<RunningWorker>,
    pub(in crate::runtime) lane: FastLane,
}

/// Starts everything, with empty tables. On an error nothing stays attached.
pub(in crate::runtime) fn start(
    config: &Config,
    interfaces: &[Interface],
    common: &Common,
) -> Result<Started, RuntimeError> {
    warn_of_distance(config);
    start_as(lane::expect(config, interfaces), config, interfaces, common)
}

/// The same where this is expected of the lane. If sockets turn out to be of another kind, it is started anew, once.
pub(super) fn start_as(
    expected: Decision,
    config: &Config,
    interfaces: &[Interface],
    common: &Common,
) -> Result<Started, RuntimeError> {
    let idle = idle(config);
    let mut opened = open(expected, idle, config, interfaces, common)?;
    let decision = decide(config.fast_lane.mode, opened.zero_copy);
    if decision != expected {
        tracing::info!("not so: {expected}; everything is opened anew, as {decision}");
        drop(opened);
        opened = open(decision, idle, config, interfaces, common)?;
    }
    Ok(opened.started(config, interfaces))
}

/// What has been loaded, attached and bound.
struct Opened {
    // Workers end before what they were given does.
    workers: Vec<RunningWorker>,
    publisher: Publisher,
    classifier: Classifier,
    loaded: Loaded,
    /// All sockets do without copying.
    zero_copy: bool,
}

impl Opened {
    fn started(self, config: &Config, interfaces: &[Interface]) -> Started {
        let Self { workers, publisher, classifier, loaded, .. } = self;
        let lane = FastLane::new(config, loaded);
        for (port, interface) in interfaces.iter().enumerate() {
            if let Some(link) = interface.link {
                lane.attached(PortId(port as u8), link.index, &classifier);
            }
        }
        Started { publisher, classifier, workers, lane }
    }
}

fn open(
    decision: Decision,
    idle: Idle,
    config: &Config,
    interfaces: &[Interface],
    common: &Common,
) -> Result<Opened, RuntimeError> {
    let queues: Vec<Vec<u32>> = (0..config.interfaces.len())
        .map(|port| queues(config, interfaces, port))
        .collect::<Result<_, _>>()?;
    let (mut classifier, loaded) = lane::load(config, decision)?;
    // A former process's classifier serves its flows until there are tables.
    if !loaded.goes_on() {
        attach(config, &mut classifier)?;
    }
    let mesh = Mesh::new(config.workers.count, config.umem.frame_size as usize);
    let (publisher, readers) = Publisher::new(Snapshot::default(), config.workers.count);
    let (mut workers, mut zero_copy) = (Vec::new(), true);
    for (index, reader) in readers.into_iter().enumerate() {
        let sockets = sockets(config, &queues, index);
        let settings = settings(config, index, idle, common);
        let (core, steering) = (settings.core, settings.path.steering.clone());
        let (tell, told) = mpsc::channel();
        let (sockets_to_open, socket_config) = (sockets.clone(), socket_config(config, idle));
        let open = move || {
            let io = AfXdp::open(&socket_config, &named(&sockets_to_open))?;
            let _ = tell.send(Bound::of(&io));
            Ok(io)
        };
        let lanes = loaded.lanes(config, index as u16);
        let handle =
            worker::spawn(settings, open, reader, mesh.place(index), lanes).map_err(|error| match error {
                SpawnError::Thread(source) => RuntimeError::Thread { index, source },
                SpawnError::Io(source) => RuntimeError::Socket(source),
                SpawnError::Died => RuntimeError::WorkerStart { index },
            })?;
        let bound = told.recv().map_err(|_| RuntimeError::WorkerStart { index })?;
        for (port, queue, socket) in &bound.sockets {
            classifier.bind_socket(*port, *queue, socket.as_fd())?;
        }
        let describe = |socket: &Socket| describe(socket, bound.mode, &classifier, interfaces);
        let ports = Mutex::new(sockets.iter().map(describe).collect());
        workers.push(RunningWorker { index: index as u16, handle, core, ports, steering });
        zero_copy &= bound.mode == Some(BindMode::ZeroCopy);
    }
    Ok(Opened { workers, publisher, classifier, loaded, zero_copy })
}
