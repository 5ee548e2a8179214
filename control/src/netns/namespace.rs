//! One network namespace, named the way `ip netns` names them.

use std::{fs::File, path::PathBuf, process::Command};

use nix::sched::{CloneFlags, setns};

use super::{
    Child, NetnsError, OnSignal, Owner,
    command::{find_program, ip, require_root, run},
    registry::{self, RUN_NETNS},
    signals::watch_signals,
};

/// A network namespace. It is removed, with everything that runs in it, when the value is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `role` of `owner`, with its loopback up, duplicate address detection off (an address can be
    /// used at once), forwarding off and reverse path filters off.
    pub fn create(owner: &Owner, role: &str) -> Result<Namespace, NetnsError> {
        require_root()?;
        watch_signals(OnSignal::CleanUpAndDie)?;
        let name = owner.name(role);
        registry::add_namespace(&name);
        // From here on `Drop` undoes what there is, also when a later step fails.
        let namespace = Namespace { name };
        ip(&format!("netns add {}", namespace.name))?;
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
            if std::path::Path::new("/proc/sys/net/ipv6").exists() {
                namespace.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
                namespace.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
            }
        }
        namespace.set_forwarding(false)?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name, as `ip netns exec` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(RUN_NETNS).join(&self.name)
    }

    /// `ip -n NAME ARGUMENTS`, split at white space.
    pub fn ip(&self, arguments: &str) -> Result<String, NetnsError> {
        ip(&format!("-n {} {arguments}", self.name))
    }

    /// A command that will run `program` inside.
    pub fn command(&self, program: &str) -> Result<Command, NetnsError> {
        let mut command = Command::new(find_program("ip")?);
        command.args(["netns", "exec", &self.name]);
        if program.contains('/') {
            command.arg(program);
        } else {
            command.arg(find_program(program)?);
        }
        Ok(command)
    }

    /// Runs a program inside to its end and returns its standard output.
    pub fn run(&self, line: &[&str]) -> Result<String, NetnsError> {
        let (program, arguments) = line.split_first().unwrap_or((&"true", &[]));
        let mut command = self.command(program)?;
        command.args(arguments);
        run(command)
    }

    /// Starts a program inside. Standard output and error go to `log`.
    pub fn spawn(&self, line: &[&str], log: Option<&std::path::Path>) -> Result<Child, NetnsError> {
        let (program, arguments) = line.split_first().unwrap_or((&"true", &[]));
        let mut command = self.command(program)?;
        command.args(arguments);
        Child::spawn(command, log)
    }

    /// Runs `work` inside, on a thread of its own, and returns what it returns. Sockets that it opens stay inside,
    /// wherever they are used afterwards. A panic goes on in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let file =
            File::open(self.path()).map_err(NetnsError::system(format!("open namespace {}", self.name)))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET)
                    .map_err(NetnsError::system(format!("enter namespace {}", self.name)))?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Writes a sysctl of the namespace. `key` has slashes, since interface names may have dots.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), NetnsError> {
        let path = format!("/proc/sys/{key}");
        self.enter(|| std::fs::write(&path, value))?
            .map_err(NetnsError::system(format!("write {value} to {path} in namespace {}", self.name)))
    }

    /// Lets the kernel of this namespace route packets, or not.
    pub fn set_forwarding(&self, on: bool) -> Result<(), NetnsError> {
        let value = if on { "1" } else { "0" };
        self.sysctl("net/ipv4/ip_forward", value)?;
        if std::path::Path::new("/proc/sys/net/ipv6").exists() {
            self.sysctl("net/ipv6/conf/all/forwarding", value)?;
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        registry::remove_namespace(&self.name);
        registry::forget_namespace(&self.name);
    }
}
