//! What a change of objects costs the control plane: `cargo run --release -p penstock-benches --example change -- 10000 10`.
//!
//! So many Services, each with so many endpoints in one EndpointSlice, are taken in from nothing; then the slice of one
//! Service after another changes, and is taken in, compiled and published. No neighbours are resolved and no classifier
//! is told: that is the kernel's time. Prints milliseconds and what the process holds in memory.

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use penstock::{
    compile::{Compiler, Environment},
    config::Config,
    model::Model,
    objects::{Object, ObjectKey, Objects},
    routes::View,
};
use penstock_dataplane::table::{Snapshot, publish::Publisher};
use serde_json::json;
use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

const CHANGES: usize = 200;

fn key(number: usize) -> ObjectKey {
    ObjectKey::new("default", format!("service-{number:06}"))
}

fn service(number: usize) -> Object<core::Service> {
    let address = format!("10.{}.{}.{}", 96 + number / 65_536, number / 256 % 256, number % 256);
    let service = json!({
        "metadata": {"name": key(number).name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    });
    Object { origin: None, value: Arc::new(serde_json::from_value(service).expect("a Service")) }
}

fn slice(number: usize, endpoints: usize, shift: usize) -> Object<discovery::EndpointSlice> {
    let address = |endpoint: usize| {
        let all = number * endpoints + endpoint + shift;
        format!("10.{}.{}.{}", 128 + all / 65_536, all / 256 % 256, all % 256)
    };
    let endpoints: Vec<_> =
        (0..endpoints).map(|endpoint| json!({"addresses": [address(endpoint)]})).collect();
    let slice = json!({
        "metadata": {"name": key(number).name, "namespace": "default",
            "labels": {"kubernetes.io/service-name": key(number).name}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    });
    Object { origin: None, value: Arc::new(serde_json::from_value(slice).expect("an EndpointSlice")) }
}

/// What the process holds, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let (services, endpoints) = (arguments.next().unwrap_or(10_000), arguments.next().unwrap_or(10));
    let mut out = std::io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").expect("somebody reads");

    let mut objects = Objects::default();
    for number in 0..services {
        objects.services.insert(key(number), service(number));
        objects.slices.insert(key(number), slice(number, endpoints, 0));
    }
    let read = resident();
    let config = Config::from_yaml("interfaces: [{name: any}]", "bench", "node").expect("a configuration");
    let environment = Environment::of(&config, &Arc::new(View::default()));
    let (mut model, mut compiler) = (Model::default(), Compiler::new());
    let (publisher, _readers) = Publisher::new(Snapshot::default(), 1);
    let mut step = |objects: &Objects| {
        let begun = Instant::now();
        model.update(objects);
        let taken_in = begun.elapsed();
        let compiled = compiler.compile(&model, &environment);
        let made = begun.elapsed();
        let generation = publisher.publish(compiled.snapshot);
        compiler.published(generation);
        [taken_in, made - taken_in, begun.elapsed() - made]
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let [model_time, compile_time, publish_time] = step(&objects);
    say(format!(
        "{services} Services x {endpoints} endpoints: taken in {:.0} ms, compiled {:.0} ms, published {:.2} ms; {} MB, \
         of which objects {} MB",
        ms(model_time),
        ms(compile_time),
        ms(publish_time),
        resident() >> 20,
        read >> 20
    ));
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let number = change * 37 % services;
        objects.slices.insert(key(number), slice(number, endpoints, 1 + change));
        times.push(step(&objects));
    }
    for (place, name) in ["model", "compile", "publish"].into_iter().enumerate() {
        let mut part: Vec<_> = times.iter().map(|time| ms(time[place])).collect();
        part.sort_by(f64::total_cmp);
        let (median, late) = (part[CHANGES / 2], part[CHANGES * 99 / 100]);
        say(format!("one slice: {name} {median:.3} ms median, {late:.3} ms p99"));
    }
}
