//! `penstock doctor` in a real gateway: before the start, while it runs, and where something else has its place.

use std::{fs, path::Path};

use penstock_tests::{Lab, LabOptions, penstock, require_root};
use serde_json::Value;

/// The checks, and whether the doctor was content.
fn examine(lab: &Lab, config: &Path, options: &[&str]) -> (Vec<Value>, bool) {
    let program = penstock();
    let mut command = lab.world.gateway.command(&program.to_string_lossy()).unwrap();
    command.args(["doctor", "-o", "json", "--config"]).arg(config).args(options);
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (report["checks"].as_array().unwrap().clone(), output.status.success())
}

fn all<'a>(checks: &'a [Value], verdict: &str) -> Vec<&'a Value> {
    checks.iter().filter(|check| check["verdict"] == verdict).collect()
}

fn says(checks: &[Value], verdict: &str, subject: &str, words: &str) -> bool {
    all(checks, verdict)
        .iter()
        .any(|check| check["subject"] == subject && check["finding"].as_str().unwrap().contains(words))
}

#[test]
fn netns_the_doctor_tells_a_running_gateway_from_one_that_is_taken() {
    require_root!();
    let mut lab = Lab::start(LabOptions::new("doctor")).unwrap();
    let file = lab.world.folder.path().join("penstock.yaml");

    let (checks, content) = examine(&lab, &file, &["--init"]);
    assert!(content && all(&checks, "fail").is_empty(), "{checks:#?}");
    assert!(says(&checks, "pass", "socket", "an appliance answers"), "{checks:#?}");
    assert!(says(&checks, "pass", "client0", "driver veth has native XDP"), "{checks:#?}");
    assert!(says(&checks, "pass", "client0", "XDP program"), "{checks:#?}");
    assert!(says(&checks, "warn", "client0", "unfinished checksums"), "{checks:#?}");
    let (_, content) = examine(&lab, &file, &[]);
    assert!(!content, "without --init a warning counts");

    // The same machine for another appliance: the interfaces and the ports are taken.
    let other = lab.world.folder.path().join("other.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("penstock.sock", "other.sock");
    fs::write(&other, text).unwrap();
    let (checks, content) = examine(&lab, &other, &["--init"]);
    assert!(!content, "{checks:#?}");
    for interface in ["client0", "backend0"] {
        assert!(says(&checks, "fail", interface, "another XDP program is attached"), "{checks:#?}");
    }
    assert!(says(&checks, "warn", "healthzBindAddress", "is taken"), "{checks:#?}");

    lab.appliance.stop().unwrap();
    let (checks, content) = examine(&lab, &other, &["--init"]);
    assert!(content && all(&checks, "fail").is_empty(), "{checks:#?}");

    lab.world.gateway.ip("link set backend0 down").unwrap();
    lab.world.gateway.sysctl("net/ipv4/conf/client0/rp_filter", "1").unwrap();
    lab.world.gateway.sysctl("net/ipv4/ip_local_port_range", "1024 65000").unwrap();
    let (checks, _) = examine(&lab, &other, &["--init"]);
    assert!(says(&checks, "warn", "backend0", "is down"), "{checks:#?}");
    assert!(says(&checks, "warn", "net.ipv4.conf.client0.rp_filter", "is strict"), "{checks:#?}");
    assert!(says(&checks, "warn", "net.ipv4.ip_local_port_range", "61000-65000"), "{checks:#?}");
}
