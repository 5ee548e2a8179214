//! What a flow in the fast lane costs: its worker's time when it is promoted, and memory while it is there.
//!
//! * Time: 100,000 established flows, TCP and UDP half and half, become busy 64 at a time by packets through the path; what is
//!   timed is `Path::work_lanes` behind each batch, as a worker calls it, with the maps of a classifier that is loaded. All
//!   that a promotion needs is in it, keys of both directions included. The median of parts of 10,000 flows counts.
//! * Memory: what the kernel accounts to the classifier's maps (`memlock` in their fdinfo), and what the worker's own side
//!   allocates, with room for twice as many flows less that with room for once as many.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::{maps::MapInfo, programs::loaded_programs};
use penstock_benches::{
    alloc::held_bytes,
    family::Numbered,
    measure::timed,
    scene::{Mix, Scene},
};
use penstock_dataplane::{
    io::{BATCH, PortId},
    lane::{LaneSettings, Lanes},
    path::{Path, PathConfig},
    table::Snapshot,
    wire::{V4, V6},
    xdp::{Classifier, LaneMaps, LaneSize},
};
use serde_json::{Value, json};

use crate::{median, results::Results, rounded};

const FLOWS: usize = 100_000;
const PART: usize = 10_000;
/// Room for flows; and for twice as many, another time.
const PAIRS: u32 = 1 << 17;
const PROMOTION_TARGET_NS: f64 = 1000.0;
const BYTES_TARGET: f64 = 320.0;
/// Any interface that there is: no packet is redirected.
const LOOPBACK: u32 = 1;

/// Measures both families.
pub(crate) fn measure(results: &mut Results) -> Result<()> {
    let size = LaneSize { v4_pairs: PAIRS, v6_pairs: PAIRS, ..LaneSize::default() };
    let params = |parts: &[f64]| {
        let parts: Vec<f64> = parts.iter().map(|ns| ns.round()).collect();
        json!({"flows": FLOWS, "parts": parts, "mix": "UDP and TCP", "with": "keys of both directions"})
    };
    let mut parts = promotion::<V4>(&size)?;
    let v4 = params(&parts);
    results.add_target(
        "lane/promotion".to_owned(),
        median(&mut parts).round(),
        "ns",
        PROMOTION_TARGET_NS,
        v4,
    );
    let mut parts = promotion::<V6>(&size)?;
    let v6 = params(&parts);
    results.add("lane/promotion/v6".to_owned(), median(&mut parts).round(), "ns", v6);

    let bytes = |twice: LaneSize| -> Result<(f64, Value)> {
        let (once, twice) = (memory(&size)?, memory(&twice)?);
        let each = |once: u64, twice: u64| (twice as f64 - once as f64) / f64::from(PAIRS);
        let (maps, worker) = (each(once.0, twice.0), each(once.1, twice.1));
        let params = json!({"maps": rounded(maps), "worker": rounded(worker), "pairs": [PAIRS, 2 * PAIRS]});
        Ok((rounded(maps + worker), params))
    };
    let (value, params) = bytes(LaneSize { v4_pairs: 2 * PAIRS, ..size.clone() })?;
    results.add_target("lane/bytes/v4".to_owned(), value, "bytes", BYTES_TARGET, params);
    let (value, params) = bytes(LaneSize { v6_pairs: 2 * PAIRS, ..size.clone() })?;
    results.add("lane/bytes/v6".to_owned(), value, "bytes", params);
    Ok(())
}

fn lanes(maps: &LaneMaps) -> Lanes {
    Lanes { v4: maps.worker_v4(0), v6: maps.worker_v6(0), settings: LaneSettings::default() }
}

/// Nanoseconds a promotion, by parts.
fn promotion<F: Numbered>(size: &LaneSize) -> Result<Vec<f64>> {
    let mut scene = Scene::<F>::new(0, FLOWS, Mix::Established);
    let (_classifier, mut maps) = Classifier::load_with_lane(size).context("the classifier")?;
    for port in [0, 1].map(PortId) {
        maps.control.set_port(port, Some(LOOPBACK))?;
    }
    maps.control.publish_next_hops(&Snapshot::default(), scene.snapshot());
    maps.control.publish_epochs(scene.snapshot());
    let lanes = lanes(&maps);
    let packets = lanes.settings.promote_after.get();
    scene.path.set_lanes(lanes, Duration::ZERO);
    scene.populate(FLOWS);
    let mut parts = Vec::new();
    for part in scene.clients().chunks(PART) {
        let mut taken = Duration::ZERO;
        for batch in part.chunks(BATCH) {
            for _ in 0..packets {
                scene.send(batch, PortId(0));
                taken += timed(|| scene.work_lanes()).0;
            }
            maps.control.tend();
        }
        // The last of them, which did not fit into their batch's turn.
        taken += timed(|| scene.work_lanes()).0;
        parts.push(taken.as_nanos() as f64 / part.len() as f64);
    }
    scene.check();
    let counters = scene.path.counters().lane;
    ensure!(
        counters.promoted > (FLOWS - FLOWS / 1000) as u64,
        "flows that were promoted, of {FLOWS}: {counters:?}"
    );
    Ok(parts)
}

/// What a lane takes: by its maps, and on its worker's side.
fn memory(size: &LaneSize) -> Result<(u64, u64)> {
    let before = map_bytes()?;
    let (_classifier, maps) = Classifier::load_with_lane(size).context("the classifier")?;
    let in_maps = map_bytes()? - before;
    let mut config = PathConfig::single(1024..=65535);
    (config.v4_flows, config.v6_flows) = (size.v4_pairs as usize, size.v6_pairs as usize);
    let mut path = Path::new(config);
    let held = held_bytes();
    path.set_lanes(lanes(&maps), Duration::ZERO);
    Ok((in_maps, held_bytes() - held))
}

/// What the kernel accounts to the maps of the programs that this process has loaded.
fn map_bytes() -> Result<u64> {
    let own: BTreeSet<u64> = fs::read_dir("/proc/self/fdinfo")?
        .flatten()
        // One may be closed again, that of this listing for one.
        .filter_map(|entry| field(&fs::read_to_string(entry.path()).ok()?, "prog_id"))
        .collect();
    let mut maps = BTreeSet::new();
    for program in loaded_programs() {
        let program = program.context("cannot list programs")?;
        if own.contains(&program.id().into()) {
            maps.extend(program.map_ids()?.context("the kernel does not tell a program's maps")?);
        }
    }
    let mut bytes = 0;
    for map in maps {
        let map = MapInfo::from_id(map)?.fd()?;
        let file = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
        bytes +=
            field(&fs::read_to_string(&file)?, "memlock").with_context(|| format!("{file}: no memlock"))?;
    }
    Ok(bytes)
}

/// A number of a file in fdinfo.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok())
}
