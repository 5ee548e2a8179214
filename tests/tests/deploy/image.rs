//! The Dockerfile, as far as it can be held against what is here without a container engine: what it copies is there,
//! what it installs is what building takes, and what it leaves out the program does not load.

use std::{collections::BTreeSet, process::Command};

use penstock::netns;
use penstock_tests::penstock;

use crate::shipped::{path, text};

/// Libraries that `gcr.io/distroless/cc` has.
const OF_THE_BASE: [&str; 5] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux", "linux-vdso"];

/// The instructions, continuation lines joined, comments left out.
fn instructions() -> Vec<String> {
    let text = text("deploy/Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    lines
        .join("\n")
        .replace("\\\n", " ")
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// What follows `word` in each instruction that begins with it.
fn of(word: &str) -> Vec<String> {
    instructions()
        .iter()
        .filter_map(|line| line.strip_prefix(word))
        .map(|rest| rest.trim().to_owned())
        .collect()
}

#[test]
fn everything_copied_is_there_and_every_member_is_copied() {
    let ignored = text("deploy/Dockerfile.dockerignore");
    let mut copied = BTreeSet::new();
    for copy in of("COPY ").iter().filter(|copy| !copy.starts_with("--from")) {
        let mut words: Vec<&str> = copy.split_whitespace().collect();
        words.pop();
        for source in words {
            assert!(path(source).exists(), "COPY {source}");
            assert!(
                ignored.lines().any(|line| line == format!("!{source}")),
                "{source} is not sent to the engine"
            );
            copied.insert(source.to_owned());
        }
    }
    let manifest = text("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    assert!(members.iter().all(|member| copied.contains(member)), "{copied:?}");
}

#[test]
fn the_builder_installs_what_building_takes() {
    let dockerfile = text("deploy/Dockerfile");
    let deps = text(".ci/deps");
    // Those that `.ci/deps` wants for the classifier and for libxdp; the rest of its list is for tests.
    for package in [
        "gcc",
        "make",
        "m4",
        "pkg-config",
        "clang",
        "llvm",
        "libclang-dev",
        "libelf-dev",
        "zlib1g-dev",
        "linux-libc-dev",
    ] {
        assert!(deps.contains(package), "{package} is not what `.ci/deps` wants");
        assert!(dockerfile.split_whitespace().any(|word| word == package), "{package} is not installed");
    }
    // The README's command, with the lock file held.
    assert!(text("README.md").contains("cargo build --release -p penstock"));
    assert!(dockerfile.contains("cargo build --release --locked -p penstock"));
    let rust =
        text("Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = ").map(str::to_owned));
    assert!(of("ARG ").contains(&format!("RUST={}", rust.unwrap().trim_matches('"'))));
}

#[test]
fn the_image_has_every_library_that_the_program_loads() {
    let mut command = Command::new("ldd");
    command.arg(penstock());
    let loaded = netns::run(command).unwrap();
    let dockerfile = text("deploy/Dockerfile");
    let list = dockerfile.split("for library in ").nth(1).unwrap().split(';').next().unwrap();
    for library in loaded.lines().filter_map(|line| line.split_whitespace().next()) {
        let name = library.rsplit('/').next().unwrap();
        let there = OF_THE_BASE.iter().any(|base| name.starts_with(base))
            || list.split_whitespace().any(|copied| copied == name);
        assert!(there, "{name} is not in the image");
    }
}

#[test]
fn the_last_stage_is_an_ordinary_user_with_the_program_alone() {
    assert_eq!(of("USER "), ["65532:65532"]);
    assert_eq!(of("ENTRYPOINT "), [r#"["/usr/bin/penstock"]"#]);
    let (from, run) = (of("FROM "), instructions());
    let last = run.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    assert!(from[1].ends_with("cc-debian12:nonroot"), "{from:?}");
    assert!(run[last..].iter().all(|line| !line.starts_with("RUN ")), "it has no shell");
}
