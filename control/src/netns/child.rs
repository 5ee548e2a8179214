//! A program that we started and that must not outlive us.
//!
//! Three nets under it: `Drop` (SIGTERM, then SIGKILL), the registry (signals), and `PR_SET_PDEATHSIG` (we were
//! killed ourselves). The kernel sends the last one when the *thread* that forked ends, so all programs are forked by
//! one thread that lives as long as the process. Each child leads its own process group: Ctrl-C on the terminal
//! reaches us alone, and we end the others in order.

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{NetnsError, command, registry};

/// How long a program has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(15);

/// A running program.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    name: String,
    log: Option<PathBuf>,
}

impl Child {
    /// Starts `command`. Its standard output and error are appended to `log`, or thrown away.
    pub fn spawn(mut command: Command, log: Option<&Path>) -> Result<Child, NetnsError> {
        let name = command::shown(&command);
        command.stdin(Stdio::null());
        match log {
            Some(path) => {
                let opening = || NetnsError::system(format!("open the log {}", path.display()));
                let file = File::options().create(true).append(true).open(path).map_err(opening())?;
                command.stderr(file.try_clone().map_err(opening())?).stdout(file);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        command.process_group(0);
        die_with_parent(&mut command);
        let process = fork(command)?;
        registry::add_child(process.id().cast_signed());
        Ok(Child { process, name, log: log.map(Path::to_owned) })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The command line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the program has written so far.
    pub fn output(&self) -> String {
        self.log.as_deref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        // The child is not reaped before `wait`, so the number cannot have become somebody else's.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), signal);
    }

    /// Waits for the end, at most `limit`.
    pub fn wait_for(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks the program to end, then makes it end; says how it went.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
        }
        let status = self.wait_for(GRACE).or_else(|| {
            let _ = self.process.kill();
            self.process.wait().ok()
        });
        registry::forget_child(self.process.id().cast_signed());
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

#[expect(unsafe_code, reason = "code between fork and exec")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl(2) is async-signal-safe and touches nothing of the parent's.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
}

type Job = (Command, Sender<Result<std::process::Child, NetnsError>>);

/// Forks on the thread that never ends.
fn fork(command: Command) -> Result<std::process::Child, NetnsError> {
    static FORKER: OnceLock<Sender<Job>> = OnceLock::new();
    let forker = FORKER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                let child = command.spawn().map_err(|error| command::cannot_start(&command, error));
                let _ = answer.send(child);
            }
        });
        jobs
    });
    let gone = || NetnsError::System {
        action: "start a program".to_owned(),
        source: io::Error::other("the thread that forks has ended"),
    };
    let (answer, result) = channel();
    forker.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it_and_dies_with_its_value() {
        let child = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("60");
            Child::spawn(command, None).unwrap()
        })
        .join()
        .unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let path = format!("/proc/{}", child.id());
        assert!(Path::new(&path).exists(), "killed with the thread");
        drop(child);
        assert!(!Path::new(&path).exists(), "still there");
    }

    #[test]
    fn output_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 4"]);
        let mut child = Child::spawn(command, Some(&folder.path().join("log"))).unwrap();
        assert_eq!(child.wait_for(Duration::from_secs(60)).and_then(|status| status.code()), Some(4));
        assert_eq!(child.output(), "out\nerr\n");
    }
}
