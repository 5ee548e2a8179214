//! What is out of order when flows enter the fast lane.
//!
//! Packets of a flow that are with its worker when the classifier takes over come out behind some that the classifier has
//! forwarded. UDP flows are made old enough and answered, but not busy; then each sends numbered packets at a constant rate,
//! is promoted at one of the first, and the sink looks at the number of every one. A packet is out of order if one
//! that was sent later came before it (RFC 4737 §3). The same with the lane off is the control.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    programs,
    results::Results,
    rounded, short,
    systems::{Kind, System, Systems},
    traffic::Load,
    way::Way,
};

/// So many flows, and packets a second of all of them.
const POINTS: [(u64, &str); 2] = [(1, "100k"), (1000, "100k")];
/// A packet a second: what makes a flow a stream, and not busy, after which it takes 8 packets of a direction.
const PACKETS_BEFORE: u64 = 4;
/// What may be lost or not looked at before the figure is worth nothing.
const MOST_MISSED: f64 = 0.05;

/// What came of a run.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    packets: u64,
    late: u64,
    late_flows: u64,
    promoted: u64,
}

/// Measures ours, with the lane and without.
pub(crate) fn measure(systems: &mut Systems, rounds: usize, results: &mut Results) -> Result<()> {
    for (flows, rate) in POINTS {
        let mut sums = vec![Run::default(); systems.all.len()];
        for _ in 0..rounds {
            systems.next_source += 1;
            let source = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 16, 0).to_bits() + systems.next_source);
            for (system, sum) in systems.all.iter().zip(&mut sums).filter(|(one, _)| one.kind.is_ours()) {
                let run = run(system, source, flows, rate).with_context(|| system.kind.name())?;
                sum.packets += run.packets;
                sum.late += run.late;
                sum.late_flows += run.late_flows;
                sum.promoted += run.promoted;
            }
        }
        for (system, sum) in systems.all.iter().zip(&sums).filter(|(one, _)| one.kind.is_ours()) {
            let all = rounds as u64 * flows;
            let params = json!({
                "flows": flows, "per_second": rate, "rounds": rounds, "packets": sum.packets, "out_of_order": sum.late,
                "flows_out_of_order": sum.late_flows, "share_of_flows": rounded(sum.late_flows as f64 / all as f64),
                "promoted": sum.promoted,
            });
            let lane = if system.kind == Kind::PenstockFastlane { "" } else { "-lane-off" };
            let name = format!("lane/reordered{lane}/{rate}/{}", short(flows));
            results.add(name, rounded(sum.late as f64 / all as f64), "a flow", params);
        }
    }
    Ok(())
}

fn run(system: &System, source: Ipv4Addr, flows: u64, rate: &str) -> Result<Run> {
    let load = Load {
        way: Way::V4,
        services: 1,
        flows,
        sources: source.to_string(),
        rate: flows.to_string(),
        duration: "10s".to_owned(),
        packets: Some(PACKETS_BEFORE * flows),
        receive: false,
        sample: 1,
    };
    {
        let _answers = programs::reflect(&system.bed.sink, &system.bed.name('k'))?;
        load.run(&system.bed, |_| ())?;
    }
    let before = promoted(system)?;
    let load =
        Load { rate: rate.to_owned(), duration: "1s".to_owned(), packets: None, receive: true, ..load };
    let outcome = load.run(&system.bed, |_| ())?;
    let received = outcome.received.context("nothing was received")?;
    let missed = (received.lost + received.missed) as f64 / outcome.sent as f64;
    ensure!(missed <= MOST_MISSED, "{:.1} % of the packets were not seen", missed * 100.0);
    let promoted = promoted(system)? - before;
    let is_right = promoted == if system.kind == Kind::PenstockFastlane { flows } else { 0 };
    ensure!(is_right, "{promoted} flows of {flows} were promoted");
    let counts = received.arrivals;
    Ok(Run {
        packets: received.packets,
        late: counts.reordered,
        late_flows: counts.reordered_flows,
        promoted,
    })
}

/// Flows that were promoted so far, as its one worker reports.
fn promoted(system: &System) -> Result<u64> {
    let shown = system.show("workers")?;
    let promoted = &shown["workers"][0]["counters"]["lane"]["promoted"];
    promoted.as_u64().with_context(|| format!("`penstock show workers` does not tell it: {shown}"))
}
