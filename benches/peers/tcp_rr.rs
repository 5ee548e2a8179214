//! Requests and answers over TCP connections that stay: a byte there, a byte back, on 200 of them at once, one request in
//! flight on each. netperf calls it TCP_RR.
//!
//! An end of a connection in the kernel costs more than what is between the two, so with such ends they are what is
//! measured (`round_trips`). Here the ends are programs in XDP (`bpf/tcp_rr.bpf.c`), on the generator's processor, in
//! threads of their interfaces' own; the gateway has the other processor for itself, as in `forward`. Connections are
//! opened by real handshakes through the gateway, and sequence numbers and checksums are right, which the ends verify.
//!
//! How much of either processor was used is told beside each figure: what bounds it. Times of answers are the clients', from a
//! request's leaving to its answer's coming; with 200 requests always under way they are 200 by the rate, spread.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use etherparse::PacketBuilder;
use penstock_pktgen::PacketSocket;
use serde_json::json;

use crate::{
    bed::{Bed, CLIENT, GATEWAY_CORE, TESTER_CORE},
    cpu::Moment,
    median_of,
    objects::{STREAM_PORT, address},
    programs::{self, Attached},
    results::Results,
    rounded, short,
    systems::Systems,
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcp_rr.bpf.o"));

const CONNECTIONS: u16 = 200;
/// Ports of a round's clients begin where the round before left off.
const FIRST_PORT: u16 = 10_000;
const ROUNDS_OF_PORTS: u32 = 200;
/// What is not counted at the start, while flows become established and busy.
const WARM_UP: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(1);
/// How long connections may take to be opened, and first requests to be answered.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// A connection without an answer for as long has lost something.
const STALL: Duration = Duration::from_millis(100);
/// A processor that is used so far is what bounds: the rest is threads waking each other.
const USED_UP: f64 = 0.85;

const CLIENT_ISN: u32 = 0x2000_0000;
/// As the program has it.
const SERVER_ISN: u32 = 0x1000_0000;
const WINDOW: u16 = 0xffff;
/// As the program has it.
const MICROSECONDS: usize = 8192;

/// `struct config` of the program.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Config {
    first_port: u16,
    connections: u16,
    goes_on: u16,
    counts_times: u16,
}

/// `struct connection` of the program.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Connection {
    asked_ns: u64,
    answered: u64,
    is_open: u64,
}

/// `struct counts` of the program.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Counts {
    answered: u64,
    corrupt: u64,
    reset: u64,
}

#[expect(unsafe_code, reason = "plain numbers without padding, as the program has them")]
mod pod {
    // SAFETY: all three are repr(C), of numbers alone, without padding, and any bits are a value.
    unsafe impl aya::Pod for super::Config {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Connection {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Counts {}
}

/// What came of a round.
#[derive(Debug, Clone, Copy)]
struct Round {
    per_second: f64,
    /// Processors used, in all, by the gateway's and by the ends'.
    cores: [f64; 3],
    p50_us: f64,
    p99_us: f64,
    /// Connections that had lost a segment by the end.
    stalled: usize,
}

/// Measures all systems that packets come back through, in turn.
pub(crate) fn measure(
    systems: &mut Systems,
    services: usize,
    rounds: usize,
    results: &mut Results,
) -> Result<()> {
    let mut all = vec![Vec::new(); systems.all.len()];
    for _ in 0..rounds {
        systems.next_source += 1;
        let first_port = FIRST_PORT + CONNECTIONS * (systems.next_source % ROUNDS_OF_PORTS) as u16;
        for (system, rounds) in systems.all.iter().zip(&mut all) {
            if system.kind.goes_both_ways() {
                let round = run(&system.bed, first_port);
                rounds.push(round.with_context(|| format!("{}:\n{}", system.kind.name(), system.log()))?);
            }
        }
    }
    for (system, rounds) in systems.all.iter().zip(&all).filter(|(_, rounds)| !rounds.is_empty()) {
        let middle = |value: fn(&Round) -> f64| median_of(rounds, value);
        let rates: Vec<f64> = rounds.iter().map(|round| round.per_second.round()).collect();
        let (gateway, ends) = (middle(|round| round.cores[1]), middle(|round| round.cores[2]));
        let params = json!({
            "connections": CONNECTIONS, "bytes": 1, "services": services, "rounds": rates,
            "cpu_cores": rounded(middle(|round| round.cores[0])),
            "gateway_core": rounded(gateway), "ends_core": rounded(ends), "bound": bound(gateway, ends),
            "p50_us": middle(|round| round.p50_us), "p99_us": middle(|round| round.p99_us),
            "stalled": rounds.iter().map(|round| round.stalled).sum::<usize>(),
            "translation": system.kind.follows_services(),
        });
        let name = format!("tcp-rr/{}/{}", system.kind.name(), short(services as u64));
        results.add(name, middle(|round| round.per_second).round(), "per s", params);
    }
    Ok(())
}

/// What is used up, and how far.
fn bound(gateway: f64, ends: f64) -> String {
    let what = match (gateway >= USED_UP, ends >= USED_UP) {
        (true, false) => "the gateway's core",
        (false, true) => "the ends' core",
        (true, true) => "both cores",
        (false, false) => "threads waking each other",
    };
    format!("{what} (gateway's {gateway:.2}, ends' {ends:.2})")
}

/// Both ends, attached, and the clients' maps.
struct Ends {
    _server: Attached,
    _client: Attached,
    config: Array<MapData, Config>,
    connections: Array<MapData, Connection>,
    counts: Array<MapData, Counts>,
    times: Array<MapData, u64>,
}

impl Ends {
    fn attach(bed: &Bed) -> Result<Ends> {
        let server = bed.sink.enter(|| programs::attach(load()?, "answer", &bed.name('k')))??;
        let mut object = load()?;
        let (config, connections) = (take(&mut object, "config")?, take(&mut object, "connections")?);
        let (counts, times) = (take(&mut object, "counts")?, take(&mut object, "times")?);
        let client = bed.generator.enter(|| programs::attach(object, "ask", &bed.name('g')))??;
        Ok(Ends { _server: server, _client: client, config, connections, counts, times })
    }

    fn set(&mut self, config: Config) -> Result<()> {
        self.config.set(0, config, 0).context("cannot tell the clients what to do")
    }

    /// All connections.
    fn connections(&self) -> Result<Vec<Connection>> {
        let all = (0..u32::from(CONNECTIONS)).map(|number| self.connections.get(&number, 0));
        all.collect::<Result<_, _>>().context("cannot read the connections")
    }

    fn counts(&self) -> Result<Counts> {
        self.counts.get(&0, 0).context("cannot read the counts")
    }

    /// Microseconds below which these parts of all answers came.
    fn times(&self, parts: [f64; 2]) -> Result<[f64; 2]> {
        let counts = (0..MICROSECONDS as u32).map(|us| self.times.get(&us, 0)).collect::<Result<Vec<_>, _>>();
        let counts = counts.context("cannot read the times of answers")?;
        let total: u64 = counts.iter().sum();
        Ok(parts.map(|part| {
            let wanted = (total as f64 * part) as u64;
            let mut sum = 0;
            let at = counts.iter().position(|count| {
                sum += count;
                sum > wanted
            });
            at.map_or(0.0, |us| (us + 1) as f64)
        }))
    }
}

fn load() -> Result<Ebpf> {
    Ebpf::load(OBJECT).context("cannot load the ends of connections")
}

fn take<T: aya::Pod>(object: &mut Ebpf, name: &str) -> Result<Array<MapData, T>> {
    Ok(object.take_map(name).with_context(|| format!("the ends have no map {name}"))?.try_into()?)
}

fn run(bed: &Bed, first_port: u16) -> Result<Round> {
    let _threads = bed.ends_have_a_core()?;
    let mut ends = Ends::attach(bed)?;
    let mut config = Config { first_port, connections: CONNECTIONS, goes_on: 1, counts_times: 0 };
    ends.set(config)?;
    let socket = bed.generator.enter(|| PacketSocket::open(&bed.name('g')))??;
    let say = |kind: Kind, is_due: fn(&Connection) -> bool| -> Result<bool> {
        let mut is_over = true;
        for (port, connection) in (first_port..).zip(ends.connections()?) {
            if is_due(&connection) {
                is_over = false;
                socket.send(&segment(bed, port, kind)?)?;
            }
        }
        Ok(is_over)
    };
    repeat("connections are not opened", || say(Kind::Syn, |connection| connection.is_open == 0))?;
    repeat("requests are not answered", || say(Kind::Request, |connection| connection.answered == 0))?;
    std::thread::sleep(WARM_UP);
    config.counts_times = 1;
    ends.set(config)?;
    let (before, moment, began) = (ends.counts()?, Moment::now(), Instant::now());
    std::thread::sleep(TIME);
    let (after, cores, took) = (ends.counts()?, Moment::now(), began.elapsed());
    let cores = [
        cores.cores_since(&moment),
        cores.core_since(&moment, GATEWAY_CORE),
        cores.core_since(&moment, TESTER_CORE),
    ];
    let former = ends.connections()?;
    std::thread::sleep(STALL);
    let stands = |(now, then): &(Connection, Connection)| now.answered == then.answered;
    let stalled = ends.connections()?.into_iter().zip(former).filter(stands).count();
    config.goes_on = 0;
    ends.set(config)?;
    ensure!(after.corrupt == 0, "{} segments came back with a wrong checksum", after.corrupt);
    ensure!(after.reset == 0, "{} connections were reset", after.reset);
    ensure!(
        stalled < usize::from(CONNECTIONS) / 20,
        "{stalled} of {CONNECTIONS} connections have lost a segment"
    );
    let [p50_us, p99_us] = ends.times([0.5, 0.99])?;
    let per_second = (after.answered - before.answered) as f64 / took.as_secs_f64();
    Ok(Round { per_second, cores, p50_us, p99_us, stalled })
}

/// Does it again, with pauses, until it says that nothing is left to do.
fn repeat(what: &str, mut step: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !step()? {
        if began.elapsed() > PATIENCE {
            bail!("{what} within {PATIENCE:?}");
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// What clients send by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Syn,
    Request,
}

fn segment(bed: &Bed, port: u16, kind: Kind) -> Result<Vec<u8>> {
    let ends = |address: Ipv4Addr| address.octets();
    let packet = PacketBuilder::ethernet2(bed.mac(1), bed.mac(2)).ipv4(ends(CLIENT), ends(address(0)), 64);
    let seq = CLIENT_ISN + u32::from(kind == Kind::Request);
    let packet = packet.tcp(port, STREAM_PORT, seq, WINDOW);
    let (packet, payload) = match kind {
        Kind::Syn => (packet.syn(), &[][..]),
        Kind::Request => (packet.psh().ack(SERVER_ISN + 1), &[7][..]),
    };
    let mut frame = Vec::with_capacity(packet.size(payload.len()));
    packet.write(&mut frame, payload)?;
    Ok(frame)
}
