//! What outlives the process, and what does not.

use std::{path::PathBuf, process::Command, time::Duration};

use penstock::netns::run;
use penstock_tests::{KeepAlive, Lab, PATIENCE, penstock, ports, require_root};
use serde_json::{Value, json};

use crate::{flows, is_fast, options, wait_for_the_lane};

const CONNECTIONS: usize = 200;
/// How long the appliance is away.
const AWAY: Duration = Duration::from_secs(2);

/// A BPF file system of its own, since `ip netns exec` hides the machine's with the rest of /sys, and a place on it.
struct Pins {
    mount: tempfile::TempDir,
    folder: PathBuf,
}

impl Pins {
    fn new() -> Self {
        let mount = tempfile::Builder::new().prefix("psk-e2e-bpf-").tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "bpf", "bpf"]).arg(mount.path());
        run(command).unwrap();
        let folder = mount.path().join("penstock");
        Self { mount, folder }
    }

    fn detach(&self) -> String {
        let mut command = Command::new(penstock());
        command.args(["detach", "--pin-path"]).arg(&self.folder);
        run(command).unwrap()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _gone = penstock_dataplane::xdp::detach_pinned(&self.folder);
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(self.mount.path());
        let _gone = run(command);
    }
}

/// Whether an XDP program is on each of the gateway's interfaces.
fn has_programs(lab: &Lab) -> [bool; 2] {
    ["client0", "backend0"].map(|name| {
        let link = lab.world.gateway.ip(&format!("link show {name}")).unwrap();
        link.contains("prog/xdp")
    })
}

fn persisting(label: &'static str, pins: &Pins) -> penstock_tests::LabOptions {
    options(label, json!({"persist": true, "pinPath": pins.folder}))
}

#[test]
fn netns_promoted_flows_outlive_a_crash() {
    require_root!("iperf3");
    let pins = Pins::new();
    let mut fields = persisting("crash", &pins);
    // iperf3 makes two connections, and wants both at one place.
    fields.backends = 1;
    let mut lab = Lab::start(fields).unwrap();
    wait_for_the_lane(&mut lab);
    let vips = lab.vips(ports::HTTP);
    let connect = |to| lab.world.client.enter(|| KeepAlive::connect(to)).unwrap().unwrap();
    let mut talks: Vec<KeepAlive> =
        (0..CONNECTIONS).map(|number| connect(vips[number % vips.len()])).collect();
    let own: Vec<String> = talks.iter().map(|talk| talk.local().unwrap().to_string()).collect();
    let are_ours = |flow: &Value| own.iter().any(|own| flow["client"] == own.as_str());
    lab.wait_until("all promoted", |lab| {
        talks.iter_mut().for_each(|talk| drop(talk.ask().unwrap()));
        flows(lab, |flow| are_ours(flow) && is_fast(flow)).len() == CONNECTIONS
    })
    .unwrap();
    let backend = &lab.world.backends[0].namespace;
    let mut server = backend.spawn(&["iperf3", "-s", "-1", "-p", &ports::TCP.1.to_string()], None).unwrap();
    let (vip, port) = (lab.vips(ports::TCP)[0].ip().to_string(), ports::TCP.0.to_string());
    let report = lab.world.folder.path().join("iperf3.json");
    let line = ["iperf3", "-c", &vip, "-p", &port, "-t", "12", "-i", "0.5", "-b", "200M", "--json"];
    std::thread::sleep(Duration::from_millis(500));
    let mut client = lab.world.client.spawn(&line, Some(&report)).unwrap();
    lab.wait_until("promoted", |lab| {
        flows(lab, |flow| flow["vip"].as_str().unwrap().ends_with(":7") && is_fast(flow))
            .iter()
            .any(|flow| flow["fastForward"]["packets"].as_u64().unwrap() > 1000)
    })
    .unwrap();

    lab.kill_appliance().unwrap();
    assert_eq!(has_programs(&lab), [true; 2], "the classifier stays");
    let begun = std::time::Instant::now();
    while begun.elapsed() < AWAY {
        for talk in &mut talks {
            talk.ask().unwrap_or_else(|error| panic!("while it is away: {error}"));
        }
    }
    lab.start_appliance().unwrap();
    for talk in &mut talks {
        talk.ask().unwrap_or_else(|error| panic!("when it is back: {error}"));
    }
    lab.wait_until("known again", |lab| flows(lab, are_ours).len() == CONNECTIONS).unwrap();
    lab.wait_until("in the lane again", |lab| {
        talks.iter_mut().for_each(|talk| drop(talk.ask().unwrap()));
        flows(lab, |flow| are_ours(flow) && is_fast(flow)).len() == CONNECTIONS
    })
    .unwrap();
    for vip in &vips {
        lab.get(*vip).unwrap();
    }

    let status = client.wait_for(PATIENCE).expect("iperf3 ends");
    let told: Value = serde_json::from_str(&client.output()).unwrap();
    assert!(status.success(), "{told:#}");
    let intervals = told["intervals"].as_array().unwrap();
    let bytes: Vec<u64> =
        intervals.iter().map(|interval| interval["sum"]["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.iter().all(|bytes| *bytes > 0), "it stood still: {bytes:?}");
    server.stop();
    lab.appliance.stop().unwrap();
}

#[test]
fn netns_nothing_stays_that_is_not_to() {
    require_root!();
    let pins = Pins::new();
    let mut lab = Lab::start(options("leaves", json!({"pinPath": pins.folder}))).unwrap();
    wait_for_the_lane(&mut lab);
    assert_eq!(has_programs(&lab), [true; 2]);
    lab.appliance.stop().unwrap();
    assert_eq!(has_programs(&lab), [false; 2]);
    assert!(!pins.folder.exists());
    assert!(pins.detach().contains("nothing"), "there is nothing to take off");
}

#[test]
fn netns_what_persists_is_taken_off_by_detach() {
    require_root!();
    let pins = Pins::new();
    let mut lab = Lab::start(persisting("detach", &pins)).unwrap();
    wait_for_the_lane(&mut lab);
    let vip = lab.vips(ports::HTTP)[0];
    let mut talk = lab.world.client.enter(|| KeepAlive::connect(vip)).unwrap().unwrap();
    let own = talk.local().unwrap().to_string();
    lab.wait_until("promoted", |lab| {
        talk.ask().unwrap();
        flows(lab, |flow| flow["client"] == own.as_str() && is_fast(flow)).len() == 1
    })
    .unwrap();
    lab.appliance.stop().unwrap();
    assert_eq!(has_programs(&lab), [true; 2]);
    talk.ask().unwrap();
    let said = pins.detach();
    assert!(said.contains(&*pins.folder.to_string_lossy()), "{said}");
    assert_eq!(has_programs(&lab), [false; 2]);
    assert!(!pins.folder.exists());
    assert!(pins.detach().contains("nothing"));
}

/// Another SNAT range makes other flows of it, so what was left is replaced.
#[test]
fn netns_what_does_not_fit_is_replaced() {
    require_root!();
    let pins = Pins::new();
    let mut lab = Lab::start(persisting("replace", &pins)).unwrap();
    wait_for_the_lane(&mut lab);
    lab.kill_appliance().unwrap();
    lab.restart_with(&json!({"snat": {"ports": "50000-60000"}})).unwrap();
    wait_for_the_lane(&mut lab);
    for vip in lab.vips(ports::HTTP) {
        lab.get(vip).unwrap();
    }
    assert_eq!(has_programs(&lab), [true; 2]);
    // Without persistence, the next start takes off what is left.
    lab.kill_appliance().unwrap();
    lab.restart_with(&json!({"persist": false})).unwrap();
    lab.appliance.stop().unwrap();
    assert_eq!(has_programs(&lab), [false; 2]);
    assert!(!pins.folder.exists());
}
