//! The classifier as other clangs build it. Each drops other checks, because it knows better, that the verifier wants to see:
//! whoever builds Penstock has another one.

#[path = "../../../clang.rs"]
#[expect(dead_code, reason = "the rest is for build scripts")]
mod clang;

use crate::{io::testing::root_or_skip, xdp::verify};
use aya::{EbpfLoader, programs::Xdp};
use std::{env::consts::ARCH, fs, path::Path, process::Command};

/// Those that distributions have side by side: `clang-19`.
const NUMBERED: std::ops::RangeInclusive<u32> = 14..=30;

#[test]
fn root_the_verifier_accepts_what_every_clang_here_builds() {
    if !root_or_skip() {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/xdp/classifier.bpf.c");
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("classifier.o");
    let is_here = |clang: &String| Command::new(clang).arg("--version").output().is_ok();
    let numbered = NUMBERED.map(|number| format!("clang-{number}")).filter(is_here);
    for clang in std::iter::once(clang::chosen()).chain(numbered) {
        let built = clang::command(&clang, ARCH, &source, &object).output().unwrap();
        assert!(built.status.success(), "{clang}: {}", String::from_utf8_lossy(&built.stderr));
        let bytes = fs::read(&object).unwrap();
        for lane_is_on in [0u32, 1] {
            let mut loader = EbpfLoader::new();
            let mut loaded = loader.override_global("lane_is_on", &lane_is_on, true).load(&bytes).unwrap();
            let program: &mut Xdp = loaded.program_mut("classify").unwrap().try_into().unwrap();
            if let Err(error) = verify::patiently(|| program.load()) {
                panic!("{clang}, lane_is_on = {lane_is_on}: {error:?}");
            }
            eprintln!("{clang}, lane_is_on = {lane_is_on}: accepted");
        }
    }
}
