//! Interfaces that take no redirected packets, from the start or all of a sudden: workers forward what leaves by them,
//! within a second, and it is said why.

use std::time::{Duration, Instant};

use penstock_tests::{KeepAlive, Lab, Stalls, ports, require_root};
use serde_json::json;

use crate::{flows, interface, is_fast, options, wait_for_the_lane};

/// How soon workers take over.
const FALLS_BACK: Duration = Duration::from_secs(1);
/// What is lost is sent again by TCP after at most as long as it was away, and a little.
const SENT_AGAIN: Duration = Duration::from_secs(1);

fn gro(lab: &Lab, on: &str) {
    lab.world.client.run(&["ethtool", "-K", "eth0", "gro", on]).unwrap();
}

/// A connection whose flow is in the lane.
fn in_the_lane(lab: &mut Lab) -> KeepAlive {
    let vip = lab.vips(ports::HTTP)[0];
    let mut talk = lab.world.client.enter(|| KeepAlive::connect(vip)).unwrap().unwrap();
    let own = talk.local().unwrap().to_string();
    lab.wait_until("promoted", |lab| {
        talk.ask().unwrap();
        flows(lab, |flow| flow["client"] == own.as_str() && is_fast(flow)).len() == 1
    })
    .unwrap();
    talk
}

#[test]
fn netns_an_interface_that_stops_taking_redirects_falls_back() {
    require_root!();
    let mut lab = Lab::start(options("fall-back", json!({}))).unwrap();
    wait_for_the_lane(&mut lab);
    let mut talk = in_the_lane(&mut lab);

    gro(&lab, "off");
    let (answer, took) = Stalls::time(|| talk.ask());
    answer.unwrap();
    assert!(took < FALLS_BACK + SENT_AGAIN, "an answer took {took:?}");
    let told = interface(&lab, "client0");
    assert_eq!(told["works"], false);
    let (because, remedy) = (told["because"].as_str().unwrap(), told["remedy"].as_str().unwrap());
    assert!(because.contains("its other end") && remedy.contains("ethtool -K IF gro on"), "{told:#}");
    for _ in 0..100 {
        talk.ask().unwrap();
    }
    let warned = |lab: &mut Lab| {
        let log = lab.appliance.child().output();
        log.lines().filter(|line| line.contains("WARN") && line.contains("is not in the fast lane")).count()
    };
    assert_eq!(warned(&mut lab), 1, "once:\n{}", lab.appliance.last_lines());
    let metrics = lab.world.gateway.run(&["curl", "-s", "http://127.0.0.1:10249/metrics"]).unwrap();
    assert!(metrics.contains(r#"penstock_lane_interface_usable{interface="client0"} 0"#), "{metrics}");

    gro(&lab, "on");
    let begun = Instant::now();
    lab.wait_until("back in the lane", |lab| interface(lab, "client0")["works"] == true).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "no back-off where the kernel tells");
    let before = interface(&lab, "client0")["sent"].as_u64().unwrap();
    lab.wait_until("sent by the lane again", |lab| {
        talk.ask().unwrap();
        interface(lab, "client0")["sent"].as_u64().unwrap() > before + 10
    })
    .unwrap();
}

#[test]
fn netns_an_interface_without_redirects_is_told_at_the_start() {
    require_root!();
    let mut lab = Lab::start_with(options("no-redirects", json!({})), |world| {
        world.client.run(&["ethtool", "-K", "eth0", "gro", "off"]).unwrap();
    })
    .unwrap();
    lab.wait_until("looked at", |lab| interface(lab, "backend0")["works"] == true).unwrap();
    assert_eq!(interface(&lab, "client0")["works"], false);
    let vip = lab.vips(ports::HTTP)[0];
    let mut talk = lab.world.client.enter(|| KeepAlive::connect(vip)).unwrap().unwrap();
    for _ in 0..200 {
        talk.ask().unwrap();
    }
    assert!(flows(&lab, is_fast).is_empty(), "a flow of two directions needs both");
    assert!(lab.appliance.last_lines().contains("is not in the fast lane"));
    // The doctor says the same.
    let config = lab.world.folder.path().join("penstock.yaml");
    let program = penstock_tests::penstock();
    let line = [&program.to_string_lossy(), "doctor", "-o", "json", "--config", &config.to_string_lossy()];
    let report = lab.world.gateway.command("env").unwrap().args(line).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    let of_client = report["checks"].as_array().unwrap().iter().find(|check| {
        check["subject"] == "client0"
            && check["finding"].as_str().unwrap().contains("is not in the fast lane")
    });
    assert_eq!(of_client.unwrap()["verdict"], "warn", "{report:#}");
}

#[test]
fn netns_a_lane_that_is_off_is_off() {
    require_root!();
    let lab = Lab::start(options("off", json!({"fastLane": "off"}))).unwrap();
    let vip = lab.vips(ports::HTTP)[0];
    let mut talk = lab.world.client.enter(|| KeepAlive::connect(vip)).unwrap().unwrap();
    for _ in 0..100 {
        talk.ask().unwrap();
    }
    assert!(flows(&lab, is_fast).is_empty());
    let shown = crate::lane(&lab);
    assert!(shown["on"] == false && shown["because"] == "fastLane is off", "{shown:#}");
}
