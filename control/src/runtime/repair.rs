//! Interfaces that vanish and come back.
//!
//! An interface that is deleted, or moved to another namespace, takes its sockets and its classifier with it; the others
//! go on, and nothing here has to be done. When an interface of its name is there again and up, the classifier is
//! attached to it, and every worker is given new I/O between two batches: all of its sockets are opened anew, since the
//! kernel binds none to memory whose first socket has lost its interface. That costs what is in the rings at that moment,
//! some hundredths of a second of traffic; flows stay. What goes wrong is logged with its remedy and tried again.
//!
//! Driven by the state of sockets and interfaces, never by events, which may have been missed. Called some times a second.

use super::{Appliance, FastLane, RunningWorker, RuntimeError, packets};
use crate::{
    config::Config,
    routes::{Interface, View},
};
use penstock_dataplane::{
    io::{
        PortId,
        af_xdp::{AfXdp, AfXdpConfig, OpenError},
    },
    xdp::Classifier,
};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, mpsc},
    time::{Duration, Instant},
};

/// From a repair that failed to the next try, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long workers may take for their part.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Repair {
    /// By port: the kernel's number of the interface that the classifier is attached to.
    attached: BTreeMap<u8, u32>,
    running: Option<Running>,
    next: Instant,
    pause: Duration,
}

/// A repair that waits for workers.
#[derive(Debug)]
struct Running {
    answers: mpsc::Receiver<Renewed>,
    awaited: usize,
    deadline: Instant,
    /// What is mended, for the log.
    names: Vec<String>,
    sound: bool,
}

/// A worker has new sockets.
#[derive(Debug)]
struct Renewed {
    worker: usize,
    wanted: Vec<packets::Socket>,
    bound: packets::Bound,
    refused: Vec<OpenError>,
}

impl Repair {
    /// All is well to begin with.
    pub(super) fn new(view: &View) -> Self {
        let links = view.interfaces.iter();
        let attached = links.filter_map(|interface| Some((interface.port, interface.link?.index))).collect();
        Self { attached, running: None, next: Instant::now(), pause: PAUSE.0 }
    }

    /// Goes on with the work. Returns the names of the interfaces that lack sockets.
    pub(super) fn go_on(&mut self, config: &Config, appliance: &Appliance, view: &View) -> Vec<String> {
        self.collect(appliance, view);
        let lost: Vec<usize> = (0..config.interfaces.len())
            .filter(|port| appliance.workers.iter().any(|worker| lacks(worker, PortId(*port as u8))))
            .collect();
        let is_back = |port: &&usize| link(view, **port).is_some_and(|link| link.up);
        let back: Vec<usize> = lost.iter().filter(is_back).copied().collect();
        if self.running.is_none() && !back.is_empty() && Instant::now() >= self.next {
            self.start(config, appliance, view, &back);
        }
        lost.iter().map(|port| config.interfaces[*port].name.clone()).collect()
    }

    /// Attaches the classifier to what is back, and asks the workers to open their sockets anew.
    fn start(&mut self, config: &Config, appliance: &Appliance, view: &View, back: &[usize]) {
        let mut sound = true;
        let mut queues = Vec::new();
        let mut classifier = appliance.classifier.lock().unwrap_or_else(PoisonError::into_inner);
        for port in 0..config.interfaces.len() {
            let prepared = match link(view, port) {
                Some(link) if link.up => {
                    let anew = back.contains(&port);
                    self.prepare(config, (&mut classifier, &appliance.lane), view, port, anew).map_err(|error| {
                        let interface = config.interfaces[port].name.as_str();
                        tracing::error!(interface, %error, "interface can't be attached; this is tried again");
                        sound = false;
                    })
                }
                Some(_) | None => Err(()),
            };
            queues.push(prepared.unwrap_or_default());
        }
        drop(classifier);
        let (sender, answers) = mpsc::channel();
        let mut awaited = 0;
        for (index, worker) in appliance.workers.iter().enumerate() {
            let wanted = packets::sockets(config, &queues, index);
            let (sender, config) = (sender.clone(), packets::socket_config(config, packets::idle(config)));
            if worker.handle.renew(move |old| renew(old, index, wanted, &config, &sender)) {
                awaited += 1;
            } else {
                sound = false;
            }
        }
        let names = back.iter().map(|port| config.interfaces[*port].name.clone()).collect();
        let deadline = Instant::now() + PATIENCE;
        self.running = Some(Running { answers, awaited, deadline, names, sound });
    }

    /// The classifier on an interface, and its queues.
    fn prepare(
        &mut self,
        config: &Config,
        (classifier, lane): (&mut Classifier, &FastLane),
        view: &View,
        port: usize,
        anew: bool,
    ) -> Result<Vec<u32>, RuntimeError> {
        let queues = packets::queues(config, &view.interfaces, port)?;
        if let (true, Some(old)) = (anew, self.attached.remove(&(port as u8)))
            && let Err(error) = classifier.detach_index(old)
        {
            tracing::debug!(%error, "what a vanished interface had attached went with it");
        }
        let interface = &config.interfaces[port];
        classifier.attach(&interface.name, packets::attach_preference(interface))?;
        if let Some(link) = link(view, port) {
            self.attached.insert(port as u8, link.index);
            lane.attached(PortId(port as u8), link.index, classifier);
        }
        Ok(queues)
    }

    /// Takes in what workers have done.
    fn collect(&mut self, appliance: &Appliance, view: &View) {
        let Some(running) = &mut self.running else { return };
        while let Ok(renewed) = running.answers.try_recv() {
            running.awaited -= 1;
            running.sound &= renewed.refused.is_empty();
            running.sound &= take_in(renewed, appliance, view);
        }
        if running.awaited > 0 && Instant::now() < running.deadline {
            return;
        }
        let sound = running.sound && running.awaited == 0;
        if sound {
            tracing::info!(interfaces = ?running.names, "interfaces are back: sockets and classifier are attached");
            self.pause = PAUSE.0;
        }
        self.next = Instant::now() + self.pause;
        if !sound {
            self.pause = (self.pause * 2).min(PAUSE.1);
        }
        self.running = None;
    }
}

/// Gives a worker's new sockets to the classifier. Returns whether it took them all.
fn take_in(renewed: Renewed, appliance: &Appliance, view: &View) -> bool {
    let mut sound = true;
    let mut classifier = appliance.classifier.lock().unwrap_or_else(PoisonError::into_inner);
    for (port, queue, socket) in &renewed.bound.sockets {
        if let Err(error) = classifier.bind_socket(*port, *queue, std::os::fd::AsFd::as_fd(socket)) {
            tracing::error!(interface = appliance.interface_name(*port), queue, %error, "no socket for the classifier");
            sound = false;
        }
    }
    for error in &renewed.refused {
        tracing::error!(worker = renewed.worker, %error, "a socket can't be opened; this is tried again");
    }
    if let Some(worker) = appliance.workers.get(renewed.worker) {
        let mut ports = worker.ports.lock().unwrap_or_else(PoisonError::into_inner);
        // What is still missing stays on the list, as it was.
        ports.retain(|old| !renewed.wanted.iter().any(|new| new.port == old.port));
        ports.extend(
            renewed
                .wanted
                .iter()
                .map(|socket| packets::describe(socket, renewed.bound.mode, &classifier, &view.interfaces)),
        );
        ports.sort_by_key(|port| (port.port, port.queue));
    }
    sound
}

/// New I/O for a worker, on its thread: of all sockets that can be had. `None`: there is no memory even for none.
fn renew(
    old: AfXdp,
    worker: usize,
    wanted: Vec<packets::Socket>,
    config: &AfXdpConfig,
    answer: &mpsc::Sender<Renewed>,
) -> Option<AfXdp> {
    // Its queues must be free for the new ones.
    drop(old);
    let (mut tried, mut refused) = (wanted.clone(), Vec::new());
    let io = loop {
        match AfXdp::open(config, &packets::named(&tried)) {
            Ok(io) => break io,
            Err(error) => {
                let before = tried.len();
                match &error {
                    OpenError::Socket { interface, .. }
                    | OpenError::NoSuchInterface { interface }
                    | OpenError::MtuTooLarge { interface, .. } => {
                        tried.retain(|socket| socket.interface != *interface);
                    }
                    _ => tried.clear(),
                }
                if tried.len() == before {
                    tracing::error!(worker, %error, "the worker has no packet memory any more, and ends");
                    return None;
                }
                refused.push(error);
            }
        }
    };
    let bound = packets::Bound::of(&io);
    // Nobody waits for it any more: the sockets are not known to the classifier, and tried again.
    let _ = answer.send(Renewed { worker, wanted, bound, refused });
    Some(io)
}

/// Whether a worker should have sockets of this port and has not. A worker that has yet to report is given time.
fn lacks(worker: &RunningWorker, port: PortId) -> bool {
    let report = worker.handle.report.read();
    let attached = |queue| {
        report.sockets.iter().any(|socket| socket.port == port && socket.queue == queue && socket.attached)
    };
    report.turns > 0 && worker.ports().iter().any(|wanted| wanted.port == port && !attached(wanted.queue))
}

fn link(view: &View, port: usize) -> Option<crate::routes::LinkStatus> {
    Interface::link_of(&view.interfaces, PortId(port as u8))
}
