//! What a change of objects costs the control plane: `cargo run --release -p penstock-benches --example change -- 10000 10`.
//!
//! So many Services, each with so many endpoints in one EndpointSlice, are taken in from nothing; then the slice of one
//! Service after another changes. Prints milliseconds by part, and what the process holds in memory.

#[path = "../control/cluster.rs"]
mod cluster;

use cluster::{Cluster, Step};
use penstock::allocator::Jemalloc;
use std::{io::Write, time::Duration};

const CHANGES: usize = 1000;

/// What the process holds, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let (services, endpoints) = (arguments.next().unwrap_or(10_000), arguments.next().unwrap_or(10));
    let mut out = std::io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").expect("somebody reads");

    let mut cluster = Cluster::new(services, endpoints);
    let read = resident();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let Step { taken_in, made, published } = cluster.step();
    say(format!(
        "{services} Services x {endpoints} endpoints: taken in {:.0} ms, compiled {:.0} ms, published {:.2} ms; {} MB, of \
         which objects {} MB",
        ms(taken_in),
        ms(made),
        ms(published),
        resident() >> 20,
        read >> 20
    ));
    let steps = cluster.changes(CHANGES);
    type Part = fn(&Step) -> Duration;
    let parts: [(&str, Part); 4] = [
        ("taken in", |step| step.taken_in),
        ("compiled", |step| step.made),
        ("published", |step| step.published),
        ("in all", Step::total),
    ];
    for (name, part) in parts {
        let mut times: Vec<_> = steps.iter().map(|step| ms(part(step))).collect();
        times.sort_by(f64::total_cmp);
        let (median, late) = (times[CHANGES / 2], times[CHANGES * 99 / 100]);
        say(format!("one slice: {name} {median:.3} ms median, {late:.3} ms p99"));
    }
    say(format!("{} MB after {CHANGES} changes", resident() >> 20));
}
