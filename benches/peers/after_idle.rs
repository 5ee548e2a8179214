//! How long a packet is under way that comes after a pause: nobody is awake then, neither the worker nor the processor.
//!
//! One flow that is known, 20 packets a second: longer apart than an adaptive worker's longest sleep. Beside it the floor: a
//! thread on the gateway's processor that waits in `poll` for an eventfd, which a thread on the generator's writes to,
//! which like the generator never sleeps. On a virtual machine most of it is waking a processor that has halted.

use std::{
    os::fd::AsFd,
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::EventFd,
};
use serde_json::json;

use crate::{
    bed::{GATEWAY_CORE, TESTER_CORE, stay_on},
    median,
    results::Results,
    rounded,
    systems::Systems,
    traffic::Load,
    way::Way,
};

const PACKETS: u64 = 30;
const PER_SECOND: u32 = 20;
/// Of a packet through ours.
const TARGET_US: f64 = 100.0;

/// Measures all systems in turn, and the floor.
pub(crate) fn measure(systems: &Systems, rounds: usize, results: &mut Results) -> Result<()> {
    let mut all = vec![(Vec::new(), Vec::new()); systems.all.len()];
    let mut floor = Vec::new();
    for _ in 0..rounds {
        for (system, (middle, tail)) in systems.all.iter().zip(&mut all) {
            let load = Load {
                way: Way::V4,
                services: 1,
                flows: 1,
                sources: "10.1.63.1".to_owned(),
                rate: PER_SECOND.to_string(),
                duration: "30s".to_owned(),
                packets: Some(1),
                receive: true,
                sample: 1,
            };
            // Now the flow is known.
            load.run(&system.bed, |_| ())?;
            let outcome = Load { packets: Some(PACKETS), ..load }.run(&system.bed, |_| ())?;
            let latency = outcome.received.context("nothing was received")?.latency;
            middle.push(latency.p50_us);
            tail.push(latency.p99_us);
        }
        floor.extend(wake_ups()?);
    }
    let params = |p99: f64| {
        json!({
            "p99_us": rounded(p99), "packets": PACKETS, "per_second": PER_SECOND, "of": "p50",
        })
    };
    floor.sort_by(f64::total_cmp);
    let late = floor.get(floor.len() * 99 / 100).copied().unwrap_or_default();
    results.add("after-idle/poll".to_owned(), rounded(median(&mut floor)), "us", params(late));
    for (system, (middle, tail)) in systems.all.iter().zip(&mut all) {
        let (name, value) = (format!("after-idle/{}", system.kind.name()), rounded(median(middle)));
        let params = params(median(tail));
        match system.kind.is_ours() {
            true => results.add_target(name, value, "us", TARGET_US, params),
            false => results.add(name, value, "us", params),
        }
    }
    Ok(())
}

/// Microseconds from a write to an eventfd until the thread that waits for it runs.
fn wake_ups() -> Result<Vec<f64>> {
    let event = EventFd::new()?;
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        let event = &event;
        let sleeper = scope.spawn(move || -> Result<()> {
            stay_on(GATEWAY_CORE)?;
            for _ in 0..PACKETS {
                poll(&mut [PollFd::new(event.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
                let woken = Instant::now();
                event.read()?;
                if tell.send(woken).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let writer = scope.spawn(move || -> Result<Vec<f64>> {
            stay_on(TESTER_CORE)?;
            let mut times = Vec::new();
            for _ in 0..PACKETS {
                let pause = Instant::now();
                while pause.elapsed() < Duration::from_secs(1) / PER_SECOND {
                    std::hint::spin_loop();
                }
                let written = Instant::now();
                event.write(1)?;
                let woken = told.recv().context("the thread that waits has ended")?;
                times.push(woken.saturating_duration_since(written).as_secs_f64() * 1e6);
            }
            Ok(times)
        });
        let times = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        sleeper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(times)
    })
}
