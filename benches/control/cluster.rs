//! A cluster as the control plane sees it, and the way of a change through the control plane.
//!
//! So many Services, each with so many endpoints in one EndpointSlice, all behind one gateway. A change replaces the endpoints
//! of one slice. What is timed is all the work from the change of objects until a worker takes the new tables in: model,
//! compiler, the classifier's state, what metrics and load balancers are told. The kernel's time is not in it: neither looking up
//! a route nor writing a BPF map.

use imbl::{OrdSet, ordset::DiffItem};
use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use penstock::{
    compile::Environment,
    config::Config,
    model::ReadSlice,
    objects::{Object, ObjectKey, Objects},
    routes::{View, Way, WayLink},
    runtime::{Made, Pipeline},
};
use penstock_dataplane::table::{
    Snapshot,
    publish::{Publisher, Reader},
};
use serde_json::json;
use std::{
    hint::black_box,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Cluster {
    services: usize,
    endpoints: usize,
    /// As they come from a source.
    pub(crate) objects: Objects,
    config: Config,
    targets: OrdSet<IpAddr>,
    view: View,
    way: Arc<Way>,
    pipeline: Pipeline,
    publisher: Publisher,
    readers: Vec<Reader>,
}

/// How long the parts of a change took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Until the model and the compiler have taken it in.
    pub(crate) taken_in: Duration,
    /// Until there are tables.
    pub(crate) made: Duration,
    /// Until a worker has them and everybody is told.
    pub(crate) published: Duration,
}

impl Step {
    /// All of it.
    pub(crate) fn total(&self) -> Duration {
        self.taken_in + self.made + self.published
    }
}

impl Cluster {
    /// The objects are there, and nothing has been made of them.
    pub(crate) fn new(services: usize, endpoints: usize) -> Self {
        let config =
            Config::from_yaml("interfaces: [{name: any}]", "bench", "node").expect("a configuration");
        let (publisher, readers) = Publisher::new(Snapshot::default(), 1);
        let link = WayLink { port: 0, source_mac: [2; 6], dest_mac: [4; 6], vlan: None };
        let way = Way { link: Ok(link), source: "192.0.2.1".parse().ok(), mtu: 1500 };
        let mut cluster = Self {
            services,
            endpoints,
            objects: Objects::default(),
            config,
            targets: OrdSet::new(),
            view: View::default(),
            way: Arc::new(way),
            pipeline: Pipeline::default(),
            publisher,
            readers,
        };
        for number in 0..services {
            cluster.objects.services.insert(key(number), service(number));
            cluster.set_slice(number, 0);
        }
        cluster
    }

    /// Replaces as many endpoints of a Service as `shift` says by others.
    pub(crate) fn set_slice(&mut self, number: usize, shift: usize) {
        self.objects.slices.insert(key(number), slice(number, self.endpoints, shift));
    }

    /// Takes the objects in as they are.
    pub(crate) fn step(&mut self) -> Step {
        let begun = Instant::now();
        let mut problems = self.pipeline.take(&self.config, &self.objects);
        let targets = self.pipeline.targets();
        let taken_in = begun.elapsed();
        // What routes would find, which is theirs to be fast about.
        for item in self.targets.diff(&targets) {
            match item {
                DiffItem::Add(target) => drop(self.view.ways.insert(*target, Arc::clone(&self.way))),
                DiffItem::Remove(target) => drop(self.view.ways.remove(target)),
            }
        }
        self.targets = targets;
        let begun = Instant::now();
        let environment = Environment::of(&self.config, &self.view);
        let Made { snapshot, problems: more, classifier, .. } =
            self.pipeline.make(&self.config, &environment, &self.view, true);
        black_box(classifier);
        problems.extend(more);
        let made = begun.elapsed();
        let begun = Instant::now();
        let generation = self.publisher.publish(snapshot);
        self.pipeline.published(generation);
        for reader in &mut self.readers {
            black_box(reader.refresh());
        }
        black_box(self.pipeline.health(&self.config));
        black_box(self.pipeline.facts(&problems));
        self.publisher.reclaim();
        Step { taken_in, made, published: begun.elapsed() }
    }

    /// The steps of `count` changes of one slice each.
    pub(crate) fn changes(&mut self, count: usize) -> Vec<Step> {
        let change = |change: usize| {
            self.set_slice(change * 37 % self.services, 1 + change);
            self.step()
        };
        (0..count).map(change).collect()
    }
}

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

fn slice(number: usize, endpoints: usize, shift: usize) -> Object<ReadSlice> {
    let address = |endpoint: usize| {
        let all = number * endpoints + endpoint + shift;
        format!("10.{}.{}.{}", 128 + all / 65_536, all / 256 % 256, all % 256)
    };
    let endpoints: Vec<_> = (0..endpoints)
        .map(|endpoint| json!({"addresses": [address(endpoint)], "nodeName": format!("node-{endpoint}")}))
        .collect();
    let slice = json!({
        "metadata": {"name": key(number).name, "namespace": "default",
            "labels": {"kubernetes.io/service-name": key(number).name}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    });
    let slice: discovery::EndpointSlice = serde_json::from_value(slice).expect("an EndpointSlice");
    Object { origin: None, value: Arc::new(slice.into()) }
}
