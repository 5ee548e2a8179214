//! etcd, kube-apiserver and, if wanted, kube-controller-manager, in a network namespace of their own.
//!
//! The harness speaks to it through a unix socket ([`Api`]); another namespace that must reach the API server is
//! joined by a cable ([`Cluster::join`]).

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use penstock::netns::{self, Child, Namespace, Owner, VethOptions, create_veth, sweep};
use serde_json::{Value, json};

use super::{Api, Programs, processes::Process};

/// The API server's address in its namespace.
pub(super) const ADDRESS: &str = "198.18.0.1";

/// Its port.
pub(super) const PORT: u16 = 6443;

/// What the administrator presents.
pub(super) const TOKEN: &str = "penstock-tests";

/// How long the control plane may take to be ready: 3 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many lines of a log an error quotes.
const QUOTED_LINES: usize = 20;

/// Controllers that make EndpointSlices out of Services and Pods.
pub const SLICES: &[&str] =
    &["endpointslice-controller", "endpointslice-mirroring-controller", "namespace-controller"];

/// Those, and the ones that make Pods out of Deployments.
pub const WORKLOADS: &[&str] = &[
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "namespace-controller",
    "deployment-controller",
    "replicaset-controller",
];

/// What kind of cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Who makes it: the prefix of the namespace's name.
    pub owner: Owner,
    /// ClusterIPs are allocated in here; the first range's family is the primary one.
    pub service_ranges: Vec<String>,
    /// What kube-controller-manager runs, as [`SLICES`]; nothing: it does not run.
    pub controllers: &'static [&'static str],
}

impl ClusterOptions {
    /// Dual stack, IPv4 first, without controllers.
    pub fn new(owner: Owner) -> ClusterOptions {
        ClusterOptions {
            owner,
            service_ranges: vec!["10.96.0.0/16".to_owned(), "fd00:96::/112".to_owned()],
            controllers: &[],
        }
    }
}

/// A running control plane. It is stopped, and all it stored removed, with the value.
#[derive(Debug)]
pub struct Cluster {
    api: Api,
    // Clients before what they are clients of.
    pub(super) children: Vec<(Process, Child)>,
    pub(super) namespace: Namespace,
    folder: tempfile::TempDir,
    pub(super) programs: Programs,
    pub(super) options: ClusterOptions,
    joined: u8,
    /// How often the store has been taken back to a snapshot.
    pub(super) restored: u32,
}

impl Cluster {
    /// Starts everything and waits until the API server is ready.
    pub fn start(options: &ClusterOptions) -> Result<Cluster> {
        sweep(&options.owner);
        let programs = Programs::find().map_err(anyhow::Error::msg)?;
        // etcd waits for every write to be on the disk: memory is quicker, and nothing is to be kept.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        sweep_folders(&options.owner, &place);
        let folder = tempfile::Builder::new().prefix(&options.owner.name("cluster-")).tempdir_in(place)?;
        let namespace = Namespace::create(&options.owner, "cluster")?;
        namespace.ip(&format!("addr add {ADDRESS}/32 dev lo"))?;
        let api = Api::new(&folder.path().join("api.sock"));
        let options = options.clone();
        let children = Vec::new();
        let mut cluster =
            Cluster { api, children, namespace, folder, programs, options, joined: 0, restored: 0 };
        cluster.start_process(Process::Etcd)?;
        cluster.start_process(Process::ApiServer)?;
        cluster.write_kubeconfig("admin.kubeconfig", ADDRESS)?;
        cluster.start_process(Process::Proxy)?;
        cluster.wait_until("the API server", Api::is_ready)?;
        cluster.start_controllers()?;
        Ok(cluster)
    }

    /// The REST interface.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The programs that it runs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A folder for what goes with the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `kubectl ARGUMENTS` and returns what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.namespace.command(&self.programs.kubectl.to_string_lossy())?;
        command.arg(self.kubeconfig_option()).args(arguments);
        command.env("HOME", self.folder.path());
        Ok(netns::run(command)?)
    }

    /// `kubectl apply` of `objects`. The API server refuses a field that it does not know.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let file = self.folder.path().join("apply.json");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        fs::write(&file, list.to_string())?;
        self.apply_path("-f", &file)
    }

    /// `kubectl apply -f`, of a file or a folder of manifests, or `-k`, of a kustomization. The API server refuses a
    /// field that it does not know.
    pub fn apply_path(&self, option: &str, path: &Path) -> Result<()> {
        let path = path.to_string_lossy();
        let line = ["apply", "--server-side", "--validate=strict", option, &path];
        self.kubectl(&line).map(drop)
    }

    /// Lays a cable to `other` and returns the administrator's kubeconfig for what runs there;
    /// [`Cluster::kubeconfig_as`] makes one for somebody else of it.
    pub fn join(&mut self, other: &Namespace) -> Result<PathBuf> {
        self.joined += 1;
        let number = self.joined;
        let (here, there) = (format!("peer{number}"), "api0");
        let mac = |end: u8| [0x02, 0x70, 0x65, 0x6e, 0xa0 + end, number];
        create_veth(
            (&self.namespace, &here, mac(0)),
            (other, there, mac(1)),
            VethOptions { queues: 1, mtu: 1500 },
        )?;
        let address = format!("198.18.{number}.1");
        self.namespace.ip(&format!("addr add {address}/24 dev {here}"))?;
        other.ip(&format!("addr add 198.18.{number}.2/24 dev {there}"))?;
        self.write_kubeconfig(&format!("peer{number}.kubeconfig"), &address)
    }

    /// Waits until `is_so`, and says what did not happen, with the logs' ends, if it takes too long.
    pub fn wait_until(&mut self, what: &str, is_so: impl Fn(&Api) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.api) {
            self.check_processes()?;
            if Instant::now() > deadline {
                bail!("{what} is not ready after {PATIENCE:?}:\n{}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    fn write_kubeconfig(&self, name: &str, address: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            // The certificate is one that the API server made itself when it started.
            "clusters": [{"name": "it", "cluster": {
                "server": format!("https://{address}:{PORT}"), "insecure-skip-tls-verify": true}}],
            "users": [{"name": "it", "user": {"token": TOKEN}}],
        });
        fs::write(&file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// The administrator's, inside the cluster's namespace.
    pub(super) fn kubeconfig_option(&self) -> String {
        format!("--kubeconfig={}", self.folder.path().join("admin.kubeconfig").display())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing here is worth an orderly end, which takes the API server some seconds.
        for (_, child) in &self.children {
            child.signal(Signal::SIGKILL);
        }
    }
}

/// Removes what killed runs of the same owner left in `place`.
fn sweep_folders(owner: &Owner, place: &Path) {
    let own = std::process::id().to_string();
    let mine = owner.name("");
    let Some(prefix) = mine.strip_suffix(&format!("{own}-")) else { return };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker =
            name.strip_prefix(prefix).and_then(|rest| rest.split_once("-cluster-")).map(|(pid, _)| pid);
        let is_left = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if maker.is_some_and(is_left) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

pub(super) fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}
