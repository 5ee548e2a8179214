//! The index of slots: batches, and what happens where there is no room.

use super::{
    LaneBench,
    bench::{Laned, packet},
};
use crate::{
    lane::{Key, SlotRef},
    path::world::both_families,
    state::Tuple,
    table::Transport,
};
use std::time::Instant;

fn keys<F: Laned>(count: u16) -> Vec<Key<F>> {
    let tuple = packet::<F>(Transport::Tcp).tuple;
    let key = |port| Key { tuple: Tuple { source_port: port, ..tuple }, slot: SlotRef(port.into()) };
    (1..=count).map(key).collect()
}

both_families!(root_a_full_index_takes_what_it_can, root_what_is_not_there_is_out_already);

/// There is room for two entries for each of 128 flows.
fn root_a_full_index_takes_what_it_can<F: Laned>() {
    let Some(mut bench) = LaneBench::<F>::new() else { return };
    let all = keys::<F>(300);
    let index = &mut bench.lane.keys;
    let first = index.insert(&all);
    assert!((256..300).contains(&first), "{first}");
    assert_eq!(index.insert(&all[..first]), first, "what is there is put in its own place");
    let tuples: Vec<_> = all[..20].iter().map(|key| key.tuple).collect();
    index.remove(&tuples);
    assert!(index.insert(&all[280..]) >= 19);
    assert_eq!(index.insert(&[]), 0);
}

fn root_what_is_not_there_is_out_already<F: Laned>() {
    let Some(mut bench) = LaneBench::<F>::new() else { return };
    let all = keys::<F>(64);
    let index = &mut bench.lane.keys;
    for (place, key) in all.iter().enumerate() {
        if place % 3 != 0 {
            assert_eq!(index.insert(&[*key]), 1);
        }
    }
    let tuples: Vec<_> = all.iter().map(|key| key.tuple).collect();
    index.remove(&tuples);
    index.remove(&tuples);
    let room = keys::<F>(256);
    assert_eq!(index.insert(&room), 256, "all were taken out");
}

/// How long calls take: not a test of anything, but where the figures in `xdp/lane/keys.rs` come from.
#[test]
#[ignore = "a measurement"]
fn root_measure_keys() {
    measure::<crate::wire::V4>();
    measure::<crate::wire::V6>();
}

fn measure<F: Laned>() {
    let Some(mut bench) = LaneBench::<F>::new() else { return };
    let all = keys::<F>(256);
    let tuples: Vec<_> = all.iter().map(|key| key.tuple).collect();
    for batch in [1, 2, 8, 32, 64, 128] {
        let (mut best_in, mut best_out) = (f64::MAX, f64::MAX);
        for _ in 0..50 {
            let start = Instant::now();
            for keys in all.chunks(batch) {
                assert_eq!(bench.lane.keys.insert(keys), keys.len());
            }
            let middle = Instant::now();
            for tuples in tuples.chunks(batch) {
                bench.lane.keys.remove(tuples);
            }
            let each = |time: std::time::Duration| time.as_nanos() as f64 / all.len() as f64;
            best_in = best_in.min(each(middle - start));
            best_out = best_out.min(each(middle.elapsed()));
        }
        eprintln!("{} batches of {batch}: insert {best_in:.0} ns, remove {best_out:.0} ns a key", F::NAME);
    }
}
