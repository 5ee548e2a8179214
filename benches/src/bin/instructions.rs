//! The guard without noise: how many instructions a packet takes, counted by callgrind, against the counts on record.
//!
//! `instructions` counts all cases and compares them with `instructions.json`; it fails if one takes more than 5 % more.
//! `instructions --record` writes them there instead. `instructions CASE` is the work that is counted: it runs below
//! valgrind, and only what [`measured`] does counts.
//!
//! Counts depend on the compiler and on what it may use of the processor, so they are held against those of the same
//! rustc and the same target only, and otherwise just printed. Time spent waiting does not count at all: see
//! `benches/report.rs` for that.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

use penstock_benches::{
    family::Numbered,
    scene::{Mix, RING, Scene},
};
use penstock_dataplane::wire::{V4, V6};
use serde_json::{Value, json};
use std::{env, error::Error, fs, path::Path, process::Command};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FLOWS: usize = 1000;
const ROUNDS: usize = 10;
/// New flows that a table takes before they are forgotten.
const ROOM: usize = 2 * RING;
/// More than this is a step back, in per cent.
const BOUND: f64 = 5.0;
const CASES: [&str; 4] = ["hit/v4", "hit/v6", "new/v4", "new/v6"];
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        None => compare(),
        Some("--record") => record(),
        Some("hit/v4") => work::<V4>(Mix::Established),
        Some("hit/v6") => work::<V6>(Mix::Established),
        Some("new/v4") => work::<V4>(Mix::New),
        Some("new/v6") => work::<V6>(Mix::New),
        Some(other) => Err(format!("{other:?} is none of the cases {CASES:?}").into()),
    }
}

/// What is counted, named by this function.
#[inline(never)]
fn measured<F: Numbered>(scene: &mut Scene<F>) {
    scene.process();
}

fn work<F: Numbered>(mix: Mix) -> Result<()> {
    let mut scene = Scene::<F>::new(FLOWS, FLOWS + ROOM, mix);
    for _ in 0..ROUNDS {
        if mix == Mix::New {
            scene.forget_new();
        }
        scene.refill();
        measured(&mut scene);
    }
    scene.check();
    Ok(())
}

/// Instructions a packet.
fn count(case: &str) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .args(["--toggle-collect=*measured*", "--"])
        .arg(env::current_exe()?)
        .arg(case)
        .output()
        .map_err(|error| format!("valgrind: {error}: `make deps` installs it"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected :").nth(1));
    match collected.and_then(|number| number.trim().parse::<f64>().ok()) {
        Some(collected) if output.status.success() && collected > 0.0 => {
            Ok((collected / (ROUNDS * RING) as f64 * 10.0).round() / 10.0)
        }
        _ => Err(format!("{case}: valgrind has counted nothing:\n{said}").into()),
    }
}

/// What the counts were made with.
fn made_with() -> Value {
    let rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    json!({
        "rustc": rustc.unwrap_or_default(),
        "target": format!("{}-{}", env::consts::ARCH, env::consts::OS),
        // A build for this very processor has other counts.
        "avx2": cfg!(target_feature = "avx2"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

fn record() -> Result<()> {
    let mut counts = serde_json::Map::new();
    for case in CASES {
        counts.insert(case.to_owned(), json!(count(case)?));
    }
    let record = json!({ "made_with": made_with(), "instructions_per_packet": counts });
    fs::write(RECORD, format!("{record:#}\n"))?;
    println!("written: {}", Path::new(RECORD).file_name().unwrap_or_default().display());
    Ok(())
}

fn compare() -> Result<()> {
    let recorded: Value = serde_json::from_str(&fs::read_to_string(RECORD)?)?;
    let is_comparable = recorded["made_with"] == made_with();
    if !is_comparable {
        println!("not held against the record: that is of {}", recorded["made_with"]);
        println!("{:>51}", made_with());
    }
    println!("{:<8} {:>12} {:>10} {:>8}", "case", "instructions", "recorded", "change");
    let mut worse = Vec::new();
    for case in CASES {
        let found = count(case)?;
        let Some(expected) = recorded["instructions_per_packet"][case].as_f64() else {
            return Err(format!("{case} is not on record: `make instructions-record`").into());
        };
        let change = (found / expected - 1.0) * 100.0;
        println!("{case:<8} {found:>12.1} {expected:>10.1} {change:>+7.1}%");
        if change > BOUND {
            worse.push(case);
        }
    }
    match is_comparable && !worse.is_empty() {
        true => Err(format!(
            "{worse:?}: more than {BOUND} % above the record. Take the cause out, or if the packets get something \
             for it, say so in a commit with the new counts (`make instructions-record`)"
        )
        .into()),
        false => Ok(()),
    }
}
