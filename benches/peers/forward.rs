//! Packets a second, and processors used for them.
//!
//! A round offers several rates, up to all that the generator can, and keeps the one at which most arrived: under overload a
//! gateway may do less than before it. What arrives is counted by the sink's XDP program. Ours has all flows answered for some
//! seconds before that: to it an established flow is another than one that only its client speaks on. To the kernel's
//! connection tracking both are the same work.

use anyhow::Result;
use serde_json::json;

use crate::{
    cpu::Moment,
    median_of, programs,
    results::Results,
    rounded, short,
    systems::{System, Systems},
    traffic::Load,
    way::Way,
};

const RATES: [&str; 5] = ["250k", "450k", "800k", "1.4M", "max"];
const TIME: &str = "400ms";

/// A trial's result.
#[derive(Debug, Clone, Copy, Default)]
struct Best {
    mpps: f64,
    offered_mpps: f64,
    cores: f64,
}

/// Measures all systems that are concerned, in turn.
pub(crate) fn measure(
    systems: &Systems,
    way: Way,
    services: usize,
    flows: u64,
    rounds: usize,
    results: &mut Results,
) -> Result<()> {
    let systems: Vec<_> = systems.all.iter().filter(|system| way.concerns(system.kind)).collect();
    let load = load(way, services, flows);
    for system in systems.iter().filter(|system| system.kind.is_ours()) {
        establish(system, &load)?;
    }
    let mut bests = vec![Vec::new(); systems.len()];
    for _ in 0..rounds {
        for (system, bests) in systems.iter().zip(&mut bests) {
            trial(system, &load, "200k", "600ms")?;
            let mut best = Best::default();
            for rate in RATES {
                let trial = trial(system, &load, rate, TIME)?;
                if trial.mpps > best.mpps {
                    best = trial;
                }
            }
            bests.push(best);
        }
    }
    for (system, bests) in systems.iter().zip(&bests) {
        let middle = |value: fn(&Best) -> f64| median_of(bests, value);
        let all: Vec<f64> = bests.iter().map(|best| rounded(best.mpps)).collect();
        let (mpps, cores) = (middle(|best| best.mpps), middle(|best| best.cores));
        let params = json!({
            "cpu_ns_per_packet": rounded(cores / mpps.max(1e-9) * 1e3),
            "cpu_cores": rounded(cores), "offered_mpps": rounded(middle(|best| best.offered_mpps)),
            "rounds": all, "packet_bytes": way.packet_bytes(), "protocol": "UDP", "services": services,
            "flows": flows, "translation": system.kind.follows_services(),
        });
        let name =
            format!("{}/{}/{}/{}", way.figure(), system.kind.name(), short(services as u64), short(flows));
        results.add(name, rounded(mpps), "Mpps", params);
    }
    Ok(())
}

/// Makes flows and has them answered, in both directions some packets each, for longer than it takes a UDP flow to be
/// a stream (2 s, as in the kernel). New flows are first_packet's business.
fn establish(system: &System, load: &Load) -> Result<()> {
    let _answers = programs::reflect(&system.bed.sink, &system.bed.name('k'))?;
    let duration = format!("{}s", 4 + load.flows / 25_000);
    let load = Load { receive: false, rate: "150k".to_owned(), duration, ..load.clone() };
    load.run(&system.bed, |_| ())?;
    Ok(())
}

fn load(way: Way, services: usize, flows: u64) -> Load {
    Load {
        way,
        services,
        flows,
        sources: way.sources().to_owned(),
        rate: String::new(),
        duration: String::new(),
        packets: None,
        receive: true,
        sample: 0,
    }
}

fn trial(system: &System, load: &Load, rate: &str, time: &str) -> Result<Best> {
    let load = Load { rate: rate.to_owned(), duration: time.to_owned(), ..load.clone() };
    // From the first look to the last: getting ready is not counted.
    let mut moments: (Option<Moment>, Option<Moment>) = (None, None);
    let outcome = load.run(&system.bed, |_| {
        let now = Moment::now();
        moments.0.get_or_insert_with(|| now.clone());
        // The last look of all comes when sending is over.
        moments.1 = Some(now);
    })?;
    let arrived = outcome.received.as_ref().map_or(0, |received| received.packets);
    let cores = match moments {
        (Some(first), Some(last)) => last.cores_since(&first),
        _ => 0.0,
    };
    Ok(Best {
        mpps: arrived as f64 / outcome.seconds.max(1e-9) / 1e6,
        offered_mpps: outcome.offered_per_second() / 1e6,
        cores,
    })
}
