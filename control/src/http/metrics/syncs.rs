//! How the syncs went, and what the last one made.

use super::TableFacts;
use crate::{compile::Tally, http::Moment};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{sync::atomic::AtomicU64, time::Duration};

/// Upper bounds of the durations' buckets: a sync of one changed Service takes well under a millisecond.
const BUCKETS_SECONDS: [f64; 12] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

type Label = [(&'static str, &'static str); 1];
type Labels = [(&'static str, &'static str); 2];

/// Cheap to clone: all clones count together.
#[derive(Debug, Clone)]
pub struct Syncs {
    durations: Histogram,
    failures: Counter,
    last: Gauge<f64, AtomicU64>,
    last_queued: Gauge<f64, AtomicU64>,
    services: Family<Label, Gauge>,
    backends: Family<Label, Gauge>,
    no_local_endpoints: Family<Labels, Gauge>,
    problems: Family<Label, Gauge>,
}

impl Default for Syncs {
    fn default() -> Self {
        Self {
            durations: Histogram::new(BUCKETS_SECONDS),
            failures: Counter::default(),
            last: Gauge::default(),
            last_queued: Gauge::default(),
            services: Family::default(),
            backends: Family::default(),
            no_local_endpoints: Family::default(),
            problems: Family::default(),
        }
    }
}

impl Syncs {
    pub(super) fn register(&self, registry: &mut Registry) {
        let seconds = || Unit::Seconds;
        registry.register_with_unit(
            "sync_duration",
            "Time from reading what changed to workers and classifier having it",
            seconds(),
            self.durations.clone(),
        );
        registry.register("sync_failures", "Syncs that failed, and are tried again", self.failures.clone());
        registry.register_with_unit(
            "sync_last_timestamp",
            "When the last good sync ended, in Unix time",
            seconds(),
            self.last.clone(),
        );
        registry.register_with_unit(
            "sync_last_queued_timestamp",
            "When the last change came in, in Unix time",
            seconds(),
            self.last_queued.clone(),
        );
        registry.register("service_ports", "Service ports served", self.services.clone());
        registry.register(
            "backends",
            "Backends (protocol, address, port) of Services, ready or not",
            self.backends.clone(),
        );
        registry.register(
            "no_local_endpoints",
            "Service ports with the policy Local whose endpoints are all on other nodes",
            self.no_local_endpoints.clone(),
        );
        registry.register(
            "problems",
            "What is wrong with objects, as the log tells it",
            self.problems.clone(),
        );
    }

    /// A change has come in.
    pub fn queued(&self, now: Moment) {
        self.last_queued.set(now.wall.as_duration().as_secs_f64());
    }

    /// A sync has ended.
    pub fn ended(&self, now: Moment, took: Duration, failed: bool) {
        self.durations.observe(took.as_secs_f64());
        if failed {
            self.failures.inc();
        } else {
            self.last.set(now.wall.as_duration().as_secs_f64());
        }
    }

    /// What it made.
    pub fn tables(&self, facts: &TableFacts) {
        for (name, family) in [("IPv4", facts.v4), ("IPv6", facts.v6)] {
            let Tally { service_ports, backends, no_local_internal, no_local_external } = family;
            self.services.get_or_create(&[("ip_family", name)]).set(service_ports as i64);
            self.backends.get_or_create(&[("ip_family", name)]).set(backends as i64);
            for (policy, count) in [("internal", no_local_internal), ("external", no_local_external)] {
                let labels = [("traffic_policy", policy), ("ip_family", name)];
                self.no_local_endpoints.get_or_create(&labels).set(count as i64);
            }
        }
        for (severity, count) in [("error", facts.errors), ("warning", facts.warnings)] {
            self.problems.get_or_create(&[("severity", severity)]).set(count as i64);
        }
    }
}
