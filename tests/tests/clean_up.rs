//! However the demonstration or the appliance ends, nothing of it stays in the machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aya::{
    maps::loaded_maps,
    programs::{ProgramInfo, loaded_programs},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use penstock::netns::Namespace;
use penstock_tests::{Lab, LabOptions, PATIENCE, penstock, require_root};
use serde_json::Value;

/// What a demonstration has in the machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    namespaces: BTreeSet<String>,
    processes: BTreeSet<u32>,
    xdp_programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
}

fn text(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The BPF programs in the machine with the maps that they use.
fn programs() -> BTreeMap<u32, Vec<u32>> {
    let maps = |program: &ProgramInfo| program.map_ids().ok().flatten().unwrap_or_default();
    loaded_programs().flatten().map(|program| (program.id(), maps(&program))).collect()
}

/// The ids of XDP programs on the interfaces of the namespace `name`.
fn xdp_programs(name: &str) -> Vec<u32> {
    let links = text("ip", &["-n", name, "-details", "-json", "link", "show"]).unwrap_or_default();
    let links: Value = serde_json::from_str(&links).unwrap_or_default();
    let id = |program: &Value| program["prog"]["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let programs = |link: &Value| {
        let several = link["xdp"]["attached"].as_array().cloned().unwrap_or_default();
        id(&link["xdp"]).into_iter().chain(several.iter().filter_map(id)).collect::<Vec<_>>()
    };
    links.as_array().into_iter().flatten().flat_map(programs).collect()
}

fn namespaces_of(pid: u32) -> BTreeSet<String> {
    let prefix = format!("penstock-demo-{pid}-");
    let entries = fs::read_dir("/run/netns").unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

impl Traces {
    fn of(pid: u32) -> Traces {
        let mut traces = Traces { namespaces: namespaces_of(pid), ..Traces::default() };
        for name in &traces.namespaces {
            let pids = text("ip", &["netns", "pids", name]).unwrap_or_default();
            traces.processes.extend(pids.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            traces.xdp_programs.extend(xdp_programs(name));
        }
        let programs = programs();
        traces.maps.extend(traces.xdp_programs.iter().filter_map(|id| programs.get(id)).flatten());
        traces
    }

    /// What of it is still there.
    fn remaining(&self, pid: u32) -> Traces {
        let programs = programs();
        let maps: BTreeSet<u32> = loaded_maps().flatten().map(|map| map.id()).collect();
        let runs = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
        };
        Traces {
            namespaces: namespaces_of(pid),
            processes: self.processes.iter().filter(|pid| runs(pid)).copied().collect(),
            xdp_programs: self.xdp_programs.iter().filter(|id| programs.contains_key(id)).copied().collect(),
            maps: self.maps.intersection(&maps).copied().collect(),
        }
    }

    /// Waits for the kernel, which takes namespaces and programs apart in the background.
    fn expect_gone(&self, pid: u32, when: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut remaining = self.remaining(pid);
        while remaining != Traces::default() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            remaining = self.remaining(pid);
        }
        assert_eq!(remaining, Traces::default(), "{when}: this is left");
        let pinned = fs::read_dir("/sys/fs/bpf").into_iter().flatten().flatten();
        let pinned: Vec<_> = pinned.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert!(!pinned.iter().any(|name| name.contains("penstock")), "{when}: pinned: {pinned:?}");
        let folders = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let prefix = format!("penstock-demo-{pid}-");
        let folders = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        assert_eq!(folders.count(), 0, "{when}: its folder is left");
    }
}

/// A demonstration, killed if the test fails.
struct Demonstration(Child);

impl Drop for Demonstration {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// Demonstrations take turns: each one sweeps what it finds of dead ones.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a demonstration and waits until it has said `words`.
fn start(arguments: &[&str], log: &Path, words: &str) -> Demonstration {
    let file = fs::File::create(log).unwrap();
    let mut command = Command::new(penstock());
    command.arg("demo").args(arguments).stdout(Stdio::null()).stderr(file);
    let mut demonstration = Demonstration(command.spawn().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(log).unwrap().contains(words) {
        let ended = demonstration.0.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "{ended:?}: {}",
            fs::read_to_string(log).unwrap()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    demonstration
}

#[test]
fn netns_ctrl_c_leaves_nothing() {
    require_root!();
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    for (signal, arguments, words, status) in [
        (Signal::SIGINT, &["--keep", "--requests", "20"][..], "until Ctrl-C", Some(0)),
        (Signal::SIGINT, &["--requests", "1000000"], "Sending", Some(1)),
        (Signal::SIGTERM, &["--requests", "1000000", "--one-arm"], "Sending", Some(1)),
        (Signal::SIGHUP, &[], "Building", Some(1)),
    ] {
        let mut demonstration = start(arguments, &folder.path().join("log"), words);
        let pid = demonstration.0.id();
        let traces = Traces::of(pid);
        if words != "Building" {
            assert_eq!(traces.namespaces.len(), 7, "{traces:?}");
            assert!(traces.processes.len() >= 5, "{traces:?}");
            assert!(!traces.xdp_programs.is_empty() && !traces.maps.is_empty(), "{traces:?}");
        }
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
        let ended = demonstration.0.wait().unwrap();
        let when = format!("{signal} at `{words}`");
        assert_eq!(
            ended.code(),
            status,
            "{when}: {}",
            fs::read_to_string(folder.path().join("log")).unwrap()
        );
        traces.expect_gone(pid, &when);
    }
}

#[test]
fn netns_the_next_run_removes_what_a_killed_one_left() {
    require_root!();
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let mut demonstration =
        start(&["--keep", "--requests", "20"], &folder.path().join("log"), "until Ctrl-C");
    let pid = demonstration.0.id();
    let traces = Traces::of(pid);
    demonstration.0.kill().unwrap();
    demonstration.0.wait().unwrap();
    assert!(!namespaces_of(pid).is_empty(), "there is something to sweep");
    let next = Command::new(penstock()).args(["demo", "--requests", "20", "-o", "json"]).output().unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    traces.expect_gone(pid, "after the next run");
}

fn expect_no_xdp(gateway: &Namespace) {
    let deadline = Instant::now() + PATIENCE;
    while !xdp_programs(gateway.name()).is_empty() {
        assert!(Instant::now() < deadline, "XDP stays: {}", gateway.ip("-details link show").unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn netns_an_appliance_takes_its_programs_along() {
    require_root!();
    let mut lab = Lab::start(LabOptions::new("term")).unwrap();
    assert!(!xdp_programs(lab.world.gateway.name()).is_empty());
    lab.appliance.stop().expect("SIGTERM ends it with success");
    assert!(xdp_programs(lab.world.gateway.name()).is_empty(), "SIGTERM detaches before it ends");
    drop(lab);
    let mut lab = Lab::start(LabOptions::new("kill")).unwrap();
    lab.appliance.child().signal(Signal::SIGKILL);
    lab.appliance.child().wait_for(PATIENCE).expect("it is dead");
    expect_no_xdp(&lab.world.gateway);
}
