//! The program, over a real cable between two namespaces.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Mutex,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use penstock::netns::{Namespace, Owner, VethOptions, create_veth, require_root};
use penstock_pktgen::PacketSocket;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_penstock-pktgen");
const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// What a shared machine keeps surely.
const RATE: &str = "20k";

/// The tests take turns: they share the machine's cores.
static TURN: Mutex<()> = Mutex::new(());

struct Cable {
    near: Namespace,
    far: Namespace,
    folder: tempfile::TempDir,
}

impl Cable {
    /// Two namespaces with a cable: a0 here, b0 there, NAPI on so that redirected frames are taken.
    fn lay(label: &str) -> Cable {
        let owner = Owner::new("pktgen");
        let near = Namespace::create(&owner, &format!("{label}-near")).unwrap();
        let far = Namespace::create(&owner, &format!("{label}-far")).unwrap();
        create_veth((&near, "a0", NEAR), (&far, "b0", FAR), VethOptions { queues: 2, mtu: 1500 }).unwrap();
        far.run(&["ethtool", "-K", "b0", "gro", "on"]).unwrap();
        near.ip("addr add 10.7.0.1/24 dev a0").unwrap();
        far.ip("addr add 10.7.0.2/24 dev b0").unwrap();
        Cable { near, far, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs the program here; its result.
    fn run(&self, line: &str) -> Value {
        let mut words = vec![PROGRAM];
        words.extend(line.split_whitespace());
        words.extend(["-o", "json"]);
        let output = self.near.run(&words).unwrap();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    /// Until a thousand packets more have come in there.
    fn wait_for_traffic(&self) {
        let received = || {
            let text = self.far.run(&["cat", "/proc/net/dev"]).unwrap();
            let line = text.lines().find_map(|line| line.trim().strip_prefix("b0:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let (before, deadline) = (received(), Instant::now() + Duration::from_secs(20));
        while received() < before + 1000 {
            assert!(Instant::now() < deadline, "nothing is sent");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn there(&self) -> String {
        format!("{}:b0", self.far.name())
    }

    fn traffic(&self) -> String {
        format!(
            "-i a0 --receive {} --destination-mac 02:00:00:00:00:02 --source 10.8.0.0/24 --destination 10.9.0.1 \
             --destination-ports 53 --flows 1000",
            self.there()
        )
    }
}

/// Frames that come in until none has for half a second. What the other end sends itself is none.
fn listen(listener: &PacketSocket, mut each: impl FnMut(&[u8])) {
    listener.set_patience(Duration::from_millis(50)).unwrap();
    let (mut buffer, mut last) = (vec![0; 2048], Instant::now());
    let deadline = last + Duration::from_secs(20);
    while last.elapsed() < Duration::from_millis(500) {
        if let Some(frame) = listener.receive(&mut buffer).unwrap() {
            each(frame);
            last = Instant::now();
        }
        assert!(last < deadline, "frames still come");
    }
}

fn cannot_run() -> bool {
    let obstacle = require_root().err();
    let in_ci = std::env::var("CI").as_deref() == Ok("true");
    if let Some(obstacle) = &obstacle {
        assert!(!in_ci, "CI=true, so no test may be skipped: {obstacle}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: {obstacle}");
    }
    obstacle.is_some()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {value:#}"))
}

#[test]
fn netns_every_sender_delivers_all_of_a_slow_run() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("senders");
    for sender in ["packet", "af-xdp", "live-frames"] {
        let plot = cable.folder.path().join(format!("{sender}.svg"));
        let line = format!(
            "run {} --rate {RATE} --packets 20000 --duration 20s --sender {sender} --size imix --plot {}",
            cable.traffic(),
            plot.display()
        );
        let told = cable.run(&line);
        assert_eq!(number(&told, "/offered"), 20_000, "{sender}: {told:#}");
        assert_eq!(number(&told, "/refused"), 0, "{sender}: {told:#}");
        assert_eq!(number(&told, "/received/packets"), 20_000, "{sender}: {told:#}");
        let arrivals = told.pointer("/received/arrivals").unwrap();
        let expected = serde_json::json!(
            {"arrived": 20_000, "reordered": 0, "reorderedFlows": 0, "duplicated": 0, "corrupt": 0, "foreign": 0}
        );
        assert_eq!(arrivals, &expected, "{sender}: {told:#}");
        assert_eq!(number(&told, "/received/latency/count"), 20_000);
        let seconds = told["seconds"].as_f64().unwrap();
        assert!((0.9..10.0).contains(&seconds), "{sender} kept no pace: {seconds}");
        assert!(!told["series"].as_array().unwrap().is_empty());
        assert!(std::fs::read_to_string(plot).unwrap().contains("<polyline"));
    }
}

#[test]
fn netns_losses_doubles_and_disorder_are_seen() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("harm");
    // One percent each, in the order that netem knows. AF_XDP bypasses queueing disciplines, a packet socket does not.
    let netem = "tc qdisc add dev a0 root netem delay 2ms loss 5% duplicate 5% reorder 5%";
    let words: Vec<&str> = netem.split(' ').collect();
    if let Err(error) = cable.near.run(&words) {
        eprintln!("SKIPPED: no netem here: {error}");
        return;
    }
    let line =
        format!("run {} --rate {RATE} --packets 20000 --duration 20s --sender packet", cable.traffic());
    let told = cable.run(&line);
    let near = |value: u64, share: f64| (value as f64 / 20_000.0 - share).abs() < 0.02;
    assert!(near(number(&told, "/received/lost"), 0.05), "{told:#}");
    assert!(near(number(&told, "/received/arrivals/duplicated"), 0.05), "{told:#}");
    let p50 = told.pointer("/received/latency/p50Us").and_then(Value::as_f64).unwrap();
    assert!((1_900.0..20_000.0).contains(&p50), "{told:#}");
}

#[test]
fn netns_the_kernel_keeps_the_bound_of_live_frames() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("bound");
    let line = format!("run {} --rate max --packets 123456 --sender live-frames --sample 0", cable.traffic());
    let told = cable.run(&line);
    assert_eq!(number(&told, "/offered"), 123_456, "{told:#}");
    let received = number(&told, "/received/packets");
    assert_eq!(received + number(&told, "/refused"), 123_456, "{told:#}");
}

#[test]
fn netns_an_interrupt_ends_a_run_with_its_report() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("signal");
    for sender in ["packet", "af-xdp", "live-frames"] {
        let report = cable.folder.path().join(format!("{sender}.json"));
        let line = format!(
            "{PROGRAM} run {} --rate {RATE} --duration 60s --sender {sender} --json {}",
            cable.traffic(),
            report.display()
        );
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut child = cable.near.spawn(&words, Some(&cable.folder.path().join("log"))).unwrap();
        cable.wait_for_traffic();
        child.signal(Signal::SIGINT);
        let status = child.wait_for(Duration::from_secs(10)).expect("it does not end");
        assert!(status.success(), "{sender}: {}", child.output());
        let told: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(told["interrupted"], true, "{sender}");
        assert!(number(&told, "/offered") > 0, "{sender}: {told:#}");
        assert_eq!(number(&told, "/received/lost"), 0, "{sender}: {told:#}");
        assert!(child.output().contains("early, by a signal"), "{}", child.output());
    }
}

#[test]
fn netns_a_killed_generator_in_the_kernel_stops() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("kill");
    let line = format!("{PROGRAM} run {} --rate {RATE} --duration 60s --sender live-frames", cable.traffic());
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = cable.near.spawn(&words, None).unwrap();
    cable.wait_for_traffic();
    child.signal(Signal::SIGKILL);
    child.wait_for(Duration::from_secs(5)).expect("it outlives SIGKILL");
    let listener = cable.far.enter(|| PacketSocket::open("b0").unwrap()).unwrap();
    listen(&listener, |_| ());
}

#[test]
fn netns_a_search_finds_what_a_shaper_lets_through() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("search");
    // Behind a router, whose way out lets 2.4 Mbit/s through: 5,000 frames of 60 bytes a second, with hardly a queue.
    let beyond = Namespace::create(&Owner::new("pktgen"), "search-beyond").unwrap();
    let veth = VethOptions { queues: 1, mtu: 1500 };
    create_veth((&cable.far, "c0", [2, 0, 0, 0, 0, 3]), (&beyond, "d0", [2, 0, 0, 0, 0, 4]), veth).unwrap();
    cable.far.set_forwarding(true).unwrap();
    cable.far.ip("neigh add 10.9.0.1 lladdr 02:00:00:00:00:04 dev c0 nud permanent").unwrap();
    cable.far.ip("route add 10.9.0.0/24 dev c0").unwrap();
    cable.far.ip("route add 10.8.0.0/24 dev b0").unwrap();
    let shaper = "tc qdisc add dev c0 root tbf rate 2400kbit burst 3000 limit 6000";
    if let Err(error) = cable.far.run(&shaper.split(' ').collect::<Vec<_>>()) {
        eprintln!("SKIPPED: no token bucket here: {error}");
        return;
    }
    let line = format!(
        "search {} --sender packet --rate 20k --lowest 1k --duration 1s --resolution 5 --tolerance 0.5",
        cable.traffic().replace(&cable.there(), &format!("{}:d0", beyond.name()))
    );
    let told = cable.run(&line);
    let rate = told["noDropRate"].as_f64().unwrap();
    assert!((3_500.0..6_000.0).contains(&rate), "{told:#}");
    assert!(told["trials"].as_array().unwrap().len() > 3, "{told:#}");
}

#[test]
fn netns_whole_connections_are_made_and_refusals_told() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("request");
    let listener = cable.far.enter(|| TcpListener::bind("10.7.0.2:8080").unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let told = cable.run("request -i a0 --to 10.7.0.2:8080 --count 200 --rate 1k --at-once 8");
    assert_eq!((number(&told, "/begun"), number(&told, "/answered")), (200, 200), "{told:#}");
    assert_eq!(number(&told, "/bytes"), 200 * 40, "{told:#}");
    let refused = cable.near.run(&[PROGRAM, "request", "-i", "a0", "--to", "10.7.0.2:81", "--count", "3"]);
    assert!(refused.is_err());
    // Bound to its interface: what is reached by another one is not reached.
    let elsewhere = cable.near.run(&[
        PROGRAM,
        "request",
        "-i",
        "lo",
        "--to",
        "10.7.0.2:8080",
        "--count",
        "1",
        "--patience",
        "200ms",
    ]);
    assert!(elsewhere.is_err());
}

#[test]
fn netns_a_syn_flood_and_a_capture_are_sent() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("flood");
    let listener = cable.far.enter(|| PacketSocket::open("b0").unwrap()).unwrap();
    let flood = "run -i a0 --destination-mac 02:00:00:00:00:02 --protocol tcp-syn --source 10.8.0.0/24 --flows 1000 \
                 --destination 10.9.0.1 --destination-ports 80 --rate 5k --packets 1000 --sender live-frames";
    assert_eq!(number(&cable.run(flood), "/offered"), 1000);
    let mut sources = std::collections::BTreeSet::new();
    let file = cable.folder.path().join("flood.pcap");
    let mut pcap = pcap_file::pcap::PcapWriter::new(std::fs::File::create(&file).unwrap()).unwrap();
    listen(&listener, |frame| {
        let packet = etherparse::SlicedPacket::from_ethernet(frame).unwrap();
        if let Some(etherparse::TransportSlice::Tcp(tcp)) = packet.transport {
            assert!(tcp.syn() && !tcp.ack());
            sources.insert((frame[26..30].to_vec(), tcp.source_port()));
            let record = pcap_file::pcap::PcapPacket::new(Duration::ZERO, frame.len() as u32, frame);
            pcap.write_packet(&record).unwrap();
        }
    });
    assert_eq!(sources.len(), 1000);
    drop(pcap);
    let line = format!("run -i a0 --pcap {} --rate 5k --packets 1500", file.display());
    assert_eq!(number(&cable.run(&line), "/offered"), 1500);
    let mut again = 0;
    listen(&listener, |_| again += 1);
    assert!(again >= 1500, "{again}");
}

#[test]
fn netns_nothing_is_sent_without_a_bound_or_an_interface() {
    if cannot_run() {
        return;
    }
    let _turn = TURN.lock();
    let cable = Cable::lay("refused");
    for line in [
        format!("run {}", cable.traffic()),
        format!("run {} --duration 0s", cable.traffic()),
        format!("run {} --packets 1", cable.traffic().replace("-i a0", "")),
        format!("run {} --packets 1", cable.traffic().replace("-i a0", "-i b0")),
    ] {
        let mut words = vec![PROGRAM];
        words.extend(line.split_whitespace());
        assert!(cable.near.run(&words).is_err(), "{line}");
    }
}
