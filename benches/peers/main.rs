//! `make bench-peers`: Penstock beside what stands in its place elsewhere, in one run, with one generator and one sink.
//!
//! * In: nothing, or `--quick` for a short subset, `--smoke` for a shorter one, `--only` for what is picked (`plan`); the
//!   programs of `make cluster-binaries`, root, two processors.
//! * Out: target/bench/peers.json, and a table with ratios and what is missed.
//! * How: every system has a test bed of its own (`bed`), all of them up at the same time with the same objects from one
//!   API server (`objects`). Rounds alternate between the systems, so that a slow minute of the machine is everybody's;
//!   medians count. The generator has processor 0, the gateway processor 1.
//! * Measured: packets a second and processors used (`forward`), requests and answers over TCP (`tcp_rr`, and by the
//!   kernel's sockets `round_trips`), the first packet of a flow (`first_packet`), the time from a change of an EndpointSlice until a flow shows it (`change`), DPDK's
//!   hash beside our flow table (`hash`), and what a flow in the fast lane costs (`lane_cost`).

mod after_idle;
mod bed;
mod change;
mod cpu;
mod first_packet;
mod forward;
mod hash;
mod l2fwd;
mod lane_cost;
mod objects;
mod plan;
mod programs;
mod reordering;
mod results;
mod round_trips;
mod systems;
mod tcp_rr;
mod traffic;
mod way;

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result, bail};
use penstock::{
    allocator::Jemalloc,
    netns::{Owner, require_root, sweep},
};
use penstock_benches::alloc::Counting;

use crate::{objects::Objects, plan::Plan, results::Results, systems::Systems, way::Way};

/// IPv6 is measured with so many flows to one Service alone.
const FLOWS_V6: u64 = 1000;

#[global_allocator]
static ALLOCATOR: Counting<Jemalloc> = Counting(Jemalloc);

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
    // Itself, started in a gateway.
    if let Some((first, rest)) = arguments.split_first()
        && first == "l2fwd"
    {
        return l2fwd::run(rest);
    }
    let plan = Plan::of(&arguments)?;
    require_root()?;
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("this needs two processors: one for the generator and the sink, one for the gateway");
    }
    bed::prefer(std::process::id().cast_signed())?;
    let owner = Owner::new("peers");
    sweep(&owner);
    let mut results = Results::default();
    if plan.has("flowtable") {
        say("flow tables");
        hash::measure(&mut results);
    }
    if plan.has("lane") {
        say("the fast lane's costs");
        lane_cost::measure(&mut results)?;
    }
    if plan.has_systems() {
        compare(&plan, &owner, &mut results)?;
    }
    let file = results.write()?;
    writeln!(std::io::stdout(), "{}\nwritten: {}", results.table(), file.display())?;
    Ok(())
}

/// Systems that run, beside each other.
fn compare(plan: &Plan, owner: &Owner, results: &mut Results) -> Result<()> {
    say("the cluster");
    let mut objects = Objects::start(owner).context("the cluster does not start")?;
    let mut systems = Systems::start(owner, &mut objects, &plan.systems)?;
    for (number, (services, flows)) in plan.points.iter().enumerate() {
        let services = *services;
        say(&format!("{services} Services"));
        systems.asleep(|| objects.grow(services))?;
        systems.wait_until_served(Way::V4, services)?;
        if plan.has("forward") {
            for (place, &flows) in flows.iter().enumerate() {
                say(&format!("  forwarding, {flows} flows"));
                forward::measure(&systems, Way::V4, services, flows, plan.rounds(number + place), results)?;
            }
        }
        if plan.has("forward-v6") && number == 0 {
            say("  forwarding, IPv6");
            objects.add(Way::V6)?;
            systems.wait_until_served(Way::V6, 1)?;
            forward::measure(&systems, Way::V6, 1, FLOWS_V6, plan.steady_rounds, results)?;
            objects.remove(Way::V6)?;
        }
        if plan.has("lane") && number == 0 {
            say("  order of packets");
            reordering::measure(&mut systems, plan.steady_rounds, results)?;
        }
        if plan.has("tcp-rr") {
            say("  requests and answers over TCP");
            tcp_rr::measure(&mut systems, services, plan.rounds(number), results)?;
        }
        if plan.has("tcp-rr-sockets") {
            say("  the same by sockets");
            round_trips::measure(&systems, services, plan.rounds(number), results)?;
        }
        if plan.has("first-packet") {
            say("  first packets");
            first_packet::measure(&mut systems, services, plan.steady_rounds, results)?;
        }
        if plan.has("after-idle") && number == 0 {
            say("  packets after a pause");
            after_idle::measure(&systems, plan.steady_rounds, results)?;
        }
        if plan.has("change") {
            say("  changes");
            change::measure(&mut systems, &objects, services, plan.changes, results)?;
        }
        // What there is so far is kept, whatever becomes of the rest.
        results.write()?;
    }
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

/// The median of one value of each.
pub(crate) fn median_of<T>(all: &[T], value: impl Fn(&T) -> f64) -> f64 {
    median(&mut all.iter().map(value).collect::<Vec<_>>())
}

/// To a thousandth.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
