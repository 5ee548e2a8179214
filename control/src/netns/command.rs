//! Running the system's own tools, with their complaints kept.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::NetnsError;

/// Programs that may be missing, and the Debian packages that bring them.
const PACKAGES: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("ping", "iputils-ping"),
    ("tracepath", "iputils-tracepath"),
    ("traceroute", "traceroute"),
    ("iperf3", "iperf3"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("nc", "netcat-openbsd"),
];

/// Refuses to go on without root.
pub fn require_root() -> Result<(), NetnsError> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(NetnsError::NotRoot) }
}

/// The path of `program`, sought in `PATH` and then where administrators' programs live.
pub fn find_program(program: &str) -> Result<PathBuf, NetnsError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| missing(program))
}

/// Runs `command` to its end and returns its standard output; its standard error becomes the error.
pub fn run(mut command: Command) -> Result<String, NetnsError> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(&command, error))?;
    if !output.status.success() {
        let mut stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if stderr.is_empty() {
            stderr = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        }
        return Err(NetnsError::Command { command: shown(&command), status: output.status, stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `ip ARGS`, split at white space: no name or address that we make contains any.
pub(super) fn ip(arguments: &str) -> Result<String, NetnsError> {
    let mut command = Command::new(find_program("ip")?);
    command.args(arguments.split_whitespace());
    run(command)
}

/// The error for a command that did not start.
pub(super) fn cannot_start(command: &Command, source: io::Error) -> NetnsError {
    let program = command.get_program();
    if source.kind() == io::ErrorKind::NotFound && !Path::new(program).exists() {
        return missing(&program.to_string_lossy());
    }
    NetnsError::Start { command: shown(command), source }
}

/// A command line as a person would type it.
pub(super) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn missing(program: &str) -> NetnsError {
    let package =
        PACKAGES.iter().find(|(name, _)| *name == program).map_or("that has it", |(_, package)| *package);
    NetnsError::MissingProgram { program: program.to_owned(), package }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = missing("nginx").to_string();
        assert!(error.contains("`nginx`") && error.contains("nginx-light"), "{error}");
    }

    #[test]
    fn a_failed_command_says_what_it_wrote() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck >&2; exit 3"]);
        let error = run(command).unwrap_err().to_string();
        assert!(error.contains("no such luck") && error.contains("3") && error.contains("sh -c"), "{error}");
    }
}
