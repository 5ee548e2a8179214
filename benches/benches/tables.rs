//! Maglev rings: building and picking.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use penstock_benches::{
    family::Numbered,
    scene::{Random, backends},
};
use penstock_dataplane::{
    table::{FlowHash, Ring},
    wire::V4,
};
use std::time::Duration;

fn build(criterion: &mut Criterion) {
    for (slots, count) in [(65_537, 1000), (16_381, 100)] {
        criterion.bench_function(&format!("maglev/{slots}x{count}"), |bencher| {
            let backends = || backends::<V4>(count, 0);
            bencher.iter_batched(backends, |b| Ring::with_size(b, slots), BatchSize::SmallInput);
        });
    }
}

fn pick(criterion: &mut Criterion) {
    let ring = Ring::with_size(backends::<V4>(1000, 0), 65_537).expect("a ring");
    let mut random = Random(5);
    criterion.bench_function("maglev/pick", |bencher| {
        bencher.iter(|| {
            let client = random.draw() as u32;
            ring.pick(FlowHash::of_flow::<V4>(client.into(), client as u16, V4::addr(13, 1), 80)).id
        });
    });
}

criterion_group! {
    name = tables;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    targets = build, pick
}
criterion_main!(tables);
