//! The sockets of a worker: which, how they are to be bound, and how they were.

use crate::{
    api::views::PortView,
    config::{self, Config},
    routes::Interface,
};
use penstock_dataplane::{
    io::{
        PortId,
        af_xdp::{AfXdp, AfXdpConfig, BindMode, BindPreference},
    },
    worker::Idle,
    xdp::Classifier,
};
use std::os::fd::OwnedFd;

/// A queue of an interface, to be opened.
#[derive(Debug, Clone)]
pub(in crate::runtime) struct Socket {
    pub(in crate::runtime) port: PortId,
    pub(in crate::runtime) interface: String,
    pub(in crate::runtime) queue: u32,
}

/// What a worker's thread tells of the sockets that it has opened.
#[derive(Debug)]
pub(in crate::runtime) struct Bound {
    pub(in crate::runtime) sockets: Vec<(PortId, u32, OwnedFd)>,
    pub(in crate::runtime) mode: Option<BindMode>,
}

impl Bound {
    pub(in crate::runtime) fn of(io: &AfXdp) -> Self {
        let owned =
            io.fds().filter_map(|(port, queue, fd)| Some((port, queue, fd.try_clone_to_owned().ok()?)));
        let sockets: Vec<_> = owned.collect();
        let mode = sockets.first().and_then(|(port, ..)| io.bind_mode(*port));
        Self { sockets, mode }
    }
}

/// The sockets of a worker, of these queues of each interface.
pub(in crate::runtime) fn sockets(config: &Config, queues: &[Vec<u32>], worker: usize) -> Vec<Socket> {
    let of_port = |(port, queues): (usize, &Vec<u32>)| -> Vec<Socket> {
        let mine = queues.iter().skip(worker).step_by(config.workers.count);
        let interface = &config.interfaces[port].name;
        mine.map(|queue| Socket { port: PortId(port as u8), interface: interface.clone(), queue: *queue })
            .collect()
    };
    queues.iter().enumerate().flat_map(of_port).collect()
}

/// The same as [`AfXdp::open`] takes them.
pub(in crate::runtime) fn named(sockets: &[Socket]) -> Vec<(PortId, &str, u32)> {
    sockets.iter().map(|socket| (socket.port, socket.interface.as_str(), socket.queue)).collect()
}

/// How the sockets of a worker are to be opened.
pub(in crate::runtime) fn socket_config(config: &Config, idle: Idle) -> AfXdpConfig {
    let zero_copy: Vec<_> = config.interfaces.iter().map(|interface| interface.zero_copy).collect();
    AfXdpConfig {
        ring_size: config.ring.rx.max(config.ring.tx),
        frame_size: config.umem.frame_size,
        frames: Some(config.umem.frames),
        huge_pages: config.umem.huge_pages,
        busy_poll: idle == Idle::BusyPoll,
        bind: if zero_copy.contains(&config::ZeroCopy::On) {
            BindPreference::ZeroCopy
        } else if zero_copy.contains(&config::ZeroCopy::Off) {
            BindPreference::Copy
        } else {
            BindPreference::Auto
        },
    }
}

/// How a socket is driven.
pub(in crate::runtime) fn describe(
    socket: &Socket,
    bind: Option<BindMode>,
    classifier: &Classifier,
    interfaces: &[Interface],
) -> PortView {
    PortView {
        port: socket.port,
        interface: socket.interface.clone(),
        queue: socket.queue,
        xdp_mode: xdp_mode(socket.port, classifier, interfaces),
        bind_mode: bind.map_or_else(none, |mode| mode.to_string()),
    }
}

pub(super) fn xdp_mode(port: PortId, classifier: &Classifier, interfaces: &[Interface]) -> String {
    let link = Interface::link_of(interfaces, port);
    link.and_then(|link| classifier.mode(link.index)).map_or_else(none, |mode| mode.to_string())
}

fn none() -> String {
    "none".to_owned()
}
