//! One interface or two, one worker or two on multi-queue interfaces: the demonstration succeeds in every shape.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use penstock_tests::{penstock, require_root};
use serde_json::Value;

const REQUESTS: u64 = 300;

fn demonstration(arguments: &[&str], workers: usize) {
    let output = Command::new(penstock())
        .args(["demo", "-o", "json", "--requests", &REQUESTS.to_string()])
        .args(arguments)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{complaint}"));
    assert!(output.status.success() && result["ok"] == true, "{arguments:?}: {result:#}\n{complaint}");
    assert_eq!(result["answered"], 6 * REQUESTS, "{result:#}");
    assert_eq!(result["afterChange"]["backend-2"], 0, "{result:#}");
    let interfaces = if arguments.contains(&"--one-arm") { 1 } else { 2 };
    let modes = result["modes"].as_array().unwrap();
    let names: std::collections::BTreeSet<_> = modes.iter().map(|mode| mode["interface"].as_str()).collect();
    assert_eq!(names.len(), interfaces, "{result:#}");
    let received: Vec<_> =
        result["receivedByWorker"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(received.len(), workers, "{result:#}");
    // A request is at least ten packets, both ways; flows are spread over the queues by hash.
    let fair_share = 6 * REQUESTS * 10 / workers as u64;
    assert!(
        received.iter().all(|packets| *packets > fair_share / 4),
        "a worker has hardly worked: {result:#}"
    );
}

#[test]
fn netns_demonstrations_succeed_in_every_shape() {
    require_root!();
    demonstration(&[], 1);
    demonstration(&["--one-arm"], 1);
    demonstration(&["--workers", "2"], 2);
    demonstration(&["--one-arm", "--workers", "2"], 2);
}
