//! `fastLane`, `persist` and `pinPath`: what the classifier forwards by itself, and what of it outlives the process.
//!
//! A promoted flow is one of the worker's table, so there is no use for more room than the table has.

use super::{
    super::{
        raw::{self, WordOr},
        settings::{FastLane, FastLaneMode, TableSizes, Workers},
    },
    check::{number, word},
};
use crate::fault::Faults;
use penstock_dataplane::lane::MOST_SLOTS;
use std::num::NonZeroU8;

const MODES: [(&str, FastLaneMode); 3] =
    [("auto", FastLaneMode::Auto), ("on", FastLaneMode::On), ("off", FastLaneMode::Off)];
/// Fewer are not worth the trouble.
const FEWEST_FLOWS: u64 = 64;
/// What a worker has room for unless it is said otherwise: 30 MiB.
const FLOWS: u64 = 1 << 17;
/// More than a worker's packets could keep busy.
const MOST_FLOWS: u64 = 1 << 22;
/// Of all workers: the index names two slots for each.
const MOST_IN_ALL: u64 = MOST_SLOTS as u64 / 2;
/// As workers count them.
const MOST_PACKETS: u64 = u8::MAX as u64;
/// A connection of that many is likely to go on.
const PACKETS: NonZeroU8 = NonZeroU8::new(8).unwrap();
/// bpffs is mounted there by all distributions.
pub(super) const PIN_PATH: &str = "/sys/fs/bpf/penstock";

pub(super) fn fast_lane(
    raw: Option<WordOr<raw::FastLane>>,
    tables: &TableSizes,
    workers: &Workers,
    faults: &mut Faults,
) -> FastLane {
    let (path, raw) = match raw {
        None => ("fastLane", raw::FastLane::default()),
        Some(WordOr::Word(word)) => ("fastLane", raw::FastLane { mode: Some(word), ..Default::default() }),
        Some(WordOr::Map(map)) => ("fastLane.mode", map),
    };
    let room = tables.ipv4_flows as u64;
    let most = MOST_FLOWS.min(room);
    let remedy = "a promoted flow is one of the worker's tables.ipv4Flows";
    let promote_after = number(
        "fastLane.promoteAfter",
        raw.promote_after,
        1..=MOST_PACKETS,
        PACKETS.get().into(),
        "fewer promote flows that are over soon, more leave busy ones waiting",
        faults,
    );
    let flows = number("fastLane.flows", raw.flows, FEWEST_FLOWS..=most, FLOWS.min(room), remedy, faults);
    let lane = FastLane {
        mode: word(path, raw.mode, &MODES, FastLaneMode::Auto, faults),
        promote_after: u8::try_from(promote_after).ok().and_then(NonZeroU8::new).unwrap_or(PACKETS),
        flows: flows as u32,
    };
    let most = MOST_IN_ALL / workers.count.max(1) as u64;
    if flows > most {
        faults.value(
            "fastLane.flows",
            lane.flows,
            format!(
                "must be at most {most} with {} workers; the lane has room for {MOST_IN_ALL}",
                workers.count
            ),
        );
    }
    lane
}

/// Whether things are pinned.
pub(super) fn persist(given: Option<bool>, mode: FastLaneMode, faults: &mut Faults) -> bool {
    let persist = given.unwrap_or(false);
    if persist && mode == FastLaneMode::Off {
        faults.value(
            "persist",
            true,
            "only flows of the fast lane outlive the process; set fastLane: auto or on",
        );
    }
    persist
}
