//! What can go wrong while a network is being built.

use std::io;

/// A failure of the namespace toolkit: what was tried, what came back, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The caller may not make namespaces.
    #[error("network namespaces need root (CAP_SYS_ADMIN and CAP_NET_ADMIN): run this as root or with sudo")]
    NotRoot,
    /// A program is not installed.
    #[error("`{program}` is not installed: install the package {package} (`make deps` does)")]
    MissingProgram {
        /// The program's name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The whole command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to its standard error, trimmed.
        stderr: String,
    },
    /// A file or a system call of our own failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl NetnsError {
    /// A closure for `map_err` that names what was being done.
    pub(crate) fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> NetnsError {
        let action = action.into();
        move |source| NetnsError::System { action, source: source.into() }
    }
}
