//! Every figure of the dataplane, and of a change on its way there, once and quickly: prints a table and writes `target/bench/report.json`.
//!
//! Per-packet figures are medians over rounds of 2048 packets in batches of 64, packets drawn at random from all flows.
//! What is timed is `Path::process` and nothing else: packets are written into the ring before each round.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

#[path = "../control/cluster.rs"]
mod cluster;

use cluster::{Cluster, Step};
use penstock::allocator::Jemalloc;
use penstock_benches::{
    alloc::{Counting, held_bytes},
    family::Numbered,
    measure::{Timing, expiry_turns, hits, look_ups, misses, rounds, timed},
    packets,
    report::Report,
    scene::{BACKENDS, Mix, RING, Scene, Shape, backends},
};
use penstock_dataplane::{
    io::{Frame, MemoryIo, PacketIo},
    state::Tuple,
    table::{FlowHash, Ring, Transport},
    wire::{Ethernet, Family, Tcp, TcpFlags, Udp, V4, V6},
    worker::SWEEP_MOST,
};
use serde_json::{Value, json};
use std::{hint::black_box, time::Duration};

#[global_allocator]
static ALLOCATOR: Counting<Jemalloc> = Counting(Jemalloc);

const FLOWS: [(&str, usize); 3] = [("1k", 1000), ("100k", 100_000), ("1m", 1_000_000)];
/// How long one figure is measured.
const TIME: Duration = Duration::from_millis(1500);

fn main() {
    // `cargo test --benches` runs this too, and wants no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut report = Report::default();
    // The path before anything else: a gateway makes its tables when it starts, and what others have freed is of ordinary pages.
    let mut allocations = first_packet(&mut report);
    allocations += path::<V4>(&mut report, [15.0, 20.0, 25.0]);
    allocations += path::<V6>(&mut report, [15.0, 20.0, 25.0]);
    parse::<V4>(&mut report);
    parse::<V6>(&mut report);
    maglev(&mut report);
    flow_table::<V4>(&mut report);
    flow_table::<V6>(&mut report);
    expiry(&mut report);
    control(&mut report);
    report.add_target(
        "path/allocations",
        allocations as f64,
        "count",
        0.0,
        json!({ "of": "all path figures" }),
    );
    println!("{}", report.table());
    let file = report.write().expect("target/bench can be written");
    println!("written: {}", file.display());
    report.write_readme().expect("benches/README.md has a place for the table");
    assert_eq!(allocations, 0, "packets cost allocations");
}

fn params<F: Numbered>(timing: &Timing, more: Value) -> Value {
    let mut params = json!({ "best": round(timing.best_ns), "rounds": timing.rounds });
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    params["family"] = json!(F::NAME);
    params
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What classifying a packet reads and checks: Ethernet, IP, TCP or UDP, addresses and ports.
fn parse<F: Numbered>(report: &mut Report) {
    let mut io = MemoryIo::new(1, RING);
    let mut frames: Vec<Frame> = std::iter::from_fn(|| io.allocate()).collect();
    for (number, frame) in frames.iter_mut().enumerate() {
        let transport = if number % 2 == 0 { Transport::Tcp } else { Transport::Udp };
        let tuple = Tuple::<F> {
            source: F::addr(10, number as u32),
            destination: F::addr(13, 1),
            source_port: 40_000,
            destination_port: 80,
            transport,
        };
        packets::write(frame, &tuple, TcpFlags::ACK);
    }
    let timing = rounds(RING, TIME / 3, || {
        timed(|| {
            for frame in &frames {
                black_box(tuple_of::<F>(frame));
            }
        })
    });
    frames.into_iter().for_each(|frame| io.recycle(frame));
    let mix = json!({ "packet_bytes": F::FRAME_BYTES, "mix": "UDP and TCP, half and half" });
    report.add(format!("parse/{}", F::SHORT), round(timing.median_ns), "ns", params::<F>(&timing, mix));
}

#[inline]
fn tuple_of<F: Family>(frame: &[u8]) -> Option<Tuple<F>> {
    let ethernet = Ethernet::parse(frame).ok()?;
    let l3 = ethernet.payload();
    let header = F::parse(l3).ok()?;
    let l4 = header.upper_layer(l3);
    let transport = Transport::from_protocol(header.protocol)?;
    let (source_port, destination_port) = if transport == Transport::Tcp {
        let tcp = Tcp::parse(l4).ok()?;
        (tcp.source_port(), tcp.destination_port())
    } else {
        let udp = Udp::parse(l4).ok()?;
        (udp.source_port(), udp.destination_port())
    };
    let (source, destination) = (F::source(l3), F::destination(l3));
    Some(Tuple { source, destination, source_port, destination_port, transport })
}

fn maglev(report: &mut Report) {
    for (slots, count, target) in [(65_537, 1000, 1e6), (16_381, 100, 150e3)] {
        let timing = rounds(1, TIME / 3, || {
            let backends = backends::<V4>(count, 0);
            timed(|| drop(black_box(Ring::with_size(backends, slots))))
        });
        let params = params::<V4>(&timing, json!({ "backends": count, "slots": slots }));
        report.add_target(format!("maglev/{slots}x{count}"), timing.median_ns.round(), "ns", target, params);
    }
    let ring = Ring::with_size(backends::<V4>(1000, 0), 65_537).expect("a ring");
    let mut number = 0u32;
    let timing = rounds(4096, TIME / 3, || {
        timed(|| {
            for _ in 0..4096 {
                number = number.wrapping_add(7);
                let hash = FlowHash::of_flow::<V4>(number.into(), number as u16, V4::addr(13, 1), 80);
                black_box(ring.pick(hash));
            }
        })
    });
    let params =
        params::<V4>(&timing, json!({ "with": "the flow's hash", "slots": 65_537, "backends": 1000 }));
    report.add("maglev/pick", round(timing.median_ns), "ns", params);
}

fn flow_table<F: Numbered>(report: &mut Report) {
    for (name, flows) in FLOWS {
        let scene = Scene::<F>::new(flows, flows, Mix::Established);
        let table = &F::flows(&scene.path).table;
        let timing = look_ups::<F>(table, TIME / 2);
        let params = params::<F>(&timing, json!({ "flows": flows, "load": "full", "order": "random" }));
        let name = format!("flowtable/penstock/{}/{name}", F::SHORT);
        report.add(name, round(timing.median_ns), "ns", params);
        if flows == 1_000_000 {
            let bytes = table.bytes_per_flow() as f64;
            let params = json!({ "with": "both directions, index and timers", "flows": flows });
            match F::ADDR_LEN {
                4 => report.add_target("flow/bytes/v4", bytes, "bytes", 128.0, params),
                _ => report.add("flow/bytes/v6", bytes, "bytes", params),
            }
        }
    }
}

/// Returns allocations.
fn path<F: Numbered>(report: &mut Report, targets: [f64; 3]) -> u64 {
    let mut allocations = 0;
    for ((name, flows), target) in FLOWS.into_iter().zip(targets) {
        let mut scene = Scene::<F>::new(flows, flows, Mix::Established);
        let timing = hits(&mut scene, TIME);
        allocations += timing.allocations;
        let mix = json!({
            "flows": flows, "packet_bytes": F::FRAME_BYTES, "order": "random", "nat": "DNAT+SNAT, both checksums",
            "mix": "UDP and TCP, both directions", "backends": BACKENDS, "table": "full",
        });
        let name = format!("path/hit/{}/{name}", F::SHORT);
        report.add_target(name, round(timing.median_ns), "ns", target, params::<F>(&timing, mix));
    }
    let [timing] = misses(&mut [Scene::<F>::new(100_000, 200_000, Mix::New)], TIME);
    allocations += timing.allocations;
    let mix = json!({
        "packet_bytes": F::FRAME_BYTES, "nat": "DNAT+SNAT", "mix": "TCP SYN", "flows": 100_000, "backends": BACKENDS,
    });
    let name = format!("path/new/{}", F::SHORT);
    report.add_target(name, round(timing.median_ns), "ns", 200.0, params::<F>(&timing, mix));
    allocations
}

/// New flows, each to one of many Services, and to one alone. Returns allocations.
fn first_packet(report: &mut Report) -> u64 {
    let shapes = [1, 30_000].map(|services| Shape { services, backends: 10 });
    let mut scenes = shapes.map(|shape| Scene::<V4>::with(shape, 1000, 100_000, Mix::New));
    let timings = misses(&mut scenes, 2 * TIME);
    let [one, many] = timings.map(|timing| round(timing.median_ns));
    let [of_one, of_many] = [0, 1].map(|at| {
        let Shape { services, backends } = shapes[at];
        let mix = json!({ "services": services, "backends": backends, "mix": "TCP SYN", "order": "random" });
        params::<V4>(&timings[at], mix)
    });
    report.add("path/first-packet/services-1", one, "ns", of_one);
    // Flat within a fifth.
    report.add_target("path/first-packet/services-30k", many, "ns", round(one * 1.2), of_many);
    timings.iter().map(|timing| timing.allocations).sum()
}

/// A million flows have idled away; a worker ends some of them between each two batches of a thousand others.
///
/// It is the same work each time, turn by turn, so what a turn costs is the least that it took in some runs: a turn is some
/// microseconds, and the longest of ten thousand on a shared machine is an interrupt, or a time in which others had the
/// processor. The longest turn of any run is told beside it.
fn expiry(report: &mut Report) {
    const FLOWS: usize = 1_000_000;
    const BUSY: usize = 1000;
    const RUNS: usize = 3;
    let (examine, most) = SWEEP_MOST;
    let runs: Vec<Vec<Duration>> = std::iter::repeat_with(|| {
        let mut scene = Scene::<V4>::new(FLOWS, FLOWS, Mix::Established);
        expiry_turns(&mut scene, BUSY, examine, most)
    })
    .take(RUNS)
    .collect();
    let turns = runs[0].len();
    let mut least: Vec<Duration> =
        (0..turns).filter_map(|turn| runs.iter().map(|run| run[turn]).min()).collect();
    let mut all: Vec<Duration> = runs.concat();
    least.sort();
    all.sort();
    let params = json!({
        "flows": FLOWS, "busy": BUSY, "turns": turns, "examined": examine, "at_most": most, "runs": RUNS,
        "of": "the quickest of the runs, turn by turn",
        "median": quantile(&all, 0.5), "p99": quantile(&all, 0.99), "p99.9": quantile(&all, 0.999),
        "longest_of_any_run": quantile(&all, 1.0),
        "all_gone_after_ms": turns,
    });
    report.add_target("flow/expiry-worst-batch", quantile(&least, 1.0) as f64, "ns", 50e3, params);
}

/// Nanoseconds below which this share of sorted times is.
fn quantile(sorted: &[Duration], share: f64) -> u64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_nanos() as u64
}

/// Ten thousand Services with ten endpoints each: taken in from nothing, and then changed slice by slice.
fn control(report: &mut Report) {
    const SERVICES: usize = 10_000;
    const ENDPOINTS: usize = 10;
    const CHANGES: usize = 1000;
    let before = held_bytes();
    let mut cluster = Cluster::new(SERVICES, ENDPOINTS);
    let objects = held_bytes() - before;
    let cold = cluster.step().total();
    let held = held_bytes() - before;
    let params = json!({
        "services": SERVICES, "endpoints": SERVICES * ENDPOINTS,
        "of": "all that needs no kernel, from objects to what a worker uses",
    });
    report.add_target("control/cold-load", cold.as_nanos() as f64, "ns", 1e9, params.clone());
    let bytes = json!({ "services": SERVICES, "endpoints": SERVICES * ENDPOINTS, "objects": objects });
    report.add_target("control/cold-load-bytes", held as f64, "bytes", f64::from(512 << 20), bytes);
    let mut times: Vec<_> = cluster.changes(CHANGES).iter().map(Step::total).collect();
    times.sort();
    let mut params = params;
    params["median"] = json!(quantile(&times, 0.5) as f64);
    params["changes"] = json!(CHANGES);
    report.add_target("control/slice-change-p99", quantile(&times, 0.99) as f64, "ns", 1e6, params);
}
