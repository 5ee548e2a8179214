//! A classifier with a lane, in which one flow is promoted.

use super::super::*;
use crate::{
    lane::{Entry, Epoch, HopId, PairId, WorkerLane},
    path::{
        flow_deltas,
        world::{
            BACKEND_PORT, BACKEND_SERVICE_PORT, CLIENT_PORT, NODE, Net, Network, SERVICE_PORT, Spec,
            backend_link,
        },
    },
    state::{Direction, LastHopId, Tuple},
    table::{Link, NextHopId, Transport},
    wire::{TcpFlags, V4, V6},
    xdp::{LaneMaps, LaneSize},
};

/// What the kernel did with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) action: u32,
    pub(super) bytes: Vec<u8>,
}

pub(super) const REDIRECT: u32 = 4;

/// A family with a worker's share of the lane.
pub(super) trait Laned: Net {
    fn share(maps: &LaneMaps, worker: u16) -> WorkerLane<Self>;
}

impl Laned for V4 {
    fn share(maps: &LaneMaps, worker: u16) -> WorkerLane<V4> {
        maps.worker_v4(worker)
    }
}

impl Laned for V6 {
    fn share(maps: &LaneMaps, worker: u16) -> WorkerLane<V6> {
        maps.worker_v6(worker)
    }
}

/// See the module. Packets come to the client's port, since the loopback interface is told to be that one.
pub(super) struct LaneBench<F: Laned> {
    pub(super) classifier: Classifier,
    pub(super) maps: LaneMaps,
    pub(super) lane: WorkerLane<F>,
}

pub(super) fn size() -> LaneSize {
    LaneSize { workers: 2, v4_pairs: 64, v6_pairs: 64, next_hops: 16, pin: None, fingerprint: 0 }
}

impl<F: Laned> LaneBench<F> {
    pub(super) fn new() -> Option<Self> {
        if !root_or_skip() {
            return None;
        }
        let (classifier, maps) = Classifier::load_with_lane(&size()).unwrap();
        // Not the first worker's, so that places matter.
        Some(Self::of(classifier, maps, 1))
    }

    /// One with the share of a worker of a classifier that is loaded.
    pub(super) fn of(mut classifier: Classifier, mut maps: LaneMaps, worker: u16) -> Self {
        let mut state = ClassifierState::default();
        state.interfaces.insert(LOOPBACK, InterfaceEntry { port: CLIENT_PORT, backend: false });
        classifier.grow(&state).unwrap();
        for port in [CLIENT_PORT, BACKEND_PORT] {
            maps.control.set_port(port, Some(LOOPBACK)).unwrap();
        }
        for transport in [Transport::Tcp, Transport::Udp] {
            maps.control.set_epoch(F::ADDR_LEN == 16, transport, epoch(transport));
        }
        let lane = F::share(&maps, worker);
        arrive_at(&lane, CLIENT_PORT);
        Self { classifier, maps, lane }
    }

    /// Promotes a flow whose forward packets arrive as `spec` does, as worker 1's pair with this number. What its slots
    /// were written with.
    pub(super) fn promote(&mut self, pair: PairId, spec: &Spec<F>, leaves: &Tuple<F>) -> [Entry<F>; 2] {
        let out = self.lane.hops.next(NextHopId(1)).unwrap();
        let back = self.lane.hops.last(1, LastHopId::default());
        self.lane.hops.set(out, Some((&backend_link(1), 1500)));
        self.lane.hops.set(back, Some((&spec.link, 1500)));
        let entries = entries(&spec.tuple, leaves, out, back);
        write(&self.lane, pair, &entries);
        entries
    }

    pub(super) fn run(&mut self, packet: &[u8]) -> Ran {
        let mut out = vec![0; packet.len() + 64];
        let options =
            TestRunOptions { data_in: Some(packet), data_out: Some(&mut out), ..TestRunOptions::new() };
        let result = self.classifier.program().test_run(options).unwrap();
        out.truncate(result.data_size_out as usize);
        Ran { action: result.return_value, bytes: out }
    }

    /// Whether the lane takes a packet; one it does not take must be as it was, and one counter must move.
    #[track_caller]
    pub(super) fn takes(&mut self, packet: &[u8]) -> bool {
        let before = self.classifier.counters().unwrap();
        let ran = self.run(packet);
        let after = self.classifier.counters().unwrap();
        let sum = |counters: &ClassifierCounters| counters.named().map(|(_, count)| count).sum::<u64>();
        assert_eq!(sum(&after) - sum(&before), 1, "every packet is counted once");
        let taken = ran.action == REDIRECT;
        assert_eq!(after.redirect_lane - before.redirect_lane, u64::from(taken));
        if !taken {
            assert_eq!(ran, Ran { action: PASS, bytes: packet.to_vec() }, "as it was");
        }
        taken
    }
}

/// Tells the classifier that what comes by the loopback interface comes by this port.
pub(super) fn arrive_at<F: Laned>(lane: &WorkerLane<F>, port: PortId) {
    for other in [CLIENT_PORT, BACKEND_PORT] {
        lane.notices[0].set_interface(other, (other == port).then_some(LOOPBACK));
    }
}

/// Writes a pair, and has the index name it.
pub(super) fn write<F: Laned>(lane: &WorkerLane<F>, pair: PairId, entries: &[Entry<F>; 2]) {
    for (entry, slot) in entries.iter().zip(lane.slots.write(pair, entries)) {
        assert!(lane.index.insert(&entry.arrives, slot));
    }
}

/// Both slots of a flow.
pub(super) fn entries<F: Laned>(
    arrives: &Tuple<F>,
    leaves: &Tuple<F>,
    out: HopId,
    back: HopId,
) -> [Entry<F>; 2] {
    let reply = leaves.reversed();
    let [forward_deltas, reply_deltas] = flow_deltas(arrives, &reply);
    let epoch = epoch(arrives.transport);
    let forward = Entry {
        arrives: *arrives,
        leaves: *leaves,
        deltas: forward_deltas,
        hop: out,
        came_by: Some(back),
        epoch,
        acked: 0,
    };
    let reply = Entry {
        arrives: reply,
        leaves: arrives.reversed(),
        deltas: reply_deltas,
        hop: back,
        came_by: None,
        epoch,
        acked: 0,
    };
    let mut entries = [forward; 2];
    entries[Direction::Reply as usize] = reply;
    entries
}

pub(super) fn epoch(transport: Transport) -> Epoch {
    Epoch::new(0, transport, 3)
}

/// A packet of a client, in the middle of its flow.
pub(super) fn packet<F: Net>(transport: Transport) -> Spec<F> {
    let tuple = Tuple {
        source: F::addr(Network::Clients, 5),
        destination: F::addr(Network::Vips, 2),
        source_port: 40_000,
        destination_port: SERVICE_PORT,
        transport,
    };
    let mut spec = Spec::new(tuple, TcpFlags::ACK);
    spec.payload = b"in the middle".to_vec();
    spec
}

/// What that leaves with.
pub(super) fn leaves<F: Net>(transport: Transport) -> Tuple<F> {
    Tuple {
        source: F::addr(Network::Node, NODE),
        destination: F::addr(Network::Backends, 2),
        source_port: 61_001,
        destination_port: BACKEND_SERVICE_PORT,
        transport,
    }
}

/// The way back to a client, on which its packets came.
pub(super) fn way_back<F: Net>() -> Link {
    packet::<F>(Transport::Tcp).link
}
