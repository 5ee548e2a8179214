//! SIGINT, SIGTERM and SIGHUP: nothing may stay behind after them.
//!
//! The handler does the one thing a handler safely can, it writes a byte to a pipe; a thread reads the pipe. What the
//! thread does is the [`OnSignal`] policy. A second signal always cleans up at once and ends the process.

use std::{
    io::Read,
    os::fd::{AsRawFd, IntoRawFd, OwnedFd},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use super::{NetnsError, registry::clean_up_everything};

/// The signals that mean "end".
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// What the first signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSignal {
    /// Clean up and die of the signal. For tests.
    CleanUpAndDie,
    /// Make [`interrupted`] true and let the program end in its own order.
    Notify,
}

static NOTIFY: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static PIPE: AtomicI32 = AtomicI32::new(-1);
static STARTED: OnceLock<Result<(), String>> = OnceLock::new();

/// Whether a signal has asked the program to end, under [`OnSignal::Notify`].
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Acquire)
}

/// Starts the signal thread, once in a process, and sets its policy. [`super::Namespace::create`] calls it with
/// [`OnSignal::CleanUpAndDie`] if nobody has before.
pub fn watch_signals(policy: OnSignal) -> Result<(), NetnsError> {
    if policy == OnSignal::Notify {
        NOTIFY.store(true, Ordering::Release);
    }
    let started = STARTED.get_or_init(|| start().map_err(|error| error.to_string()));
    started.clone().map_err(|message| NetnsError::System {
        action: "watch for signals".to_owned(),
        source: std::io::Error::other(message),
    })
}

fn start() -> nix::Result<()> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    PIPE.store(write.as_raw_fd(), Ordering::Release);
    // The write end lives for as long as the handler that uses it: for ever.
    let _ = write.into_raw_fd();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || follow(read))
        .map_err(|_| nix::errno::Errno::EAGAIN)?;
    for signal in ENDING {
        set(signal, SigHandler::Handler(on_signal))?;
    }
    Ok(())
}

/// The signal thread.
fn follow(read: OwnedFd) {
    let mut pipe = std::fs::File::from(read);
    let mut number = [0_u8];
    while pipe.read_exact(&mut number).is_ok() {
        let first = !INTERRUPTED.swap(true, Ordering::AcqRel);
        if first && NOTIFY.load(Ordering::Acquire) {
            continue;
        }
        clean_up_everything();
        let signal = Signal::try_from(i32::from(number[0])).unwrap_or(Signal::SIGTERM);
        let _ = set(signal, SigHandler::SigDfl);
        let _ = raise(signal);
        std::process::exit(128 + signal as i32);
    }
}

#[expect(unsafe_code, reason = "a signal handler is installed")]
fn set(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler, where it is ours, only calls write(2) and reads an atomic: both async-signal-safe.
    unsafe { sigaction(signal, &action) }.map(drop)
}

#[expect(unsafe_code, reason = "write(2) by its C name, since the handler may not allocate or lock")]
extern "C" fn on_signal(number: libc::c_int) {
    let byte = u8::try_from(number).unwrap_or(15);
    // SAFETY: one byte is read from a live local; the descriptor is never closed once it is set.
    unsafe { libc::write(PIPE.load(Ordering::Acquire), (&raw const byte).cast(), 1) };
}
