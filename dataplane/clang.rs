//! For build scripts: builds BPF programs with clang into `OUT_DIR`, `x.bpf.c` to `x.bpf.o`.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, io};

/// Builds each of `sources`, anew when it or one of `headers` changes; `includes` are folders with headers of others. Ends
/// the build script with what is to be done about it if that fails.
pub(crate) fn build(sources: &[&str], headers: &[&str], includes: &[&str]) {
    for file in sources.iter().chain(headers) {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-env-changed=CLANG");
    for source in sources {
        if let Err(message) = build_one(source, includes) {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            exit(1);
        }
    }
}

fn build_one(source: &str, includes: &[&str]) -> Result<(), String> {
    let clang = chosen();
    let out: PathBuf = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo")?.into();
    let object = out.join(Path::new(source).with_extension("o").file_name().unwrap_or_default());
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mut command = command(&clang, &arch, Path::new(source), &object);
    command.args(includes.iter().map(|folder| format!("-I{folder}")));
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{clang} was not found. It builds {source}: install the package `clang` (Debian, Ubuntu, Fedora, Arch), or name \
             another clang in CLANG."
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
    Err(format!("{clang} could not build {source}:\n{said}{hint}"))
}

/// The clang that programs are built by.
pub(crate) fn chosen() -> String {
    env::var("CLANG").unwrap_or_else(|_| "clang".into())
}

/// What builds a BPF program by this clang, on a machine of this architecture.
pub(crate) fn command(clang: &str, arch: &str, source: &Path, object: &Path) -> Command {
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]);
    // The BPF target has no architecture, so clang doesn't look where the distribution keeps asm/types.h.
    let multiarch = format!("/usr/include/{arch}-linux-gnu");
    if Path::new(&multiarch).exists() {
        command.arg(format!("-I{multiarch}"));
    }
    command.arg("-c").arg(source).arg("-o").arg(object);
    command
}
