//! Builds the kernel-side classifier (`src/xdp/classifier.bpf.c`) with clang into `OUT_DIR/classifier.bpf.o`.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, io};

const SOURCE: &str = "src/xdp/classifier.bpf.c";
const HEADERS: [&str; 3] = ["src/xdp/bpf.h", "src/xdp/maps.h", "src/xdp/packet.h"];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    for header in HEADERS {
        println!("cargo::rerun-if-changed={header}");
    }
    println!("cargo::rerun-if-env-changed=CLANG");
    if let Err(message) = build() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let out: PathBuf = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo")?.into();
    let mut command = Command::new(&clang);
    command.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]);
    // The BPF target has no architecture, so clang doesn't look where the distribution keeps asm/types.h.
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let multiarch = format!("/usr/include/{arch}-linux-gnu");
    if Path::new(&multiarch).exists() {
        command.arg(format!("-I{multiarch}"));
    }
    command.args(["-c", SOURCE, "-o"]).arg(out.join("classifier.bpf.o"));
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{clang} was not found. It builds the XDP classifier: install the package `clang` \
             (Debian, Ubuntu, Fedora, Arch), or name another clang in CLANG."
        ),
        _ => format!("{clang} could not be run: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let hint = match said.contains("file not found") {
        true => {
            "\nThe kernel's userspace headers are missing: install `linux-libc-dev` (Debian, Ubuntu) or `kernel-headers` (Fedora)."
        }
        false => "",
    };
    Err(format!("{clang} could not build {SOURCE}:\n{said}{hint}"))
}
