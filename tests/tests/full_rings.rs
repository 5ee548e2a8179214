//! A ring that is too small for a burst: what it has no room for is counted on its socket, to the datagram.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use penstock_pktgen::{Bound, FrameTemplate, Ledger, PacketSocket, Transport, send};
use penstock_tests::{Lab, LabOptions, Losses, PATIENCE, UdpSink, ports, require_root};
use serde_json::json;

const DATAGRAMS: u64 = 100_000;

#[test]
fn netns_what_a_full_ring_loses_is_shown() {
    require_root!();
    let mut options = LabOptions { backends: 1, ..LabOptions::new("ring") };
    options.fields.insert("ring".to_owned(), json!({"rx": 64, "tx": 64}));
    let lab = Lab::start(options).unwrap();
    let sink = UdpSink::open(&lab.world.backends[0], ports::UDP.1).unwrap().remove(0);
    let template = FrameTemplate {
        macs: lab.client_macs().unwrap(),
        source: (lab.world.plan.client()[0], 20_000).into(),
        destination: lab.vips(ports::UDP)[0],
        transport: Transport::Udp,
        payload_bytes: 64,
    };
    let shown = |counter| {
        let shown = lab.appliance.show("workers").unwrap();
        let ports = shown["workers"][0]["ports"].as_array().unwrap();
        ports.iter().map(|port| port[counter].as_u64().unwrap()).sum::<u64>()
    };
    let ledger = Mutex::new(Ledger::new(1, DATAGRAMS));
    let before = Losses::of(&lab.world).unwrap();
    let not_taken = || {
        let lost = Losses::of(&lab.world).unwrap().since(&before);
        shown("rxMissed") + shown("txDropped") + lost.at("RcvbufErrors")
    };
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let follower =
            scope.spawn(|| sink.follow(&ledger, Duration::from_millis(500), || over.load(Ordering::Acquire)));
        let flood = || {
            let socket = PacketSocket::open("eth0").unwrap();
            send(&socket, &template, 1, 10_000_000, Bound::Count(DATAGRAMS), &over).unwrap()
        };
        let sent = lab.world.client.enter(flood).unwrap();
        // Until all are accounted for, or none has been for long. Numbers are told twenty times a second.
        let deadline = Instant::now() + PATIENCE;
        let is_accounted = || ledger.lock().unwrap().arrived() + not_taken() >= sent.by_flow[0];
        while !is_accounted() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Release);
        follower.join().unwrap().unwrap();
        sent
    });
    let summary = ledger.into_inner().unwrap().close(&sent.by_flow);
    let lost = Losses::of(&lab.world).unwrap().since(&before);
    let told = format!("{summary:?}\n{lost}\n{:#}", lab.appliance.show("workers").unwrap());
    let (missed, full, empty) = (shown("rxMissed"), shown("rxRingFull"), shown("fillRingEmpty"));
    assert!(missed > 0 && full + empty > 0, "the flood was not enough: {told}");
    assert_eq!(summary.lost, not_taken(), "{told}");
}
