//! How long a change of an EndpointSlice takes until a flow shows it.
//!
//! Service 0 gets another single endpoint, by a PATCH of its slice, whose sending starts the clock. Meanwhile every third
//! of a millisecond a flow that never was asks for the Service; the first to come out with the new endpoint's address
//! stops it. So the figure has the API server in it, which is the same for all, and a third of a millisecond of error.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use penstock_pktgen::{FrameTemplate, PacketSocket, Stamp, Transport};
use serde_json::json;

use crate::{
    bed::{BACKENDS, Bed},
    median,
    objects::{Objects, PORT, address},
    results::Results,
    short,
    systems::Systems,
};

const PAUSE: Duration = Duration::from_micros(300);
const PATIENCE: Duration = Duration::from_secs(60);
/// What is sent before anybody may settle down for good.
const SETTLE: Duration = Duration::from_millis(500);
const FIRST_PORT: u16 = 1024;
const FLOWS: u32 = 60_000;

/// Measures all systems that know Services, in turn.
pub(crate) fn measure(
    systems: &mut Systems,
    objects: &Objects,
    services: usize,
    changes: usize,
    results: &mut Results,
) -> Result<()> {
    let followers: Vec<usize> =
        (0..systems.all.len()).filter(|index| systems.all[*index].kind.follows_services()).collect();
    let mut shown = vec![Vec::new(); systems.all.len()];
    for turn in 0..changes {
        for &index in &followers {
            systems.next_source += 1;
            let source = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 48, 0).to_bits() + systems.next_source);
            let system = &systems.all[index];
            let took = change(&system.bed, objects, turn % 2, source)
                .with_context(|| format!("{}, {services} Services:\n{}", system.kind.name(), system.log()))?;
            shown[index].push(took.as_secs_f64() * 1e6);
            // What one change has set going in the others is over before the next.
            std::thread::sleep(SETTLE);
        }
    }
    objects.restore()?;
    for index in followers {
        let all: Vec<f64> = shown[index].iter().map(|us| us.round()).collect();
        let params = json!({"changes": all, "services": services, "with": "the API server's PATCH"});
        let name = format!("change/{}/{}", systems.all[index].kind.name(), short(services as u64));
        results.add(name, median(&mut shown[index]).round(), "us", params);
    }
    Ok(())
}

/// From the request until the first flow at the new endpoint. The endpoint before is another one.
fn change(bed: &Bed, objects: &Objects, which: usize, source: Ipv4Addr) -> Result<Duration> {
    // Certainly not the one that is to come.
    objects.point(1 - which + 2)?;
    let template = FrameTemplate {
        macs: (bed.mac(1), bed.mac(2)),
        source: (source, FIRST_PORT).into(),
        destination: (address(0), PORT).into(),
        transport: Transport::Udp,
        payload_bytes: 24,
    };
    let out = bed.generator.enter(|| PacketSocket::open(&bed.name('g')))??;
    let back = bed.sink.enter(|| PacketSocket::open(&bed.name('k')))??;
    back.set_patience(PAUSE)?;
    let (mut probe, mut buffer, mut flow) = (Vec::new(), vec![0; 2048], 0);
    let mut ask = |wanted: Ipv4Addr| -> Result<bool> {
        template.build(Stamp { flow: flow % FLOWS, number: 0 }, &mut probe)?;
        flow += 1;
        out.send(&probe)?;
        while let Some(frame) = back.receive(&mut buffer)? {
            if destination(frame) == Some(wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let began = Instant::now();
    while !ask(BACKENDS[1 - which + 2])? {
        if began.elapsed() > PATIENCE {
            bail!("the change before is not shown");
        }
    }
    std::thread::sleep(SETTLE);
    std::thread::scope(|scope| {
        let began = Instant::now();
        let request = scope.spawn(|| objects.point(which));
        while !ask(BACKENDS[which])? {
            if began.elapsed() > PATIENCE {
                bail!("the change is not shown after {PATIENCE:?}");
            }
        }
        let took = began.elapsed();
        request.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(took)
    })
}

fn destination(frame: &[u8]) -> Option<Ipv4Addr> {
    match etherparse::SlicedPacket::from_ethernet(frame).ok()?.net? {
        etherparse::NetSlice::Ipv4(ip) => Some(ip.header().destination_addr()),
        _ => None,
    }
}
