//! How long the first packet of a flow is under way, beside its second.
//!
//! Flows that never were, a packet each, 2,000 a second: no queue anywhere. Then the same flows again.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use penstock_pktgen::measure::LatencySummary;
use serde_json::json;

use crate::{median, results::Results, short, systems::Systems, traffic::Load, way::Way};

const FLOWS: u64 = 2000;

/// Measures all systems in turn.
pub(crate) fn measure(
    systems: &mut Systems,
    services: usize,
    rounds: usize,
    results: &mut Results,
) -> Result<()> {
    let mut all = vec![(Vec::new(), Vec::new(), Vec::new()); systems.all.len()];
    for _ in 0..rounds {
        systems.next_source += 1;
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 32, 0).to_bits() + systems.next_source);
        for (system, (first, tail, second)) in systems.all.iter().zip(&mut all) {
            let load = Load {
                way: Way::V4,
                services,
                flows: FLOWS,
                sources: source.to_string(),
                rate: "2k".to_owned(),
                duration: "5s".to_owned(),
                packets: Some(FLOWS),
                receive: true,
                sample: 1,
            };
            let latency = || -> Result<LatencySummary> {
                let outcome = load.run(&system.bed, |_| ())?;
                Ok(outcome.received.context("nothing was received")?.latency)
            };
            let (new, known) = (latency()?, latency()?);
            first.push(new.p50_us);
            tail.push(new.p99_us);
            second.push(known.p50_us);
        }
    }
    for (system, (first, tail, second)) in systems.all.iter().zip(&mut all) {
        let params = json!({
            "p99_us": median(tail), "known_flow_us": median(second), "flows": FLOWS, "per_second": 2000,
            "services": services, "of": "p50, from the generator's mark to the sink's driver",
        });
        let name = format!("first-packet/{}/{}", system.kind.name(), short(services as u64));
        results.add(name, median(first), "us", params);
    }
    Ok(())
}
