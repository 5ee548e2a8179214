//! SIGINT and SIGTERM end a run as its bound would; a second one ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Whether to stop.
pub(super) static STOP: AtomicBool = AtomicBool::new(false);

/// From now on signals are watched for.
#[expect(unsafe_code, reason = "a signal handler is installed")]
pub(super) fn watch() -> Result<()> {
    // SA_RESETHAND: the second signal finds the default, which ends us.
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESETHAND, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler only stores into an atomic.
        unsafe { sigaction(signal, &action) }.context("cannot watch for signals")?;
    }
    Ok(())
}

extern "C" fn on_signal(_: libc::c_int) {
    STOP.store(true, Ordering::Release);
}
