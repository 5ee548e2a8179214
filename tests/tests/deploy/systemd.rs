//! The unit, as `systemd-analyze` sees it.

use std::{fs, process::Command};

use penstock::netns::{find_program, run};
use penstock_tests::penstock;

use crate::{privileges::CAPABILITIES, shipped::text};

#[test]
fn the_unit_is_one_that_systemd_takes_and_calls_well_protected() {
    let Ok(analyze) = find_program("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("penstock.service");
    // What it starts is looked for.
    let program = penstock();
    let text =
        text("deploy/systemd/penstock.service").replace("/usr/bin/penstock", &program.to_string_lossy());
    fs::write(&unit, text).unwrap();
    let verify = |arguments: &[&str]| {
        let mut command = Command::new(&analyze);
        command.args(arguments).arg(&unit);
        command.output().unwrap()
    };
    let output = verify(&["verify", "--man=no"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let about_it: Vec<&str> = said.lines().filter(|line| line.contains("penstock.service")).collect();
    assert!(output.status.success() && about_it.is_empty(), "{said}");
    let mut command = Command::new(&analyze);
    command.args(["security", "--offline=true", "--no-pager", "--threshold=35"]).arg(&unit);
    let exposure = run(command);
    assert!(exposure.is_ok(), "{exposure:?}");
}

#[test]
fn the_unit_has_the_capabilities_that_are_needed_and_no_others() {
    let unit = text("deploy/systemd/penstock.service");
    for field in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{field}="))).unwrap();
        let expected: Vec<String> = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
        assert_eq!(line.split(' ').collect::<Vec<_>>(), expected, "{field}");
    }
}
