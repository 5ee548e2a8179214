//! Builds the kernel-side generator and receiver (`src/bpf/*.bpf.c`) with clang into `OUT_DIR`.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, io};

const PROGRAMS: [&str; 2] = ["generate", "catch"];
const HEADERS: [&str; 2] = ["src/bpf/frame.h", "../dataplane/src/xdp/bpf.h"];

fn main() {
    for header in HEADERS {
        println!("cargo::rerun-if-changed={header}");
    }
    println!("cargo::rerun-if-env-changed=CLANG");
    for program in PROGRAMS {
        if let Err(message) = build(program) {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            exit(1);
        }
    }
}

fn build(program: &str) -> Result<(), String> {
    let source = format!("src/bpf/{program}.bpf.c");
    println!("cargo::rerun-if-changed={source}");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let out: PathBuf = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo")?.into();
    let mut command = Command::new(&clang);
    command.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]);
    // The few helpers that the classifier needs too.
    command.arg("-I../dataplane/src/xdp");
    // The BPF target has no architecture, so clang doesn't look where the distribution keeps asm/types.h.
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let multiarch = format!("/usr/include/{arch}-linux-gnu");
    if Path::new(&multiarch).exists() {
        command.arg(format!("-I{multiarch}"));
    }
    command.args(["-c", &source, "-o"]).arg(out.join(format!("{program}.bpf.o")));
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{clang} was not found: install the package `clang`, or name another clang in CLANG")
        }
        _ => format!("{clang} could not be run: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{clang} could not build {source}:\n{}", String::from_utf8_lossy(&output.stderr)))
}
