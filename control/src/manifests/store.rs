//! The files of a folder with their last good objects.
//!
//! A file is read again when its stamp (inode, size, times) has changed, or is so young that a second write in the
//! same clock tick would not show.

use super::document::{Contents, Finding, Manifest, read};
use crate::{
    fault::{Fault, Origin, Problem, Severity},
    objects::{Kind, Object, Objects, Subject},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Longer than the clock tick file times are taken from.
const TICK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// By file name.
    files: BTreeMap<String, File>,
    /// Whether the folder could be listed once.
    listed: bool,
    /// A fault of the folder as a whole.
    folder_fault: Option<String>,
    /// Kinds that have been logged.
    ignored: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    objects: Vec<(usize, Subject, Manifest)>,
    findings: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` if the file may be written again without a change of its stamp.
    fn of(file: &fs::Metadata) -> Option<Self> {
        let changed =
            Duration::new(u64::try_from(file.ctime()).ok()?, u32::try_from(file.ctime_nsec()).ok()?);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed).ok()?;
        (age > TICK).then(|| Self {
            inode: (file.dev(), file.ino()),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// Whether a file of this name is a manifest.
fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

impl Store {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: BTreeMap::new(),
            listed: false,
            folder_fault: None,
            ignored: BTreeSet::new(),
        }
    }

    /// A folder with one file of these bytes, never to be read again.
    pub(super) fn of_bytes(name: &str, bytes: Vec<u8>) -> Self {
        let mut file = File::default();
        file.take(contents(bytes));
        let files = BTreeMap::from([(name.to_owned(), file)]);
        Self { files, listed: true, ..Self::new(Path::new(name)) }
    }

    /// Reads what has changed. If the folder cannot be listed, everything stays as it was, and the next
    /// [`Self::objects`] says so.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        match self.list() {
            Ok(found) => {
                self.listed = true;
                self.folder_fault = None;
                self.files.retain(|name, _| found.contains_key(name));
                for (name, path) in found {
                    let file = self.files.entry(name).or_default();
                    file.refresh(&path, &mut self.ignored);
                }
                Ok(())
            }
            Err(error) => {
                self.folder_fault = Some(format!("cannot be read: {error}; its last good objects stay"));
                Err(error)
            }
        }
    }

    fn list(&self) -> io::Result<BTreeMap<String, PathBuf>> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if self.path.is_file() {
            return Ok(BTreeMap::from([(name(&self.path), self.path.clone())]));
        }
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if is_manifest(&path) && !path.is_dir() {
                found.insert(name(&path), path);
            }
        }
        Ok(found)
    }

    /// All last good objects, and all there is to say about their files.
    pub(super) fn objects(&self) -> Objects {
        let mut all = Objects { pending: !self.listed, ..Objects::default() };
        if let Some(fault) = &self.folder_fault {
            all.problems.push(Problem {
                severity: Severity::Error,
                origin: None,
                object: None,
                fault: Fault { path: self.path.display().to_string(), message: fault.clone() },
            });
        }
        for (name, file) in &self.files {
            let origin = |document| Some(Origin { file: name.clone(), document });
            all.problems.extend(file.findings.iter().map(|finding| Problem {
                severity: finding.severity,
                origin: origin(finding.document),
                object: finding.identity.clone(),
                fault: finding.fault.clone(),
            }));
            for (document, identity, manifest) in &file.objects {
                let origin = origin(*document);
                let first = match manifest {
                    Manifest::Service(value) => add(&mut all.services, identity, value, origin.clone()),
                    Manifest::Slice(value) => add(&mut all.slices, identity, value, origin.clone()),
                    Manifest::Node(value) => add(&mut all.nodes, identity, value, origin.clone()),
                    Manifest::Namespace(value) => add(&mut all.namespaces, identity, value, origin.clone()),
                    Manifest::Pool(value) => add(&mut all.pools, identity, value, origin.clone()),
                    Manifest::Advertisement(value) => {
                        add(&mut all.advertisements, identity, value, origin.clone())
                    }
                };
                if let Some(first) = first {
                    let message = format!(
                        "is defined in {} (document {}) already; that one is used, remove either",
                        first.file, first.document
                    );
                    let fault = Fault { path: String::new(), message };
                    let object = Some(identity.clone());
                    all.problems.push(Problem { severity: Severity::Error, origin, object, fault });
                }
            }
        }
        all
    }
}

/// Adds an object, or says where the one is that was there before.
fn add<T>(
    objects: &mut Kind<T>,
    Subject { key, .. }: &Subject,
    value: &Arc<T>,
    origin: Option<Origin>,
) -> Option<Origin> {
    match objects.get(key) {
        Some(first) => first.origin.clone(),
        None => {
            objects.insert(key.clone(), Object { origin, value: Arc::clone(value) });
            None
        }
    }
}

impl File {
    fn refresh(&mut self, path: &Path, ignored: &mut BTreeSet<String>) {
        // The stamp is taken first: a write after it shows as another stamp next time.
        let stamp = fs::metadata(path).ok().as_ref().and_then(Stamp::of);
        if stamp.is_some() && stamp == self.stamp {
            return;
        }
        let contents = match fs::read(path) {
            Ok(bytes) => contents(bytes),
            Err(error) => unreadable(format!("cannot be read: {error}")),
        };
        self.stamp = stamp;
        for kind in &contents.ignored {
            if ignored.insert(kind.clone()) {
                tracing::info!(file = %path.display(), kind, "objects of this kind are not used");
            }
        }
        self.take(contents);
    }

    fn take(&mut self, contents: Contents) {
        self.findings = contents.findings;
        if contents.broken && !self.objects.is_empty() {
            for finding in self.findings.iter_mut().filter(|finding| finding.identity.is_none()) {
                finding.fault.message += "; the last good objects of this file stay";
            }
            return;
        }
        let mut objects = contents.objects;
        // An object of the wrong shape keeps its last good version, and so does every one if it cannot be told
        // which it was.
        let errors = || self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let unnamed = errors().any(|finding| finding.identity.is_none());
        for old in std::mem::take(&mut self.objects) {
            let wrong = errors().any(|finding| finding.identity.as_ref() == Some(&old.1));
            if let Some(new) = objects.iter_mut().find(|new| new.1 == old.1) {
                // Same content, same `Arc`: the model sees that nothing has changed.
                if old.2.same_as(&new.2) {
                    new.2 = old.2;
                }
            } else if wrong || unnamed {
                objects.push(old);
            }
        }
        self.objects = objects;
    }
}

fn contents(bytes: Vec<u8>) -> Contents {
    match String::from_utf8(bytes) {
        Ok(text) => read(&text),
        Err(_) => unreadable("is not UTF-8 text".into()),
    }
}

fn unreadable(message: String) -> Contents {
    let fault = Fault { path: String::new(), message };
    let finding = Finding { severity: Severity::Error, document: 1, identity: None, fault };
    Contents { findings: vec![finding], broken: true, ..Contents::default() }
}

impl Manifest {
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Service(a), Self::Service(b)) => a == b,
            (Self::Slice(a), Self::Slice(b)) => a == b,
            (Self::Node(a), Self::Node(b)) => a == b,
            (Self::Namespace(a), Self::Namespace(b)) => a == b,
            (Self::Pool(a), Self::Pool(b)) => a == b,
            (Self::Advertisement(a), Self::Advertisement(b)) => a == b,
            _ => false,
        }
    }
}
