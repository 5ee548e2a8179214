//! iperf3: its control connection, its streams and its datagrams all go through the Service, and it counts for itself
//! what arrived.

use std::net::IpAddr;

use penstock::netns::Namespace;
use penstock_tests::{Lab, LabOptions, PATIENCE, require_root};
use serde_json::Value;

use super::{family, port, says, sockets_of, start};

const PORT: u16 = 5201;

/// How often a second of TCP is tried: the machine may need one for something else.
const TRIES: u32 = 5;

/// A Service of both protocols with one backend: iperf3 wants its control connection and its data at one place.
fn lab(label: &'static str, workers: u16) -> (Lab, Vec<IpAddr>) {
    let lab = Lab::start(LabOptions { workers, ..LabOptions::new(label) }).unwrap();
    let ports = vec![port("tcp", "TCP", PORT, PORT), port("udp", "UDP", PORT, PORT)];
    let service = lab.add_service("iperf", 20, ports, &lab.endpoints(&[1])).unwrap();
    (lab, [service.cluster_ips, service.load_balancer_ips].concat())
}

fn iperf3(lab: &Lab, vip: IpAddr, arguments: &str) -> Value {
    // A server for each run: between two of them iperf3 closes its socket, and resets who has come too early.
    let log = lab.world.folder.path().join("iperf3.log");
    let namespace = &lab.world.backends[0].namespace;
    let mut server = start(namespace, "iperf3 -s -1", &log, &sockets_of(lab, 1, PORT));
    let text = says(&lab.world.client, &format!("iperf3 -J {} -c {vip} {arguments}", family(vip)));
    server.wait_for(PATIENCE);
    // Warnings come first.
    let report = &text[text.find("\n{").unwrap_or_else(|| panic!("no report: {text}"))..];
    let report: Value = serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(report["error"].is_null(), "{vip} {arguments}: {}: {text}", report["error"]);
    report["end"].clone()
}

#[test]
fn netns_iperf3_moves_tcp_both_ways() {
    require_root!("iperf3", "ss");
    for (label, workers) in [("iperf", 1), ("iperf2", 2)] {
        let (lab, vips) = lab(label, workers);
        for vip in vips {
            for way in ["", "-R", "--bidir"] {
                let sums = ["sum_received", "sum_received_bidir_reverse"];
                let sums = &sums[..if way == "--bidir" { 2 } else { 1 }];
                let mut slow = Value::Null;
                let moves = (0..TRIES).any(|_| {
                    slow = iperf3(&lab, vip, &format!("-t 1 -P 4 {way}"));
                    sums.iter().all(|sum| slow[sum]["bytes"].as_u64().is_some_and(|bytes| bytes > 3_000_000))
                });
                assert!(moves, "{vip} {way}, {TRIES} times, the last: {slow}");
            }
        }
    }
}

/// Datagrams for which there was no room in a socket of this namespace, which is nobody's fault but the reader's.
fn unread(namespace: &Namespace) -> i64 {
    let counters = ["UdpRcvbufErrors", "Udp6RcvbufErrors"];
    let text = says(namespace, "nstat -asz");
    let counter =
        |name| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    counters.iter().map(|name| counter(*name).unwrap_or(0i64)).sum()
}

#[test]
fn netns_iperf3_moves_udp_both_ways_without_losing_any() {
    require_root!("iperf3", "ss", "nstat");
    for (label, workers) in [("iperf3", 1), ("iperf4", 2)] {
        let (lab, vips) = lab(label, workers);
        for vip in vips {
            for (way, length) in [("", 1200), ("-R", 1200), ("", 8000), ("-R", 8000)] {
                let readers = [&lab.world.client, &lab.world.backends[0].namespace];
                let unread = || readers.into_iter().map(unread).sum::<i64>();
                // What a worker, or a reader, that got no core for long had no room for. The kernel and the worker count it.
                let counted = |name| i64::try_from(lab.shown_sum("workers", name).unwrap()).unwrap();
                let no_room = || unread() + counted("rxMissed") + counted("handoffsRefused");
                let before = no_room();
                let count = 2_400_000 / length;
                let end = iperf3(&lab, vip, &format!("-u -k {count} -b 20M -l {length} {way}"));
                let (sent, lost) = (&end["sum"]["packets"], &end["sum"]["lost_packets"]);
                assert!(sent.as_u64().is_some_and(|sent| sent > 200), "{vip} {way}: {end}");
                // Those after the last one it read iperf3 does not know of.
                let (lost, no_room) = (lost.as_i64(), no_room() - before);
                assert!(
                    lost.is_some_and(|lost| lost <= no_room),
                    "{vip} {way} {length} bytes: room for all but {no_room}: {end}"
                );
                assert_eq!(lab.shown_number("workers", "txDropped").unwrap(), 0);
                assert_eq!(end["sum"]["out_of_order"].as_i64().unwrap_or(0), 0, "{vip} {way}: {end}");
            }
        }
    }
}
