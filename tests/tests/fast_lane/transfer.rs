//! A gigabyte through the lane: every byte, and no more of them twice than without it.

use std::{fs::File, io::Read, net::SocketAddr};

use penstock::netns::Namespace;
use penstock_tests::{Lab, ports, require_root};
use serde_json::json;

use crate::{lane, options, wait_for_the_lane};

const FILE_BYTES: u64 = 1_000_000_000;
/// Of TCP's data in a packet of 1500 bytes; IPv6's are shorter.
const SEGMENT_BYTES: u64 = 1448;

/// What a namespace's TCP has sent again because its receiver told of others behind it: they were lost, or overtaken. Not what
/// it sends again when an answer is late, as on a machine that has other things to do.
const SENT_AGAIN: [&str; 2] = ["TcpExtTCPFastRetrans", "TcpExtTCPSlowStartRetrans"];

fn retransmitted(namespace: &Namespace) -> u64 {
    let told = namespace.run(&["nstat", "-asz"]).unwrap();
    let counters = told.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|name| SENT_AGAIN.contains(name))?;
        words.next()?.parse::<u64>().ok()
    });
    let counters: Vec<_> = counters.collect();
    assert_eq!(counters.len(), SENT_AGAIN.len(), "{told}");
    counters.iter().sum()
}

/// Reads a file of nginx's and compares it with what it is. Returns how many segments its server sent again.
fn fetch(lab: &Lab, vip: SocketAddr, original: &str) -> u64 {
    let server = &lab.world.backends[0].namespace;
    let before = retransmitted(server);
    let script = format!(
        "set -o pipefail; curl -sS --fail --max-time 600 http://{vip}/files/random | cmp - {original}"
    );
    lab.world.client.run(&["bash", "-c", &script]).unwrap_or_else(|error| panic!("{vip}: {error}"));
    retransmitted(server) - before
}

#[test]
fn netns_a_gigabyte_takes_the_lane_byte_for_byte() {
    require_root!("bash", "cmp", "nstat");
    let mut fields = options("gigabyte", json!({}));
    fields.backends = 1;
    let mut lab = Lab::start(fields.clone()).unwrap();
    let original = lab.world.folder.path().join("files/random");
    let mut random = File::open("/dev/urandom").unwrap().take(FILE_BYTES);
    std::io::copy(&mut random, &mut File::create(&original).unwrap()).unwrap();
    let original = original.to_string_lossy().into_owned();
    wait_for_the_lane(&mut lab);
    let vips = lab.vips(ports::HTTP);
    let mut again = Vec::new();
    for vip in &vips {
        let before = lane(&lab);
        again.push(fetch(&lab, *vip, &original));
        let least = FILE_BYTES / SEGMENT_BYTES;
        let since = |now: &serde_json::Value, what: &str| {
            now[what].as_u64().unwrap() - before[what].as_u64().unwrap()
        };
        // Workers look at what the lane has counted now and then.
        lab.wait_until("most by the lane", |lab| since(&lane(lab), "byLane") >= least).unwrap();
        let by_worker = since(&lane(&lab), "byWorker");
        assert!(by_worker * 100 < least, "{vip}: {by_worker} packets were the workers', of {least} and more");
    }

    // The same without the lane, of the same file.
    lab.restart_with(&json!({"fastLane": "off"})).unwrap();
    let without: Vec<_> = vips.iter().map(|vip| fetch(&lab, *vip, &original)).collect();
    assert_eq!(lane(&lab)["on"], false);
    for ((vip, again), without) in vips.iter().zip(&again).zip(&without) {
        // Few are the machine's: what reads a ring gets no core for a moment.
        let segments = FILE_BYTES / SEGMENT_BYTES;
        assert!(
            *again <= without + segments / 10_000,
            "{vip}: {again} segments of {segments} were sent again, and {without} without the lane"
        );
    }
}
