//! What the machine must have, and where the program under test is.

use std::{io::Write, path::PathBuf, process::Command, sync::OnceLock};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use penstock::netns::{find_program, require_root};

/// Programs without which hardly a test makes sense.
const TOOLS: [&str; 7] = ["ip", "ethtool", "nginx", "curl", "sshd", "ssh", "ping"];

/// Whether tests that make namespaces, and use `further` programs, can run here. Says so if they cannot, and panics
/// where `CI=true`.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub fn may_run(further: &[&str]) -> bool {
    let mut tools = TOOLS.iter().chain(further);
    let obstacle =
        require_root().and_then(|()| tools.try_for_each(|tool| find_program(tool).map(drop))).err();
    let Some(obstacle) = obstacle else { return true };
    if std::env::var("CI").as_deref() == Ok("true") {
        panic!("CI=true, so no test may be skipped: {obstacle}");
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {obstacle}");
    false
}

/// The `penstock` of the same build as this test; built if need be, since Cargo builds no other package's program
/// for a test. `PENSTOCK_BIN` names another one.
#[expect(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]
pub fn penstock() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        if let Some(program) = std::env::var_os("PENSTOCK_BIN") {
            return PathBuf::from(program);
        }
        // target/PROFILE/deps/test → target/PROFILE/penstock
        let test = std::env::current_exe().expect("a test has a path");
        let folder = test.ancestors().nth(2).expect("a test is in target/PROFILE/deps").to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--workspace", "--bins", "--manifest-path"]);
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        match cargo.status() {
            Ok(status) if status.success() => folder.join("penstock"),
            other => panic!("cannot build penstock: {other:?}"),
        }
    };
    PROGRAM.get_or_init(find).clone()
}

/// The appliance's `fastLane` that `PENSTOCK_FAST_LANE` asks for (`on`, `off` or `auto`), so that all tests can be run with
/// it and without. A test that says itself what it needs is not overridden.
pub fn fast_lane() -> Option<serde_json::Value> {
    std::env::var("PENSTOCK_FAST_LANE").ok().map(serde_json::Value::from)
}

/// Lets this process open thousands of sockets.
pub fn raise_file_limit() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}
