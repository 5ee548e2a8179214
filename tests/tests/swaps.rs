//! A change of tables under load loses no packet: every datagram is accounted for, exactly once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use penstock_pktgen::{Bound, FrameTemplate, Ledger, PacketSocket, Sent, Summary, Transport, send};
use penstock_tests::{Lab, LabOptions, Losses, PATIENCE, UdpSink, ports, require_root};

const SWAPS: u64 = 1000;
/// Within so long, on whatever machine.
const LONGEST: Duration = Duration::from_secs(600);
const FLOWS: u32 = 64;
const PER_SECOND: u64 = 5_000;
/// More than is ever sent of one flow.
const LIMIT_EACH: u64 = 100_000;
const PAYLOAD_BYTES: usize = 200;

#[test]
fn netns_1000_swaps_lose_no_datagram() {
    require_root!();
    let mut lab = Lab::start(LabOptions { backends: 4, ..LabOptions::new("swap") }).unwrap();
    let sinks: Vec<UdpSink> =
        lab.world.backends.iter().flat_map(|backend| UdpSink::open(backend, ports::UDP.1).unwrap()).collect();
    let macs = lab.client_macs().unwrap();
    let clients = lab.world.plan.client();
    // One account a family; the ports of the two do not matter to each other.
    let templates: Vec<_> = lab
        .vips(ports::UDP)
        .into_iter()
        .zip(clients)
        .map(|(destination, client)| FrameTemplate {
            macs,
            source: (client, 20_000).into(),
            destination,
            transport: Transport::Udp,
            payload_bytes: PAYLOAD_BYTES,
        })
        .collect();
    let ledgers: Vec<_> = templates.iter().map(|_| Mutex::new(Ledger::new(FLOWS, LIMIT_EACH))).collect();
    let (stop_sending, all_sent) = (AtomicBool::new(false), AtomicBool::new(false));
    let before = lab.shown_number("workers", "generation").unwrap();
    let lost_before = Losses::of(&lab.world).unwrap();

    let (sent, swaps) = std::thread::scope(|scope| {
        for (index, sink) in sinks.iter().enumerate() {
            let ledger = &ledgers[index % ledgers.len()];
            let is_over = || all_sent.load(Ordering::Acquire);
            scope.spawn(move || sink.follow(ledger, Duration::from_millis(500), is_over).unwrap());
        }
        let senders: Vec<_> = templates
            .iter()
            .map(|template| {
                let (client, stop) = (&lab.world.client, &stop_sending);
                scope.spawn(move || {
                    client
                        .enter(|| {
                            let socket = PacketSocket::open("eth0").unwrap();
                            send(&socket, template, FLOWS, PER_SECOND, Bound::Time(LONGEST + PATIENCE), stop)
                                .unwrap()
                        })
                        .unwrap()
                })
            })
            .collect();
        let swaps = swap(&lab, before);
        stop_sending.store(true, Ordering::Release);
        let sent: Vec<Sent> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        // Until all are accounted for, or some are still not after long.
        let total: u64 = sent.iter().flat_map(|sent| &sent.by_flow).sum();
        let arrived = || ledgers.iter().map(|ledger| ledger.lock().unwrap().arrived()).sum::<u64>();
        let deadline = Instant::now() + PATIENCE;
        while arrived() + not_taken(&lab, &lost_before) < total && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        all_sent.store(true, Ordering::Release);
        (sent, swaps)
    });

    lab.appliance.check().unwrap();
    let lost = Losses::of(&lab.world).unwrap().since(&lost_before);
    assert!(swaps >= SWAPS, "only {swaps} tables were published");
    let summaries: Vec<_> = (sent.iter().zip(ledgers).zip(&templates))
        .map(|((sent, ledger), template)| {
            let summary = ledger.into_inner().unwrap().close(&sent.by_flow);
            assert!(summary.sent > 10_000, "hardly any load: {summary:?}");
            (template.destination, summary)
        })
        .collect();
    let (missed, not_taken) = (lab.shown_sum("workers", "rxMissed").unwrap(), not_taken(&lab, &lost_before));
    let told = format!(
        "{summaries:?}; {missed} missed by the workers' sockets\n{lost}\n{:#}\n{:#}",
        lab.appliance.show("drops").unwrap_or_default(),
        lab.appliance.show("workers").unwrap_or_default()
    );
    assert_eq!(summaries.iter().map(|(_, summary)| summary.lost).sum::<u64>(), not_taken, "{told}");
    let others = |(_, summary): &(_, Summary)| summary.duplicated + summary.corrupt + summary.foreign;
    assert_eq!(summaries.iter().map(others).sum::<u64>(), 0, "{told}");
    assert_eq!(lab.shown_sum("workers", "txDropped").unwrap(), 0, "{told}");
}

/// A worker that gets no core for a fifth of a second cannot keep its ring from running over, nor can a reader its
/// socket. The kernel counts both; everything else must arrive.
fn not_taken(lab: &Lab, before: &Losses) -> u64 {
    let missed = lab.shown_sum("workers", "rxMissed").unwrap();
    missed + Losses::of(&lab.world).unwrap().since(before).at("RcvbufErrors")
}

/// Changes the endpoints until `SWAPS` tables have been published, and returns how many were.
fn swap(lab: &Lab, before: u64) -> u64 {
    let sets: [&[u8]; 3] = [&[1, 2, 3], &[2, 3, 4], &[1, 3, 4]];
    // Twenty seconds where nothing else runs.
    let deadline = Instant::now() + LONGEST;
    let mut written = 0;
    loop {
        for _ in 0..100 {
            lab.set_endpoints(sets[written % sets.len()]).unwrap();
            written += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        let published = lab.shown_number("workers", "generation").unwrap() - before;
        if published >= SWAPS || Instant::now() > deadline {
            return published;
        }
    }
}
