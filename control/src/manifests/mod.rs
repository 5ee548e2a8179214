//! A folder of ordinary Kubernetes YAML as the source of objects, needing no cluster.
//!
//! In: every `.yaml`, `.yml` and `.json` file of the folder (not of folders in it, nor hidden files), each with any
//! number of documents; `List` kinds are opened. Out: Services, EndpointSlices, Nodes, Namespaces and MetalLB's pools and
//! advertisements; other kinds are ignored, with one log line a kind. The folder is watched by inotify, and a burst of changes is read once it has settled.
//!
//! A file that is not YAML keeps its last good objects; an object of the wrong shape keeps its last good version;
//! either is reported with file, document, object and field. A removed file takes its objects with it. Where two files
//! hold the same object, the first by name wins and the other is reported.

mod document;
mod unknown;
mod store;
mod settle;
mod watch;

pub use watch::Folder;

use crate::objects::Objects;
use std::{io, path::Path};

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be listed.
    #[error("{path}: cannot be read: {cause}; create the folder, or name another by manifests.path")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// It cannot be watched.
    #[error(
        "{path}: cannot be watched: {cause}; if inotify watches are used up, raise fs.inotify.max_user_watches"
    )]
    Unwatchable {
        /// Its path.
        path: String,
        /// Why.
        cause: notify::Error,
    },
}

/// Reads a folder once, or a single file.
pub fn read(path: &Path) -> Result<Objects, FolderError> {
    let mut store = store::Store::new(path);
    store.refresh().map_err(|cause| FolderError::Unreadable { path: path.display().to_string(), cause })?;
    Ok(store.objects())
}

/// Reads one file's bytes, as [`read`] does; `name` is what it is called in what is reported.
pub fn read_bytes(name: &str, bytes: Vec<u8>) -> Objects {
    store::Store::of_bytes(name, bytes).objects()
}

#[cfg(test)]
mod tests;
