//! etcd, kube-apiserver and, if wanted, kube-controller-manager, in a network namespace of their own.
//!
//! Everything listens inside that namespace only. The harness speaks to it through a unix socket ([`Api`]); another
//! namespace that must reach the API server is joined by a cable ([`Cluster::join`]).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use penstock::netns::{self, Child, Namespace, Owner, VethOptions, create_veth, find_program, sweep};
use serde_json::{Value, json};

use super::{Api, Programs};

/// The API server's address in its namespace.
const ADDRESS: &str = "198.18.0.1";

/// Its port.
const PORT: u16 = 6443;

/// What clients of the API server present.
const TOKEN: &str = "penstock-tests";

/// How long the control plane may take to be ready: 3 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many lines of a log an error quotes.
const QUOTED_LINES: usize = 20;

/// What kind of cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Who makes it: the prefix of the namespace's name.
    pub owner: Owner,
    /// ClusterIPs are allocated in here; the first range's family is the primary one.
    pub service_ranges: Vec<String>,
    /// Whether kube-controller-manager runs, so that Services with selectors get their EndpointSlices.
    pub controllers: bool,
}

impl ClusterOptions {
    /// Dual stack, IPv4 first, without controllers.
    pub fn new(owner: Owner) -> ClusterOptions {
        ClusterOptions {
            owner,
            service_ranges: vec!["10.96.0.0/16".to_owned(), "fd00:96::/112".to_owned()],
            controllers: false,
        }
    }
}

/// A running control plane. It is stopped, and all it stored removed, with the value.
#[derive(Debug)]
pub struct Cluster {
    api: Api,
    // Clients before what they are clients of.
    children: Vec<Child>,
    namespace: Namespace,
    folder: tempfile::TempDir,
    programs: Programs,
    joined: u8,
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
        let socket = folder.path().join("api.sock");
        let api = Api::new(&socket);
        let mut cluster = Cluster { api, children: Vec::new(), namespace, folder, programs, joined: 0 };
        cluster.start_etcd()?;
        cluster.start_apiserver(options)?;
        cluster.write_kubeconfig("admin.kubeconfig", ADDRESS)?;
        let kubectl = cluster.programs.kubectl.clone();
        let kubeconfig = cluster.kubeconfig_option("admin.kubeconfig");
        let socket = format!("--unix-socket={}", socket.display());
        cluster.spawn("proxy", &kubectl, &["proxy".to_owned(), kubeconfig, socket])?;
        cluster.wait_until("the API server", Api::is_ready)?;
        if options.controllers {
            cluster.start_controllers()?;
        }
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
        command.arg(self.kubeconfig_option("admin.kubeconfig")).args(arguments);
        command.env("HOME", self.folder.path());
        Ok(netns::run(command)?)
    }

    /// `kubectl apply` of `objects`.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let file = self.folder.path().join("apply.json");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        fs::write(&file, list.to_string())?;
        self.kubectl(&["apply", "--server-side", "-f", &file.to_string_lossy()]).map(drop)
    }

    /// Lays a cable to `other` and returns a kubeconfig for what runs there.
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
            for child in &mut self.children {
                if let Some(status) = child.ended() {
                    bail!("{} has ended ({status}):\n{}", child.name(), last_lines(&child.output()));
                }
            }
            if Instant::now() > deadline {
                let logs = self.children.iter().map(|child| last_lines(&child.output()));
                bail!("{what} is not ready after {PATIENCE:?}:\n{}", logs.collect::<Vec<_>>().join("\n--\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn start_etcd(&mut self) -> Result<()> {
        let etcd = self.programs.etcd.clone();
        let data = format!("--data-dir={}", self.folder.path().join("etcd").display());
        let arguments = [
            data,
            "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
            "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
            "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        ];
        self.spawn("etcd", &etcd, &arguments)
    }

    fn start_apiserver(&mut self, options: &ClusterOptions) -> Result<()> {
        let folder = self.folder.path().to_owned();
        let key = self.service_account_key()?;
        let tokens = folder.join("tokens.csv");
        fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))?;
        let arguments = [
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            format!("--cert-dir={}", folder.join("certificates").display()),
            "--bind-address=0.0.0.0".to_owned(),
            format!("--secure-port={PORT}"),
            format!("--advertise-address={ADDRESS}"),
            // The Service `kubernetes` gets no endpoints: they would be ours, in no world of the tests.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--service-cluster-ip-range={}", options.service_ranges.join(",")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-signing-key-file={}", key.display()),
            format!("--service-account-key-file={}", key.display()),
            format!("--token-auth-file={}", tokens.display()),
            "--authorization-mode=RBAC".to_owned(),
            // Pods need no tokens here.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--enable-priority-and-fairness=false".to_owned(),
            "--profiling=false".to_owned(),
        ];
        let apiserver = self.programs.apiserver.clone();
        self.spawn("kube-apiserver", &apiserver, &arguments)
    }

    fn start_controllers(&mut self) -> Result<()> {
        let manager = self.programs.controller_manager.clone();
        let arguments = [
            self.kubeconfig_option("admin.kubeconfig"),
            "--controllers=endpointslice-controller,endpointslice-mirroring-controller,namespace-controller"
                .to_owned(),
            "--leader-elect=false".to_owned(),
            "--allocate-node-cidrs=false".to_owned(),
            format!("--cert-dir={}", self.folder.path().join("certificates").display()),
        ];
        self.spawn("kube-controller-manager", &manager, &arguments)
    }

    /// A key to sign the tokens of service accounts with: the API server starts with none less.
    fn service_account_key(&self) -> Result<PathBuf> {
        let key = self.folder.path().join("service-account.key");
        let mut command = Command::new(find_program("ssh-keygen")?);
        command.args(["-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f"]).arg(&key);
        netns::run(command)?;
        Ok(key)
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

    fn kubeconfig_option(&self, name: &str) -> String {
        format!("--kubeconfig={}", self.folder.path().join(name).display())
    }

    fn spawn(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        let program = program.to_string_lossy();
        let line: Vec<&str> =
            std::iter::once(program.as_ref()).chain(arguments.iter().map(String::as_str)).collect();
        let log = self.folder.path().join(format!("{name}.log"));
        self.children.insert(0, self.namespace.spawn(&line, Some(&log))?);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing here is worth an orderly end, which takes the API server some seconds.
        for child in &self.children {
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
