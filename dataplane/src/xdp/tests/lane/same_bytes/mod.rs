//! The kernel against userspace: flows that a [`Path`](crate::path::Path) has opened are promoted, and then every packet,
//! right or wrong, goes through both. What the lane takes leaves byte for byte as userspace sends it, and the same is counted;
//! what it does not take is as it was. And it takes everything that userspace forwards without changing the flow, with plain
//! headers and as many tags as it came with, so that nothing is slow without a reason.
//!
//! Packets are seeded: `SEED=n` gives others.

mod both;
mod packets;

use super::bench::Laned;
use crate::{path::world::both_families, state::Direction};
use both::{Both, FLOWS};
use packets::{Change, Random};
use std::collections::HashMap;

const CASES: usize = 10_000;

both_families!(root_the_lane_makes_the_same_bytes_as_userspace);

fn root_the_lane_makes_the_same_bytes_as_userspace<F: Laned>() {
    let Some(mut pair) = Both::<F>::new() else { return };
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let (mut taken, mut kinds) = (0, HashMap::<Change, [usize; 2]>::new());
    for case in 0..CASES {
        let flow = random.below(FLOWS);
        let direction = if random.one_in(2) { Direction::Forward } else { Direction::Reply };
        let (packet, change) = pair.packet(&mut random, flow, direction);
        let is_taken =
            pair.compare(packet, flow, direction, &format!("case {case} of seed {seed}, {change:?}"));
        taken += usize::from(is_taken);
        kinds.entry(change).or_default()[usize::from(is_taken)] += 1;
    }
    eprintln!("{}: {taken} of {CASES} taken; not taken and taken by kind: {kinds:?}", F::NAME);
    assert!(taken > CASES / 3 && taken < CASES * 4 / 5, "{taken} of {CASES} are taken");
    for change in Change::ALL {
        assert!(kinds.contains_key(&change), "{change:?} did not occur");
    }
}
