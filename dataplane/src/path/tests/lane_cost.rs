//! What a promotion costs its worker.

use crate::{
    io::PortId,
    lane::{FLOWS_A_TURN, Hops, Index, IndexKeeper, LaneSettings, Memory, Slots, UsablePorts, WorkerLane},
    path::{rewrite::flow_deltas, world::*},
    state::{Flow, FlowState, Flows, LastHopId, Millis, TcpState, Timeouts, Traffic, Tuple},
    table::{BackendId, NextHopId, ServiceId, Transport},
    wire::V4,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const FLOWS: u32 = 100_000;

/// As many flows a turn as there may be, and none of them in the cache. Measured on two virtual cores (EPYC, Zen 4), with
/// 100,000 flows: 0.3 µs each; by real maps 0.37 (`lane/promotion` of bench-peers).
#[test]
fn a_promotion_is_cheap() {
    let world = World::<V4>::new();
    let usable = Arc::new(UsablePorts::default());
    [CLIENT_PORT, BACKEND_PORT].iter().for_each(|port: &PortId| usable.set(*port, true));
    let hops = Arc::new(Memory::private(Hops::places(1, 16) as usize));
    let (slots, index) = (Arc::new(Memory::private(2 * FLOWS as usize)), Index::private(2 * FLOWS));
    let mut keeper = IndexKeeper::new(index.clone(), Arc::clone(&slots));
    let lane = WorkerLane {
        slots: Slots::share(slots, 0, 1),
        index,
        notices: Arc::new(Memory::private(1)),
        hops: Hops::new(hops, 0, 1, 16),
        usable,
        flushes: Arc::default(),
    };
    let mut flows = Flows::<V4>::new(FLOWS as usize, 0);
    flows.set_lane(lane, &LaneSettings::default(), 0, Duration::ZERO);
    let now = Millis(1000);
    let open = |number: u32| {
        let original = Tuple {
            source: V4::addr(Network::Clients, number),
            destination: V4::addr(Network::Vips, LB_IP),
            source_port: (number >> 16) as u16 + 1,
            destination_port: SERVICE_PORT,
            transport: Transport::Tcp,
        };
        let reply = Tuple {
            source: V4::addr(Network::Backends, 1),
            destination: V4::addr(Network::Node, number),
            ..original
        };
        let flow = Flow {
            original,
            reply,
            state: FlowState::Tcp(TcpState::Established).into(),
            deltas: flow_deltas(&original, &reply),
            next_hop: NextHopId(number % 16),
            backend: BackendId(0),
            service: ServiceId(0),
            acked: [1; 2],
            udp_epoch: 0,
            last_hop: LastHopId::default(),
            created: now,
            last_seen: now,
            traffic: [Traffic::default(); 2],
            lane: crate::lane::FlowLane::default(),
        };
        let hashes = flows.table.hashes(&flow.original, &flow.reply);
        flows.open(flow, hashes, Spec::<V4>::new(original, ACK).link, &Timeouts::default()).unwrap()
    };
    let ids: Vec<_> = (0..FLOWS).map(open).collect();
    let mut elapsed = Duration::ZERO;
    for batch in ids.chunks(FLOWS_A_TURN) {
        batch.iter().for_each(|id| flows.table.note_busy(*id));
        let begun = Instant::now();
        flows.work_lane(&world.snapshot.v4, now, FLOWS_A_TURN);
        elapsed += begun.elapsed();
        keeper.tend();
    }
    // Few find their bucket full.
    assert!(flows.lane.counters().promoted > u64::from(FLOWS - FLOWS / 1000));
    let each = elapsed / FLOWS;
    println!("{each:?} for each of {FLOWS} flows");
    assert!(each < Duration::from_micros(50), "{each:?}");
}
