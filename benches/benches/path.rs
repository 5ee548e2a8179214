//! The whole path, per packet: known flows by their number, and new ones.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use penstock_benches::{
    family::Numbered,
    measure::timed,
    scene::{Mix, RING, Scene},
};
use penstock_dataplane::wire::{V4, V6};
use std::time::Duration;

fn hit<F: Numbered>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("path/hit/{}", F::SHORT));
    group.throughput(Throughput::Elements(RING as u64));
    for (name, flows) in [("1k", 1000), ("100k", 100_000), ("1m", 1_000_000)] {
        let mut scene = Scene::<F>::new(flows, flows, Mix::Established);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|rounds| {
                let round = |_| {
                    scene.refill();
                    timed(|| scene.process()).0
                };
                (0..rounds).map(round).sum()
            });
        });
        scene.check();
    }
}

fn new<F: Numbered>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path/new");
    group.throughput(Throughput::Elements(RING as u64));
    let mut scene = Scene::<F>::new(100_000, 200_000, Mix::New);
    group.bench_function(F::SHORT, |bencher| {
        bencher.iter_custom(|rounds| {
            let round = |_| {
                scene.forget_new();
                scene.refill();
                timed(|| scene.process()).0
            };
            (0..rounds).map(round).sum()
        });
    });
    scene.check();
}

criterion_group! {
    name = path;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    targets = hit::<V4>, hit::<V6>, new::<V4>, new::<V6>
}
criterion_main!(path);
