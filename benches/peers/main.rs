//! `make bench-peers`: Penstock beside what stands in its place elsewhere, in one run, with one generator and one sink.
//!
//! * In: nothing, or `--quick` for a short subset, `--smoke` for a shorter one; the programs of `make cluster-binaries`, root, two processors.
//! * Out: target/bench/peers.json, and a table with ratios and what is missed.
//! * How: every system has a test bed of its own (`bed`), all of them up at the same time with the same objects from one
//!   API server (`objects`). Rounds alternate between the systems, so that a slow minute of the machine is everybody's;
//!   medians count. The generator has processor 0, the gateway processor 1.
//! * Measured: packets a second and processors used (`forward`), requests and answers over TCP (`round_trips`), the first
//!   packet of a flow (`first_packet`), the time from a change of an EndpointSlice until a flow shows it (`change`), and
//!   DPDK's hash beside our flow table (`hash`).

mod bed;
mod change;
mod cpu;
mod first_packet;
mod forward;
mod hash;
mod l2fwd;
mod objects;
mod programs;
mod results;
mod round_trips;
mod systems;
mod traffic;

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result, bail};
use penstock::netns::{Owner, require_root, sweep};

use crate::{objects::Objects, results::Results, systems::Systems};

#[global_allocator]
static ALLOCATOR: penstock_benches::alloc::Counting = penstock_benches::alloc::Counting;

/// How much is measured.
pub(crate) struct Plan {
    services: &'static [usize],
    flows: &'static [u64],
    rounds: usize,
    changes: usize,
}

const WHOLE: Plan = Plan { services: &[1, 1000, 10_000], flows: &[1, 1000, 100_000], rounds: 3, changes: 7 };
const QUICK: Plan = Plan { services: &[1, 1000], flows: &[1000, 100_000], rounds: 2, changes: 4 };
/// Enough to see that it works.
const SMOKE: Plan = Plan { services: &[1], flows: &[1000], rounds: 1, changes: 2 };

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = match arguments.first().map(String::as_str) {
        None => WHOLE,
        Some("--quick") => QUICK,
        Some("--smoke") => SMOKE,
        // Itself, started in a gateway.
        Some("l2fwd") => return l2fwd::run(&arguments[1..]),
        Some(other) => bail!("{other} is not known: --quick, --smoke, or nothing"),
    };
    require_root()?;
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("this needs two processors: one for the generator and the sink, one for the gateway");
    }
    bed::prefer(std::process::id().cast_signed())?;
    let owner = Owner::new("peers");
    sweep(&owner);
    let mut results = Results::default();
    say("flow tables");
    hash::measure(&mut results);
    say("the cluster");
    let mut objects = Objects::start(&owner).context("the cluster does not start")?;
    let mut systems = Systems::start(&owner, &mut objects)?;
    for &services in plan.services {
        say(&format!("{services} Services"));
        objects.grow(services)?;
        systems.wait_until_served(services)?;
        for &flows in plan.flows {
            say(&format!("  forwarding, {flows} flows"));
            forward::measure(&systems, services, flows, plan.rounds, &mut results)?;
        }
        say("  round trips");
        round_trips::measure(&systems, services, plan.rounds, &mut results)?;
        say("  first packets");
        first_packet::measure(&mut systems, services, plan.rounds, &mut results)?;
        say("  changes");
        change::measure(&mut systems, &objects, services, plan.changes, &mut results)?;
        // What there is so far is kept, whatever becomes of the rest.
        results.write()?;
    }
    let file = results.write()?;
    writeln!(std::io::stdout(), "{}\nwritten: {}", results.table(), file.display())?;
    Ok(())
}

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// 1, 1k, 10k, 100k.
pub(crate) fn short(number: u64) -> String {
    if number >= 1000 { format!("{}k", number / 1000) } else { number.to_string() }
}

/// The middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// To a thousandth.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
