//! The clock of marks: CLOCK_MONOTONIC, which BPF programs read too.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started.
#[inline]
pub(crate) fn now_ns() -> u64 {
    // The clock is there on every Linux; an error would be one of the arguments.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from).unwrap_or_default();
    now.as_nanos() as u64
}
