//! The folder as a living source.

use super::{FolderError, settle::Burst, store::Store};
use crate::objects::Objects;
use notify::Watcher;
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How often a folder is looked for that was removed or replaced as a whole.
const LOOK: Duration = Duration::from_secs(1);

/// A watched folder of manifests.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    store: Store,
    events: mpsc::UnboundedReceiver<notify::Result<notify::Event>>,
    burst: Burst,
    watch: Watch,
}

/// The watch, and the inode it is on. The watch ends with the watcher.
#[derive(Debug)]
struct Watch {
    watcher: notify::INotifyWatcher,
    inode: Option<(u64, u64)>,
}

impl Folder {
    /// Watches a folder. Nothing is read yet.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let unwatchable = |cause| FolderError::Unwatchable { path: path.display().to_string(), cause };
        let unreadable = |cause| FolderError::Unreadable { path: path.display().to_string(), cause };
        std::fs::read_dir(path).map_err(unreadable)?;
        let (sender, events) = mpsc::unbounded_channel();
        // The receiver is gone only when the folder is.
        let watcher =
            notify::recommended_watcher(move |event| drop(sender.send(event))).map_err(unwatchable)?;
        let mut watch = Watch { watcher, inode: None };
        watch.renew(path).map_err(unwatchable)?;
        Ok(Self { path: path.to_owned(), store: Store::new(path), events, burst: Burst::default(), watch })
    }

    /// Reads what has changed, and returns all there is. What is wrong is in `problems`; what was good before stays.
    pub fn load(&mut self) -> Objects {
        // A failure is among the problems.
        let _: io::Result<()> = self.store.refresh();
        self.store.objects()
    }

    /// Resolves when something has changed and settled. May be dropped and called again without loss.
    pub async fn changed(&mut self) {
        loop {
            let look = Instant::now() + LOOK;
            let wake = self.burst.ends().map_or(look, |ends| ends.min(look));
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Ok(event)) => self.burst.note(event, Instant::now()),
                    // The queue overflowed: anything may have changed.
                    Some(Err(_)) => self.burst.note(notify::Event::default(), Instant::now()),
                    // The watcher's thread is gone: the folder is read every so often.
                    None => {
                        tokio::time::sleep(LOOK).await;
                        return;
                    }
                },
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            let replaced = self.watch.inode != inode(&self.path);
            if replaced {
                // Where it cannot be watched, it is looked for again after a while.
                let _: notify::Result<()> = self.watch.renew(&self.path);
            }
            if replaced || self.burst.ends().is_some_and(|ends| ends <= Instant::now()) {
                self.burst = Burst::default();
                return;
            }
        }
    }
}

impl Watch {
    fn renew(&mut self, path: &Path) -> notify::Result<()> {
        // The old watch may have gone with its folder.
        let _: notify::Result<()> = self.watcher.unwatch(path);
        self.inode = None;
        let inode = inode(path);
        if inode.is_some() {
            self.watcher.watch(path, notify::RecursiveMode::NonRecursive)?;
        }
        self.inode = inode;
        Ok(())
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let folder = std::fs::metadata(path).ok()?;
    Some((folder.dev(), folder.ino()))
}
