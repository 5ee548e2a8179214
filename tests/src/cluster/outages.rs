//! What goes wrong with a control plane: it is away, it has forgotten what happened, it is what it was an hour ago.
//!
//! * The API server is killed, not stopped: its clients' connections break at once, as with its machine.
//! * A restarted API server knows no event older than itself, and etcd none older than its last compaction: a watch from
//!   an older resourceVersion is answered `410 Gone`.
//! * A store restored from a snapshot has the snapshot's revision: resourceVersions go back, and the same number comes
//!   to mean something else. Kubernetes' own components are restarted then, as its manual says; what Penstock does
//!   by itself is what the tests look at.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use penstock::netns::find_program;
use serde_json::Value;

use super::{
    Api, Cluster,
    processes::{ETCD, Process},
};

impl Cluster {
    /// The API server is gone, until [`Cluster::start_api_server`]. So are the controllers, which otherwise come back to it
    /// half a minute late.
    pub fn stop_api_server(&mut self) {
        for process in [Process::Controllers, Process::ApiServer] {
            self.kill_process(process);
        }
    }

    /// Starts them again, on the same store, and waits until the API server is ready.
    pub fn start_api_server(&mut self) -> Result<()> {
        self.start_process(Process::ApiServer)?;
        self.wait_until("the API server", Api::is_ready)?;
        self.start_controllers()
    }

    /// Counts the store's revision on, and makes it forget all earlier ones. Watches that are open go on; those that are
    /// resumed after the API server has been restarted find their place gone.
    pub fn forget_history(&self) -> Result<()> {
        self.etcdctl(&["put", "/penstock-tests/forget-history", ""])?;
        let revision = self.revision()?.to_string();
        self.etcdctl(&["compact", "--physical", &revision]).map(drop)
    }

    /// The store's revision: the largest resourceVersion there is.
    pub fn revision(&self) -> Result<u64> {
        let answer = self.etcdctl(&["get", "/penstock-tests/", "--limit=1", "--write-out=json"])?;
        let answer: Value = serde_json::from_str(&answer)?;
        answer["header"]["revision"].as_u64().with_context(|| format!("no revision in {answer}"))
    }

    /// A snapshot of the store, for [`Cluster::restore`].
    pub fn snapshot(&self) -> Result<PathBuf> {
        let file = self.folder().join("snapshot.db");
        self.etcdctl(&["snapshot", "save", &file.to_string_lossy()])?;
        Ok(file)
    }

    /// Takes the store back to `snapshot`, with everything of Kubernetes' own restarted.
    pub fn restore(&mut self, snapshot: &Path) -> Result<()> {
        self.stop_api_server();
        self.kill_process(Process::Etcd);
        self.restored += 1;
        let data = self.etcd_folder();
        self.etcdctl(&[
            "snapshot",
            "restore",
            &snapshot.to_string_lossy(),
            "--data-dir",
            &data.to_string_lossy(),
        ])?;
        self.start_process(Process::Etcd)?;
        self.start_api_server()
    }

    pub(super) fn etcd_folder(&self) -> PathBuf {
        self.folder().join(format!("etcd-{}", self.restored))
    }

    fn etcdctl(&self, arguments: &[&str]) -> Result<String> {
        let program =
            find_program("etcdctl").context("etcdctl is in the package etcd-client (`.ci/deps cluster`)")?;
        let mut command = self.namespace.command(&program.to_string_lossy())?;
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={ETCD}")).args(arguments);
        Ok(penstock::netns::run(command)?)
    }
}
