//! Helpers of the tests that need root.

/// Whether this test can run: it needs root. Without root it is skipped; in CI that is a failure.
pub(crate) fn root_or_skip() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "this test needs root, and CI skips nothing");
    eprintln!("skipped: needs root");
    false
}
