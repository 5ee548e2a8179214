//! What exists and must go: the process-wide list of children and namespaces.
//!
//! * In: every child and namespace when it is made, with the [`Owner`] that made it.
//! * Out: [`clean_up_everything`] for the signal thread; [`sweep`] for what an earlier, killed run left.
//! * Order: programs first, asked politely so that XDP programs are detached, then the namespaces. A namespace lives
//!   for as long as a process is in it, so those are killed before the name is removed.
//!
//! This is the one piece of process-wide state of the toolkit: a signal knows no value that it could be a method of.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Where `ip netns` keeps its names.
pub(super) const RUN_NETNS: &str = "/run/netns";

/// How long a program has to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Who makes namespaces: the prefix of their names, for the sweep. A name is `PREFIX-PID-…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// An owner whose names begin with `prefix`, which should be the name of a program or of a test.
    pub fn new(prefix: &str) -> Owner {
        Owner(prefix.to_owned())
    }

    /// The full name of the namespace `role` of this process.
    pub fn name(&self, role: &str) -> String {
        format!("{}-{}-{role}", self.0, std::process::id())
    }

    /// The process that made the namespace `name`, if it is one of this owner's.
    fn maker(&self, name: &str) -> Option<u32> {
        let rest = name.strip_prefix(&self.0)?.strip_prefix('-')?;
        rest.split('-').next()?.parse().ok()
    }
}

/// What is to be cleaned up.
#[derive(Default)]
struct Registry {
    /// Our running programs, youngest last.
    children: Vec<i32>,
    /// Names under [`RUN_NETNS`].
    namespaces: Vec<String>,
    /// Folders to remove.
    folders: BTreeMap<PathBuf, ()>,
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { children: Vec::new(), namespaces: Vec::new(), folders: BTreeMap::new() });

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn add_child(pid: i32) {
    registry().children.push(pid);
}

pub(super) fn forget_child(pid: i32) {
    registry().children.retain(|child| *child != pid);
}

pub(super) fn add_namespace(name: &str) {
    registry().namespaces.push(name.to_owned());
}

pub(super) fn forget_namespace(name: &str) {
    registry().namespaces.retain(|namespace| namespace != name);
}

pub(super) fn add_folder(path: &Path) {
    registry().folders.insert(path.to_owned(), ());
}

pub(super) fn forget_folder(path: &Path) {
    registry().folders.remove(path);
}

/// Ends every child and removes every namespace and folder of this process, whoever holds the values that stand
/// for them. For the way out after a signal; a normal return does the same by `Drop`.
pub fn clean_up_everything() {
    let (children, namespaces, folders) = {
        let mut registry = registry();
        (
            std::mem::take(&mut registry.children),
            std::mem::take(&mut registry.namespaces),
            std::mem::take(&mut registry.folders),
        )
    };
    for pid in children.iter().rev() {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGTERM);
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && children.iter().any(|pid| is_running(*pid)) {
        std::thread::sleep(Duration::from_millis(10));
    }
    for pid in children {
        if is_running(pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    for name in namespaces {
        remove_namespace(&name);
    }
    for folder in folders.keys() {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Removes the namespaces and temporary folders that dead processes of `owner` left behind, and returns the names
/// of the namespaces.
pub fn sweep(owner: &Owner) -> Vec<String> {
    let swept = left_behind(owner, Path::new(RUN_NETNS));
    swept.iter().for_each(|name| remove_namespace(name));
    let folders = std::env::temp_dir();
    for name in left_behind(owner, &folders) {
        let _ = fs::remove_dir_all(folders.join(name));
    }
    swept
}

/// The names in `folder` that dead processes of `owner` gave, in order.
fn left_behind(owner: &Owner, folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_left =
        |name: &String| owner.maker(name).is_some_and(|maker| !Path::new(&format!("/proc/{maker}")).exists());
    let mut left: Vec<String> = names.filter(is_left).collect();
    left.sort();
    left
}

/// Kills whatever still runs in the namespace `name`, then removes the name. Errors mean that it is gone already.
pub(super) fn remove_namespace(name: &str) {
    let path = Path::new(RUN_NETNS).join(name);
    for pid in processes_in(&path) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = umount2(&path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(&path);
}

/// The processes whose network namespace is the one that `path` names; ourselves never.
fn processes_in(path: &Path) -> Vec<i32> {
    let Ok(wanted) = fs::metadata(path) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(std::process::id()))
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|found| found.ino() == wanted.ino() && found.dev() == wanted.dev())
        })
        .collect()
}

/// Whether `pid` exists and is not merely waiting to be reaped.
fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_maker_to_its_owner_only() {
        let owner = Owner::new("psk-unit");
        let name = owner.name("gateway");
        assert_eq!(owner.maker(&name), Some(std::process::id()));
        assert_eq!(Owner::new("psk").maker(&name), None, "another owner whose prefix is shorter");
        assert_eq!(owner.maker("psk-unit-x-gateway"), None);
        assert_eq!(owner.maker("eth0"), None);
    }

    #[test]
    fn a_zombie_is_not_running() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_running(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!is_running(pid));
        child.wait().unwrap();
    }
}
