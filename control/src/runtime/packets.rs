//! Starting the packet side: classifier, sockets, worker threads.
//!
//! In: the configuration and the interfaces as they are. Out: running workers that have no Services yet, and a
//! classifier that passes everything to the kernel. Queue *q* of every interface belongs to worker *q mod N*, and a
//! worker sends by its own queues, so it must have one on each interface.

use super::{
    error::RuntimeError,
    lane::{self, FastLane},
};
use crate::{
    api::views::PortView,
    config::{self, Config, Queues},
    doctor::{Root, processors},
    routes::Interface,
    rss::Question,
};
use penstock_dataplane::{
    io::{
        PortId, Tun,
        af_xdp::{AfXdp, AfXdpConfig, BindMode, BindPreference},
    },
    path::{PathConfig, Steering},
    state::{AffinityTable, Fragments, Millis, SnatPorts},
    table::publish::Reader,
    worker::{self, Idle, Mesh, SpawnError, WorkerHandle, WorkerSettings},
    xdp::{AttachPreference, Classifier, ClassifierError},
};
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Instant,
};

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
    pub(super) ports: Mutex<Vec<PortView>>,
    /// Its rule for whose packet is whose.
    pub steering: Steering,
}

impl RunningWorker {
    /// Its sockets.
    pub fn ports(&self) -> Vec<PortView> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The classifier is attached anew.
    pub(super) fn look_at_modes(&self, classifier: &Classifier, interfaces: &[Interface]) {
        for port in self.ports.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            port.xdp_mode = xdp_mode(port.port, classifier, interfaces);
        }
    }
}

/// What all workers have in common.
#[derive(Debug)]
pub struct Common {
    /// The records of ClientIP affinity.
    pub affinity: Arc<AffinityTable>,
    /// The ports of datagrams that come in fragments.
    pub fragments: Arc<Fragments>,
    /// When their clock began.
    pub start: Instant,
    /// The way back to the kernel, for packets that are not ours after all.
    pub kernel: Option<Arc<Tun>>,
}

impl Common {
    /// With empty tables.
    pub(super) fn new(config: &Config) -> Self {
        let affinity = Arc::new(AffinityTable::new(config.tables.affinity, random_seed()));
        let kernel = match Tun::open() {
            Ok(tun) => {
                tracing::info!(device = tun.name(), "packets that are not ours go back to the kernel");
                Some(Arc::new(tun))
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "there is no way to give packets back to the kernel, so answers to clients whose address was kept \
                     are not captured: Services with externalTrafficPolicy Local do not work"
                );
                None
            }
        };
        let fragments = Arc::new(Fragments::new(random_seed()));
        Self { affinity, fragments, start: Instant::now(), kernel }
    }

    /// The moment, as the workers count time.
    pub fn now(&self) -> Millis {
        Millis(self.start.elapsed().as_millis() as u32)
    }
}

/// A queue of an interface, to be opened.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) port: PortId,
    pub(super) interface: String,
    pub(super) queue: u32,
}

/// What was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) classifier: Classifier,
    pub(super) workers: Vec<RunningWorker>,
    pub(super) lane: FastLane,
}

/// Starts everything. On an error nothing stays attached.
pub(super) fn start(
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

/// Puts the classifier on all interfaces, and nowhere else.
pub(super) fn attach(config: &Config, classifier: &mut Classifier) -> Result<(), ClassifierError> {
    for interface in &config.interfaces {
        classifier.attach(&interface.name, attach_preference(interface))?;
    }
    let left = classifier.detach_left()?;
    if !left.is_empty() {
        tracing::info!(interfaces = ?left, "a former process's classifier is taken off interfaces that are not configured");
    }
    Ok(())
}

/// What a worker's thread tells of the sockets that it has opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) sockets: Vec<(PortId, u32, OwnedFd)>,
    pub(super) mode: Option<BindMode>,
}

impl Opened {
    pub(super) fn of(io: &AfXdp) -> Self {
        let owned =
            io.fds().filter_map(|(port, queue, fd)| Some((port, queue, fd.try_clone_to_owned().ok()?)));
        let sockets: Vec<_> = owned.collect();
        let mode = sockets.first().and_then(|(port, ..)| io.bind_mode(*port));
        Self { sockets, mode }
    }
}

/// What workers do when there is nothing to do.
pub(super) fn idle(config: &Config) -> Idle {
    let idle = config.workers.idle(&processors::isolated(&Root::machine()));
    if config.workers.idle.is_none() && idle == Idle::Busy {
        tracing::info!("the workers' cores are isolated, so they poll without pause (workers.idle: busy)");
    }
    idle
}

/// Packets that cross between memory nodes cost more.
fn warn_of_distance(config: &Config) {
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

/// Where the classifier is wanted on an interface.
pub(super) fn attach_preference(interface: &config::Interface) -> AttachPreference {
    match interface.mode {
        config::XdpMode::Auto => AttachPreference::Auto,
        config::XdpMode::Native => AttachPreference::Native,
        config::XdpMode::Generic => AttachPreference::Generic,
    }
}

/// The sockets of a worker, of these queues of each interface.
pub(super) fn sockets(config: &Config, queues: &[Vec<u32>], worker: usize) -> Vec<Socket> {
    let of_port = |(port, queues): (usize, &Vec<u32>)| -> Vec<Socket> {
        let mine = queues.iter().skip(worker).step_by(config.workers.count);
        let interface = &config.interfaces[port].name;
        mine.map(|queue| Socket { port: PortId(port as u8), interface: interface.clone(), queue: *queue })
            .collect()
    };
    queues.iter().enumerate().flat_map(of_port).collect()
}

/// The same as [`AfXdp::open`] takes them.
pub(super) fn named(sockets: &[Socket]) -> Vec<(PortId, &str, u32)> {
    sockets.iter().map(|socket| (socket.port, socket.interface.as_str(), socket.queue)).collect()
}

/// The queues of an interface that are ours; at least one for every worker.
pub(super) fn queues(
    config: &Config,
    interfaces: &[Interface],
    port: usize,
) -> Result<Vec<u32>, RuntimeError> {
    let wanted = &config.interfaces[port];
    let Some(link) = Interface::link_of(interfaces, PortId(port as u8)) else {
        return Err(RuntimeError::NoInterface {
            field: format!("interfaces[{port}].name"),
            name: wanted.name.clone(),
        });
    };
    let there = receive_queues(&wanted.name).unwrap_or(link.rx_queues).max(1);
    let (first, count) = match wanted.queues {
        Queues::All => (0, there),
        Queues::Range { first, count } => (first, count),
    };
    if first + count > there {
        return Err(RuntimeError::NoQueue {
            field: format!("interfaces[{port}].queues"),
            name: wanted.name.clone(),
            last: first + count - 1,
            there,
        });
    }
    if (count as usize) < config.workers.count {
        return Err(RuntimeError::TooManyWorkers {
            workers: config.workers.count,
            name: wanted.name.clone(),
            queues: count,
        });
    }
    Ok((first..first + count).collect())
}

/// What is to be known of the interfaces that are there.
pub(super) fn rss_questions(config: &Config, interfaces: &[Interface]) -> Vec<Question> {
    let question = |(port, interface): (usize, &config::Interface)| Question {
        interface: interface.name.clone(),
        queues: queues(config, interfaces, port).unwrap_or_default(),
        workers: config.workers.count,
    };
    config.interfaces.iter().enumerate().map(question).collect()
}

/// Receive queues in use, as sysfs shows them.
fn receive_queues(interface: &str) -> Option<u32> {
    let entries = std::fs::read_dir(format!("/sys/class/net/{interface}/queues")).ok()?;
    let receive = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("rx-"));
    u32::try_from(receive.count()).ok().filter(|count| *count > 0)
}

pub(super) fn socket_config(config: &Config, idle: Idle) -> AfXdpConfig {
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
pub(super) fn describe(
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

fn xdp_mode(port: PortId, classifier: &Classifier, interfaces: &[Interface]) -> String {
    let link = Interface::link_of(interfaces, port);
    link.and_then(|link| classifier.mode(link.index)).map_or_else(none, |mode| mode.to_string())
}

fn none() -> String {
    "none".to_owned()
}

/// What one worker is told.
fn settings(config: &Config, index: usize, idle: Idle, common: &Common) -> WorkerSettings {
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

/// A number that nobody outside can guess: the standard library keys its own hash tables with it.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
