//! What a figure was measured on.

use serde_json::{Value, json};
use std::{fs, process::Command};

/// The machine.
pub fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    json!({
        "cpu": cpu(),
        "cores": cores,
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "date": output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
        "rustc": output("rustc", &["--version"]),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

/// The commit, with a plus sign if there are changes on top of it.
pub fn commit() -> String {
    let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{}{}", output("git", &["rev-parse", "--short=12", "HEAD"]), if changed { "+" } else { "" })
}

/// The CPU's name, family and model.
pub fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split(':').nth(1)).map_or("unknown", str::trim)
    };
    format!("{} (family {}, model {})", field("model name"), field("cpu family"), field("model"))
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
