//! A gateway in memory: one or two workers over the tables of the vectors' network.
//!
//! In: frames. Out: what left for each, by verdict, and at the end the proof that no frame is missing and that packets
//! received are the sum of the verdicts.

use penstock::{
    compile::{Compiler, Environment, Relay, Settings},
    config::NodePortAddresses,
    manifests::read_bytes,
    model::Model,
    routes::{Unresolved, Way, WayLink},
};
use penstock_dataplane::{
    io::{Frame, FrameBatch, MemoryIo, PacketIo, PortId},
    path::{Path, PathConfig, Steering, Verdict, pieces},
    state::{AffinityTable, Fragments, Millis, Place, SnatPorts},
    table::Snapshot,
    wire::EtherAddr,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// Those of `tests/vectors/penstock.yaml`.
const PORTS: RangeInclusive<u16> = 61_000..=61_063;
/// At most as many frames as are held and in one batch.
const FRAMES: usize = 256;
const MANIFESTS: &str = include_str!("../../vectors/manifests.yaml");

/// The tables there are, of one compiler but for the last.
static TABLES: LazyLock<Vec<Snapshot>> = LazyLock::new(|| {
    let services = MANIFESTS.split("---\n").filter(|document| !document.contains("EndpointSlice"));
    let without_endpoints = services.collect::<Vec<_>>().join("---\n");
    let affinity = MANIFESTS.replace("type: LoadBalancer", "type: LoadBalancer\n  sessionAffinity: ClientIP");
    let mut compiler = Compiler::new();
    let mut make = |text: &str, mtu, vlan, is_resolved| {
        let mut model = Model::default();
        model.update(&read_bytes("manifests.yaml", text.as_bytes().to_vec()));
        compiler.compile(&model, &environment([], mtu, vlan, is_resolved));
        compiler.compile(&model, &environment(compiler.targets(), mtu, vlan, is_resolved)).snapshot
    };
    vec![
        make(MANIFESTS, 1500, None, true),
        make(&without_endpoints, 1500, None, true),
        make(MANIFESTS, 600, Some(7), true),
        make(MANIFESTS, 1500, None, false),
        make(&affinity, 1500, None, true),
        Snapshot::default(),
        relaying(),
    ]
});

/// The first tables, where the load-balancer IPs have come from another gateway, and one more is known.
fn relaying() -> Snapshot {
    let mut model = Model::default();
    model.update(&read_bytes("manifests.yaml", MANIFESTS.as_bytes().to_vec()));
    let mut compiler = Compiler::new();
    compiler.compile(&model, &environment([], 1500, None, true));
    let mut environment = environment(compiler.targets(), 1500, None, true);
    let vips = [crate::packets::Net::V4, crate::packets::Net::V6].map(|net| net.vip);
    let relay = Relay { port: PortId(0), mac: EtherAddr([2, 0xa, 0, 0, 0, 1]) };
    environment.port_macs = BTreeMap::from([(PortId(0), EtherAddr([2, 0, 0, 0, 0, 0]))]);
    environment.relays = vips.map(|vip| (vip, relay)).into();
    environment.peers = BTreeSet::from([EtherAddr([2, 0xa, 0, 0, 0, 2])]);
    compiler.compile(&model, &environment).snapshot
}

/// The tables with this number, or a number of their own that has the same rest.
pub fn tables(number: u8) -> &'static Snapshot {
    &TABLES[usize::from(number) % TABLES.len()]
}

/// What the kernel and the configuration would say: every target by the second port.
pub(super) fn environment(
    targets: impl IntoIterator<Item = std::net::IpAddr>,
    mtu: u16,
    vlan: Option<u16>,
    is_resolved: bool,
) -> Environment {
    let link = WayLink { port: 1, source_mac: [2, 0, 0, 0, 0, 1], dest_mac: [2, 0xb, 0, 0, 0, 0x11], vlan };
    let unknown = || Unresolved::LookingUp;
    let addresses = [crate::packets::Net::V4.gateway_ip, crate::packets::Net::V6.gateway_ip];
    let ways = targets.into_iter().map(|target| {
        let source = addresses.into_iter().find(|source| source.is_ipv4() == target.is_ipv4());
        (target, Arc::new(Way { link: is_resolved.then_some(link).ok_or_else(unknown), source, mtu }))
    });
    Environment {
        settings: Settings {
            node_name: "gateway".to_owned(),
            masquerade_all: true,
            cluster_cidr: Vec::new(),
            service_cidrs: Vec::new(),
            node_port_addresses: NodePortAddresses::Cidrs(Vec::new()),
            allow_external_ips: true,
            snat_addresses: Vec::new(),
        },
        node_addresses: addresses.into_iter().collect(),
        ways: ways.collect(),
        port_mtus: Arc::from([1500, mtu]),
        port_addresses: Vec::new(),
        port_macs: BTreeMap::new(),
        peers: BTreeSet::new(),
        relays: BTreeMap::new(),
        rss: Default::default(),
    }
}

/// See the module.
pub(super) struct Gateway {
    io: MemoryIo,
    workers: Vec<Path>,
    held: BTreeMap<(usize, u8), (Frame, Vec<u8>)>,
    pub(super) now: Millis,
}

/// What became of a frame.
pub(super) struct Left {
    /// As it came.
    pub(super) before: Vec<u8>,
    pub(super) verdict: Verdict,
    /// What is in the frame now.
    pub(super) after: Vec<u8>,
    /// What it was cut into.
    pub(super) pieces: Vec<Vec<u8>>,
}

impl Gateway {
    pub(super) fn new(workers: u16, flows: usize) -> Self {
        let affinity = Arc::new(AffinityTable::new(64, 0));
        let fragments = Arc::new(Fragments::new(0));
        let paths = (0..workers).map(|worker| {
            let mut config = PathConfig::single(PORTS);
            config.steering = Steering::new(SnatPorts::new(PORTS, worker, workers), worker, workers);
            (config.v4_flows, config.v6_flows) = (flows, flows);
            (config.affinity, config.fragments) = (Arc::clone(&affinity), Arc::clone(&fragments));
            Path::new(config)
        });
        let io = MemoryIo::new(3, FRAMES);
        Self { io, workers: paths.collect(), held: BTreeMap::new(), now: Millis(1_000_000) }
    }

    /// Lets time pass, and ends what is over.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        for path in &mut self.workers {
            path.expire(self.now, 4096, 64);
        }
    }

    /// Sends a batch. What became of each frame and of those that were held.
    pub(super) fn send(&mut self, frames: Vec<(PortId, Vec<u8>)>, snapshot: &Snapshot) -> Vec<Left> {
        let mut batch = Vec::new();
        for (port, bytes) in frames {
            let Some(mut frame) = self.io.allocate() else { panic!("frames are missing") };
            assert!(frame.write(&bytes).is_ok(), "the frames are made to fit");
            frame.set_port(port);
            batch.push((frame, bytes));
        }
        let mut left = Vec::new();
        self.process(0, batch, snapshot, &mut left);
        for worker in 0..self.workers.len() {
            loop {
                let places = self.workers[worker].release(self.now);
                if places.is_empty() {
                    break;
                }
                let taken = places.iter().map(|Place(place)| self.held.remove(&(worker, *place)));
                let Some(batch) = taken.collect::<Option<Vec<_>>>() else {
                    panic!("an empty place was released")
                };
                self.process(worker, batch, snapshot, &mut left);
            }
        }
        self.io.flush();
        left
    }

    fn process(
        &mut self,
        worker: usize,
        batch: Vec<(Frame, Vec<u8>)>,
        snapshot: &Snapshot,
        left: &mut Vec<Left>,
    ) {
        let (frames, mut originals): (FrameBatch, Vec<_>) = batch.into_iter().unzip();
        let mut frames = frames;
        let verdicts = self.workers[worker].process(&mut frames, snapshot, self.now).to_vec();
        assert_eq!(verdicts.len(), frames.len(), "a verdict for each");
        let mut strays: BTreeMap<u16, Vec<(Frame, Vec<u8>)>> = BTreeMap::new();
        for ((frame, before), verdict) in frames.drain(..).zip(originals.drain(..)).zip(verdicts) {
            let mut cut = Vec::new();
            if let Verdict::Split(_, mtu) = verdict {
                pieces(&frame, mtu, |head, payload| cut.push([head, payload].concat()));
            }
            let after = frame.to_vec();
            match verdict {
                Verdict::Handoff(owner) => {
                    assert_ne!(usize::from(owner), worker, "handed to itself");
                    assert_eq!(before, after, "a stray is handed over as it came");
                    strays.entry(owner).or_default().push((frame, before));
                    continue;
                }
                Verdict::Hold(Place(place)) => {
                    let there = self.held.insert((worker, place), (frame, before.clone()));
                    assert!(there.is_none(), "two frames in one place");
                }
                Verdict::Forward(port) | Verdict::Relay(port) | Verdict::Reply(port, _) => {
                    self.io.transmit(port, frame);
                }
                Verdict::Split(..) | Verdict::Pass | Verdict::Drop(_) => self.io.recycle(frame),
            }
            left.push(Left { before, verdict, after, pieces: cut });
        }
        for (owner, batch) in strays {
            self.process(usize::from(owner), batch, snapshot, left);
        }
    }

    /// Holds the accounts against each other.
    pub(super) fn settle(mut self) {
        for path in &self.workers {
            let counters = path.counters();
            assert_eq!(counters.received, counters.verdicts(), "received is the sum of the verdicts");
            assert!(counters.flows_v4 <= path.config().v4_flows as u64);
            assert!(counters.flows_v6 <= path.config().v6_flows as u64);
        }
        for (frame, _) in std::mem::take(&mut self.held).into_values() {
            self.io.recycle(frame);
        }
        self.io.flush();
        let accounts = self.io.accounts();
        assert_eq!((accounts.outstanding, accounts.free), (0, accounts.total), "frames are missing");
    }
}
