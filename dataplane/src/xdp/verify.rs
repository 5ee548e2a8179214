//! Loading programs although the verifier is interrupted: it gives up with EAGAIN where a signal is pending.

use super::error::errno;
use aya::programs::ProgramError;

/// As often as libbpf tries.
const TRIES: u32 = 5;

/// Loads a program, again where that was interrupted.
pub(super) fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    for _ in 1..TRIES {
        match load() {
            Err(error) if errno(&error) == Some(libc::EAGAIN) => {}
            result => return result,
        }
    }
    load()
}
