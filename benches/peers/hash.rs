//! Our flow table beside DPDK's hash, in one run: a look-up in batches of 64, keys drawn at random.
//!
//! DPDK's is measured by a small C program (dpdk_hash.c), built here against the distribution's libdpdk-dev; where that is
//! missing it is left out, with a word. A look-up of ours ends with the flow's record read; one of DPDK's with its position.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use penstock_benches::{
    family::Numbered,
    measure::look_ups,
    scene::{Mix, Scene},
};
use penstock_dataplane::{io::BATCH, wire::V4};
use serde_json::json;

use crate::{results::Results, say, short};

const FLOWS: [usize; 3] = [1000, 100_000, 1_000_000];
const TIME: Duration = Duration::from_millis(700);
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/dpdk_hash.c");

/// Measures both, in turn.
pub(crate) fn measure(results: &mut Results) {
    let program = build();
    if let Err(why) = &program {
        say(&format!("  DPDK's hash is left out: {why:#}"));
        results.note(format!("flowtable/dpdk-hash is left out: {why:#}"));
    }
    for flows in FLOWS {
        let label = if flows == 1_000_000 { "1m".to_owned() } else { short(flows as u64) };
        let params = json!({"flows": flows, "keys": 2 * flows, "order": "random", "batch": BATCH});
        results.add(format!("flowtable/penstock/v4/{label}"), ours::<V4>(flows), "ns", params.clone());
        let Ok(program) = &program else { continue };
        match theirs(program, 2 * flows) {
            Ok(ns) => results.add(format!("flowtable/dpdk-hash/v4/{label}"), ns, "ns", params),
            Err(error) => results.note(format!("flowtable/dpdk-hash/v4/{label} is left out: {error:#}")),
        }
    }
}

fn ours<F: Numbered>(flows: usize) -> f64 {
    let scene = Scene::<F>::new(flows, flows, Mix::Established);
    let timing = look_ups(&F::flows(&scene.path).table, TIME);
    (timing.median_ns * 100.0).round() / 100.0
}

/// Compiles the C program into the folder of results.
fn build() -> Result<PathBuf> {
    let output = Command::new("pkg-config").args(["--cflags", "--libs", "libdpdk"]).output();
    let output = output.context("pkg-config is missing")?;
    if !output.status.success() {
        bail!("the package libdpdk-dev is not installed");
    }
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    let folder = crate::results::folder();
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("dpdk-hash");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-O3", "-march=native", "-o"]).arg(&program).arg(SOURCE).args(flags.split_whitespace());
    let output = compiler.output().context("no C compiler")?;
    if !output.status.success() {
        bail!("it does not compile: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(program)
}

fn theirs(program: &Path, keys: usize) -> Result<f64> {
    let output = Command::new(program).arg(keys.to_string()).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().last().and_then(|line| line.trim().parse().ok()).with_context(|| format!("it said {text:?}"))
}
