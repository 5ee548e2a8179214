//! How long the classifier takes: not a test of anything, but where the figures in `lane.bpf.h` come from.

use super::bench::{LaneBench, Laned, REDIRECT, entries, leaves, packet};
use crate::{
    lane::PairId,
    path::{flow_deltas, world::CLIENT_PORT},
    state::Tuple,
    table::{Link, NextHopId, Transport},
    xdp::{AddressFlags, Classifier, ClassifierState, InterfaceEntry, tests::LOOPBACK},
};
use aya::programs::{TestRun, TestRunOptions};

/// A packet may be forwarded as often as it has hops.
const REPEAT: u32 = 250;

#[test]
#[ignore = "a measurement"]
fn root_measure_the_lane() {
    for transport in [Transport::Tcp, Transport::Udp] {
        measure::<crate::wire::V4>(transport);
        measure::<crate::wire::V6>(transport);
    }
}

fn measure<F: Laned>(transport: Transport) {
    let Some(mut bench) = LaneBench::<F>::new() else { return };
    let mut spec = packet::<F>(transport);
    spec.hop_limit = 255;
    // Two flows that translate into each other, so that each run has something to do, and go back where they came from.
    let other = leaves::<F>(transport);
    let way = bench.lane.hops.next(NextHopId(1)).unwrap();
    let turned = Link { source: spec.link.destination, destination: spec.link.source, ..spec.link };
    bench.lane.hops.set(way, Some((&turned, 1500)));
    for (pair, from, to) in [(0, spec.tuple, other), (1, other, spec.tuple)] {
        let mut slots = entries::<F>(&from, &to, way, way);
        slots[0].came_by = None;
        [slots[0].deltas, _] = flow_deltas(&from, &to.reversed());
        let [slot, _] = bench.lane.slots.write(PairId(pair), &slots);
        assert!(bench.lane.index.insert(&from, slot));
    }
    let frame = spec.bytes();
    let hit = time(&mut bench.classifier, &frame, Some(REDIRECT));
    let counted = bench.lane.slots.seen(PairId(0))[0].packets;
    assert!(counted >= REPEAT / 2, "{counted}");
    let state = state::<F>(&spec.tuple);
    bench.classifier.grow(&state).unwrap();
    let miss = packet_of_another_client(&mut spec);
    let miss = time(&mut bench.classifier, &miss, None);
    let mut off = Classifier::load().unwrap();
    off.grow(&state).unwrap();
    let off = time(&mut off, &frame, None);
    eprintln!("{} {transport}: hit {hit} ns, miss {miss} ns, lane off {off} ns", F::NAME);
}

fn packet_of_another_client<F: Laned>(spec: &mut crate::path::world::Spec<F>) -> Vec<u8> {
    spec.tuple = Tuple { source_port: 9, ..spec.tuple };
    spec.bytes()
}

/// The destination is a VIP.
fn state<F: Laned>(tuple: &Tuple<F>) -> ClassifierState {
    let mut state = ClassifierState::default();
    state.addresses.insert(F::to_ip(tuple.destination), AddressFlags::VIP);
    state.interfaces.insert(LOOPBACK, InterfaceEntry { port: CLIENT_PORT, backend: false });
    state
}

/// The least time of many runs, a packet.
fn time(classifier: &mut Classifier, frame: &[u8], action: Option<u32>) -> u128 {
    let mut run = || {
        let options = TestRunOptions { data_in: Some(frame), repeat: REPEAT, ..TestRunOptions::new() };
        let result = classifier.program().test_run(options).unwrap();
        assert!(action.is_none_or(|action| action == result.return_value));
        result.duration.as_nanos()
    };
    (0..60).map(|_| run()).min().unwrap_or_default()
}
