//! Where /proc and /sys are: the machine's own, or a folder that a test has made.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder that has `proc`, `sys` and `dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// This machine's.
    pub fn machine() -> Self {
        Self(PathBuf::from("/"))
    }

    /// Another folder. Only its files are read: nobody is asked by ethtool or netlink.
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Whether the kernel itself can be asked too.
    pub(super) fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// A path below it, written without a slash in front.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A file's text, trimmed; `None` if it cannot be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.path(path)).ok()?.trim().to_owned())
    }

    /// A file's number.
    pub(super) fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The last part of what a symbolic link leads to.
    pub(super) fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// The names in a folder, sorted; none if it cannot be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
