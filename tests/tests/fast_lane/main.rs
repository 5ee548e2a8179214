//! The fast lane, seen from outside: real programs in namespaces, with the lane on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod transfer;
mod endpoints;
mod interfaces;
mod persist;

use penstock_tests::{Lab, LabOptions};
use serde_json::{Value, json};

/// With the lane on, whatever the machine is like, and these further fields.
fn options(label: &'static str, further: Value) -> LabOptions {
    let mut options = LabOptions::new(label);
    options.fields.insert("fastLane".to_owned(), json!("on"));
    options.fields.extend(further.as_object().cloned().unwrap_or_default());
    options
}

/// What `show workers` tells of the lane.
fn lane(lab: &Lab) -> Value {
    lab.appliance.show("workers").unwrap()["lane"].clone()
}

/// What it tells of an interface in the lane.
fn interface(lab: &Lab, name: &str) -> Value {
    let lane = lane(lab);
    let found = lane["interfaces"].as_array().unwrap().iter().find(|port| port["interface"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {lane:#}")).clone()
}

/// Waits until both interfaces are in the lane.
fn wait_for_the_lane(lab: &mut Lab) {
    lab.wait_until("in the lane", |lab| {
        ["client0", "backend0"].iter().all(|name| interface(lab, name)["works"] == true)
    })
    .unwrap();
}

/// The flows that satisfy this, as `show flows` has them.
fn flows(lab: &Lab, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    let shown = lab.appliance.show("flows").unwrap();
    shown["flows"].as_array().unwrap().iter().filter(|flow| is_it(flow)).cloned().collect()
}

fn is_fast(flow: &Value) -> bool {
    flow["lane"] == "fast"
}
