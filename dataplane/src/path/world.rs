//! A small world round a [`Path`], for conversations: clients on one port, backends on another, one gateway between.
//!
//! One Service `default/web` (TCP, UDP and SCTP) is served on a cluster IP, a load-balancer IP, an external IP and a
//! NodePort by three backends; tests change it through [`World::service`] and [`World::tables`]. Frames live in a
//! [`MemoryIo`] and go through the workers as in the appliance, handoffs included. Every frame that leaves is read
//! back and all of its checksums are checked. After each step [`World::moved`] states every counter that changed,
//! and `received` is held against the sum of the verdicts. When the world ends, no frame may be outstanding.
//!
//! The conversation itself, `world.client(0).syn().expect_at(1).reply(SYN_ACK).expect_at_client()`, is in `talk.rs`.

mod lane;
mod net;
mod packet;
mod parts;
mod talk;

pub(crate) use lane::*;
pub(crate) use net::*;
pub(crate) use packet::*;
pub(crate) use parts::*;
pub(crate) use talk::*;

use super::{
    Counters, Decision, DropReason, Path, PathConfig, Remembered, ReplyKind, Steering, Verdict, decide,
};
use crate::{
    io::{BATCH, Frame, FrameBatch, MemoryIo, PacketIo, PortId},
    lane::SlotId,
    state::{AffinityTable, Flow, Fragments, Millis, Place, SnatPorts, Tuple},
    table::{
        Backend, BackendId, Endpoints, Locality, NextHop, NextHopId, PinId, Pins, Prefix, Ring, Service,
        ServiceId, ServiceName, Snapshot, Tables, Target, TrafficPolicy, Transport, VipKind,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    marker::PhantomData,
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

/// The Service's port on its VIPs.
pub(crate) const SERVICE_PORT: u16 = 80;
/// Its NodePort.
pub(crate) const NODE_PORT: u16 = 30080;
/// The port its backends listen on.
pub(crate) const BACKEND_SERVICE_PORT: u16 = 8080;
/// The gateway's SNAT ports, unless a test says otherwise.
pub(crate) const SNAT_RANGE: RangeInclusive<u16> = 61000..=65535;
/// Hosts of [`Network::Vips`], by kind.
pub(crate) const CLUSTER_IP: u32 = 1;
pub(crate) const LB_IP: u32 = 2;
pub(crate) const EXTERNAL_IP: u32 = 3;
/// The address of the gateway: NodePorts, and the source of masqueraded flows.
pub(crate) const NODE: u32 = 1;

/// See the module.
pub(crate) struct World<F: Net> {
    pub(crate) snapshot: Snapshot,
    pub(crate) workers: Vec<Path>,
    /// The worker at whose queue frames arrive.
    pub(crate) arrive_at: usize,
    /// Chooses the worker of each frame that is sent alone, instead.
    pub(crate) nic: Option<Nic>,
    pub(crate) now: Millis,
    /// What became of frames that were held, after their verdict was to hold them.
    pub(crate) late: Vec<Outcome>,
    /// The fast lane, in a world that has one.
    pub(crate) lane: Option<FastLane<F>>,
    held: HashMap<(usize, Place), Frame>,
    io: MemoryIo,
    moved: String,
    /// The next number of a stay of a backend.
    stays: u64,
    family: PhantomData<F>,
}

/// Chooses a worker for a frame that comes in on a port.
pub(crate) type Nic = Box<dyn Fn(PortId, &[u8]) -> usize>;

/// What became of one frame.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// The worker that decided it.
    pub(crate) worker: usize,
    /// The bytes that left, if any did.
    pub(crate) frame: Option<(PortId, Vec<u8>)>,
    /// The frames that left instead, if it was cut.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// The slot by which the classifier sent it on, if no worker had it.
    pub(crate) slot: Option<SlotId>,
}

impl Outcome {
    /// What left, with all its checksums checked.
    pub(crate) fn seen(&self) -> Seen {
        let Some((port, frame)) = &self.frame else { panic!("nothing left: {:?}", self.verdict) };
        Seen::read(*port, frame)
    }
}

impl<F: Net> World<F> {
    /// The world of the module, with three backends and one worker.
    pub(crate) fn new() -> Self {
        Self::with(1, |_| {})
    }

    /// The same with this many workers, and other settings.
    pub(crate) fn with(workers: u16, configure: impl Fn(&mut PathConfig)) -> Self {
        Self::with_ports(workers, SNAT_RANGE, configure)
    }

    /// The same with other SNAT ports.
    pub(crate) fn with_ports(
        workers: u16,
        ports: RangeInclusive<u16>,
        configure: impl Fn(&mut PathConfig),
    ) -> Self {
        let affinity = Arc::new(AffinityTable::new(1 << 14, 0));
        let fragments = Arc::new(Fragments::new(5));
        let paths = (0..workers).map(|worker| {
            let mut config = PathConfig::single(ports.clone());
            config.affinity = Arc::clone(&affinity);
            config.fragments = Arc::clone(&fragments);
            (config.v4_flows, config.v6_flows) = (4096, 4096);
            let mine = SnatPorts::new(ports.clone(), worker, workers);
            config.steering = Steering::new(mine, worker, workers);
            configure(&mut config);
            Path::new(config)
        });
        let mut world = Self {
            snapshot: Snapshot::default(),
            workers: paths.collect(),
            arrive_at: 0,
            nic: None,
            now: Millis(1_000_000),
            late: Vec::new(),
            lane: None,
            held: HashMap::new(),
            io: MemoryIo::new(3, 4 * BATCH),
            moved: String::new(),
            stays: 0,
            family: PhantomData,
        };
        world.tables(make_tables);
        world.set_backends(&[0, 1, 2]);
        world
    }

    /// The same with frames of this size.
    pub(crate) fn with_frames(bytes: usize) -> Self {
        let mut world = Self::new();
        world.io = MemoryIo::with_frame_size(3, BATCH, bytes);
        world
    }

    /// Publishes changed tables.
    pub(crate) fn tables(&mut self, change: impl FnOnce(&mut Tables<F>)) {
        change(F::tables_mut(&mut self.snapshot));
    }

    /// Publishes the Service changed, for every protocol.
    pub(crate) fn service(&mut self, change: impl Fn(&mut Service<F>)) {
        self.tables(|tables| {
            for service in tables.services.iter_mut().flatten() {
                change(service);
            }
        });
    }

    /// Publishes these backends as both endpoint lists.
    pub(crate) fn set_backends(&mut self, backends: &[usize]) {
        let ring = |service: &Service<F>| endpoints(service.name.transport, backends);
        self.service(|service| (service.cluster, service.local) = (ring(service), ring(service)));
        self.pin_backends();
    }

    /// Publishes these backends as the local endpoint list alone.
    pub(crate) fn set_local_backends(&mut self, backends: &[usize]) {
        self.service(|service| service.local = endpoints(service.name.transport, backends));
        self.pin_backends();
    }

    /// Publishes these backends as the cluster list alone.
    pub(crate) fn set_cluster_backends(&mut self, backends: &[usize]) {
        self.service(|service| service.cluster = endpoints(service.name.transport, backends));
        self.pin_backends();
    }

    /// Gives every backend that has come a number for affinity records, and takes away those of backends that left.
    pub(crate) fn pin_backends(&mut self) {
        let stay = self.stays;
        self.stays += 1000;
        self.service(|service| {
            let lists = [&service.cluster, &service.local];
            let rings = lists.into_iter().filter_map(|list| match list {
                Endpoints::Ring(ring) => Some(ring.backends()),
                Endpoints::Drop | Endpoints::Reject => None,
            });
            let union: BTreeSet<_> = rings.flatten().map(|backend| (backend.addr, backend.port)).collect();
            let pins = (stay..)
                .zip(union)
                .map(|(new, (addr, port))| (service.pins.of(addr, port).unwrap_or(PinId(new)), addr, port));
            service.pins = Arc::new(Pins::new(pins.collect::<Vec<_>>()));
        });
    }

    /// Publishes which backends UDP flows may stay with, as a change of slices does.
    pub(crate) fn set_serving(&mut self, backends: &[usize]) {
        let addresses: BTreeSet<_> = backends
            .iter()
            .map(|number| backend::<F>(Transport::Udp, *number))
            .map(|backend| (backend.addr, backend.port))
            .collect();
        self.service(|service| {
            let is_udp = service.name.transport == Transport::Udp && !addresses.is_empty();
            service.serving = is_udp.then(|| Arc::new(addresses.iter().copied().collect()));
        });
        self.tables(|tables| tables.udp_epoch = tables.udp_epoch.wrapping_add(1));
    }

    /// Lets time pass, without looking at idle flows.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Lets time pass, and ends idle flows.
    pub(crate) fn wait_and_expire(&mut self, time: Duration) {
        self.wait(time);
        let now = self.now;
        self.step(|world| {
            for path in &mut world.workers {
                path.work_lanes(&world.snapshot, now);
                path.expire(now, usize::MAX, usize::MAX);
            }
            world.release();
        });
    }

    /// Sends one frame and says what became of it.
    pub(crate) fn send(&mut self, port: PortId, frame: &[u8]) -> Outcome {
        self.send_batch(&[(port, frame.to_vec())]).remove(0)
    }

    /// Sends frames, as many as fit in a batch at a time. Outcomes are in the same order.
    pub(crate) fn send_batch(&mut self, frames: &[(PortId, Vec<u8>)]) -> Vec<Outcome> {
        let outcomes = self.send_unchecked(frames);
        outcomes.iter().filter(|outcome| outcome.frame.is_some()).for_each(|outcome| {
            outcome.seen();
        });
        outcomes
    }

    /// The same without a look at what leaves, for frames that are broken on purpose.
    pub(crate) fn send_unchecked(&mut self, frames: &[(PortId, Vec<u8>)]) -> Vec<Outcome> {
        if let (Some(nic), [(port, frame)]) = (&self.nic, frames) {
            self.arrive_at = nic(*port, frame);
        }
        self.step(|world| {
            world.late.clear();
            let outcomes = frames.chunks(BATCH).flat_map(|frames| world.batch(frames)).collect();
            world.release();
            outcomes
        })
    }

    fn batch(&mut self, frames: &[(PortId, Vec<u8>)]) -> Vec<Outcome> {
        let mut batch = FrameBatch::new();
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        let mut places = Vec::new();
        for (place, (port, bytes)) in frames.iter().enumerate() {
            outcomes.push(self.classify(*port, bytes));
            if outcomes[place].is_some() {
                continue;
            }
            places.push(place);
            let mut frame = self.io.allocate().expect("a free frame");
            frame.write(bytes).expect("a packet that fits");
            frame.set_port(*port);
            batch.push(frame);
        }
        self.process_and_hand_off(self.arrive_at, batch, &places, &mut outcomes);
        outcomes.into_iter().map(|outcome| outcome.expect("every frame has a verdict")).collect()
    }

    fn process_and_hand_off(
        &mut self,
        worker: usize,
        batch: FrameBatch,
        places: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) {
        for (place, worker, frame) in self.process(worker, batch, places, outcomes) {
            let again = self.process(worker, FrameBatch::from_iter([frame]), &[place], outcomes);
            assert!(again.is_empty(), "a frame was handed off twice");
        }
    }

    /// Processes again what need not be held any longer.
    fn release(&mut self) {
        for worker in 0..self.workers.len() {
            loop {
                let released = self.workers[worker].release(self.now);
                if released.is_empty() {
                    break;
                }
                let frames =
                    released.iter().map(|place| self.held.remove(&(worker, *place)).expect("it is held"));
                let batch: FrameBatch = frames.collect();
                let places: Vec<_> = (0..batch.len()).collect();
                let mut outcomes = vec![None; batch.len()];
                self.process_and_hand_off(worker, batch, &places, &mut outcomes);
                self.late.extend(outcomes.into_iter().flatten());
            }
        }
    }

    /// Has one worker process a batch. Returns what it handed off, and to whom.
    fn process(
        &mut self,
        worker: usize,
        mut batch: FrameBatch,
        places: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<(usize, usize, Frame)> {
        let verdicts = self.workers[worker].process(&mut batch, &self.snapshot, self.now).to_vec();
        assert_eq!(verdicts.len(), batch.len());
        let mut handed_off = Vec::new();
        for ((frame, verdict), place) in batch.drain(..).zip(verdicts).zip(places) {
            let sent = |port: PortId, frame: &Frame| Some((port, frame.to_vec()));
            let left = match verdict {
                Verdict::Forward(port) | Verdict::Relay(port) | Verdict::Reply(port, _) => sent(port, &frame),
                Verdict::Handoff(owner) => {
                    handed_off.push((*place, usize::from(owner), frame));
                    continue;
                }
                Verdict::Pass => sent(frame.port(), &frame),
                Verdict::Split(..) | Verdict::Hold(_) | Verdict::Drop(_) => None,
            };
            let mut cut = Vec::new();
            if let Verdict::Split(_, mtu) = verdict {
                super::pieces(&frame, mtu, |head, payload| cut.push([head, payload].concat()));
            }
            outcomes[*place] = Some(Outcome { verdict, worker, frame: left, pieces: cut, slot: None });
            match verdict {
                Verdict::Forward(port) | Verdict::Relay(port) | Verdict::Reply(port, _) => {
                    self.io.transmit(port, frame)
                }
                Verdict::Hold(place) => {
                    let before = self.held.insert((worker, place), frame);
                    assert!(before.is_none(), "two frames in one place");
                }
                Verdict::Split(..) | Verdict::Handoff(_) | Verdict::Pass | Verdict::Drop(_) => {
                    self.io.recycle(frame)
                }
            }
        }
        self.io.flush();
        self.workers[worker].work_lanes(&self.snapshot, self.now);
        handed_off
    }

    /// Does something and notes which counters it moved.
    fn step<T>(&mut self, action: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.counts();
        let done = action(self);
        let after = self.counts();
        let change = after.into_iter().filter_map(|(name, now)| {
            let change = now - before.get(&name).copied().unwrap_or(0);
            match change {
                0 => None,
                1 => Some(name),
                _ => Some(format!("{name}{change:+}")),
            }
        });
        self.moved = change.collect::<Vec<_>>().join(" ");
        for path in &self.workers {
            let counters = path.counters();
            assert_eq!(counters.received, counters.verdicts(), "received is the sum of the verdicts");
        }
        done
    }

    /// States every counter that the last step moved: by one where there is no number, in order of the alphabet.
    #[track_caller]
    pub(crate) fn moved(&self, expected: &str) {
        assert_eq!(self.moved, expected, "counters that moved");
    }

    fn counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for path in &self.workers {
            let Counters {
                received,
                forwarded,
                relayed,
                split,
                held,
                handed_off,
                passed,
                replied,
                dropped,
                flows_opened,
                flows_expired,
                flows_evicted,
                flows_v4,
                flows_v6,
                lane,
            } = path.counters();
            let flows = if F::ADDR_LEN == 4 { (flows_v4, flows_v6) } else { (flows_v6, flows_v4) };
            assert_eq!(flows.1, 0, "flows of the other family");
            assert_eq!(flows.0, F::flows(path).table.len() as u64);
            let mut add =
                |name: &str, count: u64| *counts.entry(name.to_owned()).or_insert(0) += count as i64;
            add("received", received);
            add("forwarded", forwarded);
            add("relayed", relayed);
            add("split", split);
            add("held", held);
            add("handed_off", handed_off);
            add("passed", passed);
            add("opened", flows_opened);
            add("expired", flows_expired);
            add("evicted", flows_evicted);
            add("flows", flows.0);
            add("in_lane", lane.flows);
            add("promoted", lane.promoted);
            add("demoted", lane.demoted);
            add("refused_full", lane.refused_full);
            add("refused_way", lane.refused_way);
            add("lane_packets", lane.packets);
            add("lane_bytes", lane.bytes);
            DropReason::ALL.iter().for_each(|reason| add(reason.name(), dropped[*reason as usize]));
            ReplyKind::ALL.iter().for_each(|kind| add(kind.name(), replied[*kind as usize]));
        }
        counts
    }

    /// The decision for a new flow, as `explain` asks for it.
    pub(crate) fn decide(&self, tuple: &Tuple<F>) -> Decision<'_, F> {
        self.decide_at(0, tuple)
    }

    /// The same as one worker decides.
    pub(crate) fn decide_at(&self, worker: usize, tuple: &Tuple<F>) -> Decision<'_, F> {
        decide(F::tables(&self.snapshot), tuple, self.remembered(worker))
    }

    /// The affinity records as a worker has them.
    pub(crate) fn remembered(&self, worker: usize) -> Remembered<'_> {
        Remembered { table: &self.workers[worker].config().affinity, now: self.now }
    }

    /// The flow with this original tuple, whichever worker has it.
    pub(crate) fn flow(&self, original: &Tuple<F>) -> Option<Flow<F>> {
        self.workers.iter().find_map(|path| {
            let table = &F::flows(path).table;
            table.get(table.find(table.hash(original), original)?.id)
        })
    }

    /// The workers that have flows.
    pub(crate) fn flows_by_worker(&self) -> Vec<usize> {
        self.workers.iter().map(|path| F::flows(path).table.len()).collect()
    }
}

impl<F: Net> Drop for World<F> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.held.drain().for_each(|(_, frame)| self.io.recycle(frame));
            assert_eq!(self.io.accounts().outstanding, 0, "frames outstanding");
            let accounts = self.io.accounts();
            assert_eq!(accounts.free, accounts.total);
        }
    }
}

/// The backend with this number, for a protocol.
pub(crate) fn backend<F: Net>(transport: Transport, number: usize) -> Backend<F> {
    let id = number as u32 + 1000 * transport as u32;
    Backend {
        id: BackendId(id),
        addr: F::addr(Network::Backends, number as u32 + 1),
        port: BACKEND_SERVICE_PORT,
        next_hop: NextHopId(number as u32),
    }
}

fn endpoints<F: Net>(transport: Transport, backends: &[usize]) -> Endpoints<F> {
    let backends = backends.iter().map(|number| backend(transport, *number)).collect();
    Ring::build(backends).map_or(Endpoints::Reject, Endpoints::Ring)
}

fn make_tables<F: Net>(tables: &mut Tables<F>) {
    let vips = Arc::make_mut(&mut tables.vips);
    let mut services = Vec::new();
    for transport in [Transport::Tcp, Transport::Udp, Transport::Sctp] {
        let id = ServiceId(services.len() as u32);
        for (host, kind) in [
            (CLUSTER_IP, VipKind::ClusterIp),
            (LB_IP, VipKind::LoadBalancerIp),
            (EXTERNAL_IP, VipKind::ExternalIp),
        ] {
            let vip = F::addr(Network::Vips, host);
            vips.tuples.insert(vip, transport, SERVICE_PORT, Target { service: id, kind });
            vips.addresses.insert(vip, kind);
        }
        vips.node_ports.insert((transport, NODE_PORT), id);
        services.push(Some(service(id, transport)));
    }
    let node = F::addr(Network::Node, NODE);
    vips.node_addresses.insert(node);
    tables.services = services.into_iter().collect();
    let next_hop =
        |number: usize| NextHop { link: Some(backend_link(number)), source: Some(node), mtu: 1500 };
    tables.next_hops = (0..16).map(next_hop).collect();
    let pods = Prefix::new(F::addr(Network::Pods, 0), F::PREFIX_LEN);
    tables.locality = Arc::new(Locality {
        pods: Some(pods),
        host: [node].into_iter().collect(),
        masquerade_all: false,
        ..Locality::default()
    });
}

fn service<F: Net>(id: ServiceId, transport: Transport) -> Service<F> {
    Service {
        id,
        name: Arc::new(ServiceName {
            namespace: "default".into(),
            name: "web".into(),
            port_name: String::new(),
            transport,
        }),
        cluster: Endpoints::Reject,
        local: Endpoints::Reject,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        affinity: None,
        pins: Arc::default(),
        serving: None,
        source_ranges: None,
    }
}

/// Tests written once for both families.
macro_rules! both_families {
    ($($test:ident),+ $(,)?) => {
        mod v4 {
            $(#[test] fn $test() { super::$test::<crate::wire::V4>() })+
        }
        mod v6 {
            $(#[test] fn $test() { super::$test::<crate::wire::V6>() })+
        }
    };
}
pub(crate) use both_families;
