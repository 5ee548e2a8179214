//! Penstock in a cluster, end to end: real Kubernetes, two gateways, a client and Pods in network namespaces.
//!
//! The tests take turns on one site ([`shared`]): each starts the gateways that it wants, in a namespace of the cluster
//! of its own, and what it made is deleted afterwards. The last one of the program takes the site down.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "the modules of one program")]

mod shared;
mod steps;
mod workloads;
mod serving;
mod handover;
mod local;
mod outages;
mod faults;
mod restarts;
mod permissions;
mod numbers;
mod scale;

use std::io::Write;

/// A line for whoever watches: the figures that a test found.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
