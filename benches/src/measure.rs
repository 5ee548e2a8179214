//! Measuring: rounds of work, of which the median counts; a shared machine makes the mean worthless.

use crate::{
    alloc,
    family::Numbered,
    scene::{RING, Random, Scene},
};
use penstock_dataplane::{
    io::BATCH,
    state::{Entry, FlowId, FlowTable, Tuple},
    wire::Family,
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// What some rounds took per unit of work.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The middle round, in nanoseconds.
    pub median_ns: f64,
    /// The quickest round, in nanoseconds.
    pub best_ns: f64,
    /// The slowest round, in nanoseconds.
    pub worst_ns: f64,
    /// Rounds.
    pub rounds: usize,
    /// Allocations in all timed rounds.
    pub allocations: u64,
}

/// Runs rounds for at least `time` and at least sixteen times. `round` does its preparations and returns how long the
/// timed part took and how many allocations it made.
pub fn rounds(units: usize, time: Duration, mut round: impl FnMut() -> (Duration, u64)) -> Timing {
    let [timing] = rounds_in_turn(units, time, &mut [()], |()| round());
    timing
}

/// The same of some subjects in turn, sixteen rounds of each: what others do to a shared machine they then do to all of them,
/// so that they can be compared, and most rounds find in the caches what their own subject left there.
pub fn rounds_in_turn<S, const N: usize>(
    units: usize,
    time: Duration,
    subjects: &mut [S; N],
    mut round: impl FnMut(&mut S) -> (Duration, u64),
) -> [Timing; N] {
    const TURN: usize = 16;
    const MOST: usize = 1 << 16;
    let started = Instant::now();
    let mut taken = [(); N].map(|()| (Vec::with_capacity(MOST), 0));
    for number in 0..MOST / TURN {
        if number > 0 && started.elapsed() >= time {
            break;
        }
        for (subject, (taken, allocations)) in subjects.iter_mut().zip(&mut taken) {
            for _ in 0..TURN {
                let (duration, allocated) = round(subject);
                *allocations += allocated;
                taken.push(duration.as_nanos() as f64 / units as f64);
            }
        }
    }
    taken.map(|(taken, allocations)| Timing::of(taken, allocations))
}

impl Timing {
    /// Of rounds that took so long a unit.
    fn of(mut taken: Vec<f64>, allocations: u64) -> Self {
        taken.sort_by(f64::total_cmp);
        Self {
            median_ns: taken[taken.len() / 2],
            best_ns: taken[0],
            worst_ns: taken[taken.len() - 1],
            rounds: taken.len(),
            allocations,
        }
    }
}

/// Times `work`, and counts what it allocates.
#[inline]
pub fn timed(work: impl FnOnce()) -> (Duration, u64) {
    let before = alloc::allocations();
    let start = Instant::now();
    work();
    let taken = start.elapsed();
    (taken, alloc::allocations() - before)
}

/// Rounds of packets of known flows, per packet.
pub fn hits<F: Numbered>(scene: &mut Scene<F>, time: Duration) -> Timing {
    // Once round first: caches, branch predictors, page tables.
    for _ in 0..20 {
        scene.refill();
        scene.process();
    }
    let timing = rounds(RING, time, || {
        scene.refill();
        timed(|| scene.process())
    });
    scene.check();
    timing
}

/// Rounds of new flows, per flow, in some scenes in turn; between rounds they are forgotten.
pub fn misses<F: Numbered, const N: usize>(scenes: &mut [Scene<F>; N], time: Duration) -> [Timing; N] {
    let timings = rounds_in_turn(RING, time, scenes, |scene| {
        scene.forget_new();
        scene.refill();
        timed(|| scene.process())
    });
    scenes.iter().for_each(Scene::check);
    timings
}

/// Rounds of packets that are made ready by `ready`, for profilers: what they took, in words.
pub fn fixed<F: Numbered>(scene: &mut Scene<F>, rounds: usize, ready: impl Fn(&mut Scene<F>)) -> String {
    let mut taken: Vec<f64> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        ready(scene);
        taken.push(timed(|| scene.process()).0.as_nanos() as f64 / RING as f64);
    }
    scene.check();
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| taken[(taken.len() - 1) * share / 100];
    format!("{:.1} best, {:.1} at 10 %, {:.1} median", at(0), at(10), at(50))
}

/// Ends all flows but some busy ones, which have packets meanwhile: a batch before each turn of the expiry hand. What the
/// turns took, in their order. `examine` and `most` are as [`Path::expire`](penstock_dataplane::path::Path::expire) takes them.
pub fn expiry_turns<F: Numbered>(
    scene: &mut Scene<F>,
    busy: usize,
    examine: usize,
    most: usize,
) -> Vec<Duration> {
    scene.let_idle(busy);
    let mut turns = Vec::with_capacity(1 << 16);
    while F::flows(&scene.path).table.len() > busy && turns.len() < turns.capacity() {
        let batch = turns.len() % (RING / BATCH);
        if batch == 0 {
            scene.refill();
        }
        scene.process_batch(batch);
        turns.push(timed(|| scene.path.expire(scene.now, examine, most)).0);
    }
    scene.check();
    turns
}

/// Rounds of look-ups in a table of known flows, tuples of both directions in random order, per look-up: by three phases,
/// and with a read of the record that was found, as a packet does. (The account beside it is asked for by listings alone.)
pub fn look_ups<F: Family>(table: &FlowTable<F>, time: Duration) -> Timing {
    let tuples: Vec<Tuple<F>> =
        table.list(0, table.len()).flat_map(|flow| [flow.original, flow.reply]).collect();
    let mut random = Random(3);
    let mut drawn: Vec<Tuple<F>> = tuples[..2].repeat(RING / 2);
    rounds(RING, time, || {
        drawn.iter_mut().for_each(|tuple| *tuple = tuples[random.below(tuples.len() as u32) as usize]);
        timed(|| drawn.chunks(BATCH).for_each(|batch| look_up(table, batch)))
    })
}

#[inline]
fn look_up<F: Family>(table: &FlowTable<F>, batch: &[Tuple<F>]) {
    let mut hashes = [0; BATCH];
    let mut likely = [Entry::default(); BATCH];
    for (hash, tuple) in hashes.iter_mut().zip(batch) {
        *hash = table.hash(tuple);
        table.prefetch_bucket(*hash);
    }
    for (likely, hash) in likely.iter_mut().zip(hashes) {
        *likely = table.prefetch_flow(hash);
    }
    for ((likely, hash), tuple) in likely.into_iter().zip(hashes).zip(batch) {
        let id = match table.holds(likely, tuple) {
            true => Some(FlowId::of(likely)),
            false => table.find(hash, tuple).map(|found| found.id),
        };
        black_box(id.and_then(|id| table.record(id)).map(|record| record.last_seen));
    }
}
