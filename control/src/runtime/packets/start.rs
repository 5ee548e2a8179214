//! Classifier, sockets and workers, started together.

use super::{
    attach::attach,
    common::Common,
    queues::queues,
    sockets::{Opened, Socket, describe, named, socket_config, sockets},
    worker::{RunningWorker, idle, settings, warn_of_distance},
};
use crate::{
    config::Config,
    routes::Interface,
    runtime::{
        error::RuntimeError,
        lane::{self, FastLane},
    },
};
use penstock_dataplane::{
    io::{PortId, af_xdp::AfXdp},
    table::publish::Reader,
    worker::{self, Mesh, SpawnError},
    xdp::Classifier,
};
use std::{
    os::fd::AsFd,
    sync::{Mutex, mpsc},
};

/// What was started.
#[derive(Debug)]
pub(in crate::runtime) struct Started {
    pub(in crate::runtime) classifier: Classifier,
    pub(in crate::runtime) workers: Vec<RunningWorker>,
    pub(in crate::runtime) lane: FastLane,
}

/// Starts everything. On an error nothing stays attached.
pub(in crate::runtime) fn start(
    config: &Config,
    interfaces: &[Interface],
    common: &Common,
    readers: Vec<Reader>,
) -> Result<Started, RuntimeError> {
    let queues: Vec<Vec<u32>> = (0..config.interfaces.len())
        .map(|port| queues(config, interfaces, port))
        .collect::<Result<_, _>>()?;
    let (mut classifier, loaded) = lane::load(config, interfaces)?;
    // A former process's classifier serves its flows until there are tables.
    if !loaded.goes_on() {
        attach(config, &mut classifier)?;
    }
    let idle = idle(config);
    warn_of_distance(config);
    let mesh = Mesh::new(config.workers.count, config.umem.frame_size as usize);
    let (mut workers, mut bound) = (Vec::new(), None);
    for (index, reader) in readers.into_iter().enumerate() {
        let sockets = sockets(config, &queues, index);
        let settings = settings(config, index, idle, common);
        let (core, steering) = (settings.core, settings.path.steering.clone());
        let (tell, told) = mpsc::channel();
        let (sockets_to_open, socket_config) = (sockets.clone(), socket_config(config, idle));
        let open = move || {
            let io = AfXdp::open(&socket_config, &named(&sockets_to_open))?;
            let _ = tell.send(Opened::of(&io));
            Ok(io)
        };
        let lanes = loaded.lanes(config, index as u16);
        let handle =
            worker::spawn(settings, open, reader, mesh.place(index), lanes).map_err(|error| match error {
                SpawnError::Thread(source) => RuntimeError::Thread { index, source },
                SpawnError::Io(source) => RuntimeError::Socket(source),
                SpawnError::Died => RuntimeError::WorkerStart { index },
            })?;
        let opened = told.recv().map_err(|_| RuntimeError::WorkerStart { index })?;
        for (port, queue, socket) in &opened.sockets {
            classifier.bind_socket(*port, *queue, socket.as_fd())?;
        }
        let describe = |socket: &Socket| describe(socket, opened.mode, &classifier, interfaces);
        let ports = Mutex::new(sockets.iter().map(describe).collect());
        workers.push(RunningWorker { index: index as u16, handle, core, ports, steering });
        bound = opened.mode;
    }
    let lane = FastLane::new(config, loaded, bound);
    for (port, interface) in interfaces.iter().enumerate() {
        if let Some(link) = interface.link {
            lane.attached(PortId(port as u8), link.index, &classifier);
        }
    }
    Ok(Started { classifier, workers, lane })
}
