//! Where the programs of Kubernetes are, and what to do where they are not.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use penstock::netns::find_program;

/// Where `make cluster-binaries` puts what it builds.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/cluster");

/// The programs of a cluster.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The store behind the API server.
    pub etcd: PathBuf,
    /// The API server.
    pub apiserver: PathBuf,
    /// Its controllers, EndpointSlices among them.
    pub controller_manager: PathBuf,
    /// The proxy that is the oracle.
    pub proxy: PathBuf,
    /// The command line.
    pub kubectl: PathBuf,
}

impl Programs {
    /// Finds all of them, or says everything that is missing and how to get it.
    pub fn find() -> Result<Programs, String> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let mut missing = Vec::new();
        let mut seek = |name: &str| {
            let folders = assets.iter().map(PathBuf::as_path).chain([Path::new(BUILT)]);
            folders.map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap_or_else(|| {
                missing.push(name.to_owned());
                PathBuf::new()
            })
        };
        let programs = Programs {
            apiserver: seek("kube-apiserver"),
            controller_manager: seek("kube-controller-manager"),
            proxy: seek("kube-proxy"),
            kubectl: seek("kubectl"),
            etcd: assets
                .iter()
                .map(|folder| folder.join("etcd"))
                .find(|file| file.is_file())
                .or_else(|| find_program("etcd").ok())
                .unwrap_or_default(),
        };
        let mut wrong = Vec::new();
        if !missing.is_empty() {
            let places = match &assets {
                Some(folder) => format!("{} (KUBEBUILDER_ASSETS) and target/cluster", folder.display()),
                None => "target/cluster".to_owned(),
            };
            wrong.push(format!(
                "{} not found in {places}: run `make cluster-binaries` (needs Go 1.26; some minutes the first time), \
                 or name a folder that has them by KUBEBUILDER_ASSETS",
                missing.join(", ")
            ));
        }
        // nft is what kube-proxy itself runs in nftables mode.
        for (program, package, found) in [
            ("etcd", "etcd-server", !programs.etcd.as_os_str().is_empty()),
            // Debian's etcd-client; etcdctl takes and restores snapshots.
            ("etcdctl", "etcd-client", find_program("etcdctl").is_ok()),
            ("nft", "nftables", find_program("nft").is_ok()),
        ] {
            if !found {
                wrong.push(format!(
                    "`{program}` is not installed: install {package} (`.ci/deps cluster` does)"
                ));
            }
        }
        if wrong.is_empty() { Ok(programs) } else { Err(wrong.join("; ")) }
    }
}

/// Whether tests that need Kubernetes can run here. Says so if they cannot, and panics where `PENSTOCK_CLUSTER=1` or
/// `CI=true`.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub fn may_run_cluster() -> bool {
    let Err(obstacle) = Programs::find() else { return true };
    for (variable, value) in [("PENSTOCK_CLUSTER", "1"), ("CI", "true")] {
        if std::env::var(variable).as_deref() == Ok(value) {
            panic!("{variable}={value}, so no test of the cluster may be skipped: {obstacle}");
        }
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: {obstacle}");
    false
}
