//! The systems that are compared, each running in its bed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use penstock::netns::{Child, Owner};
use serde_json::{Value, json};

use crate::{
    bed::{Bed, CLUSTER_CIDRS, GATEWAY_CORE},
    objects::{NODE, Objects},
    programs::{self, Attached},
    traffic,
    way::Way,
};

/// How long a system may take until it serves new objects. kube-proxy's iptables mode takes more than eight minutes for 10,000.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// What forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our AF_XDP rings, and nothing between them.
    L2fwd,
    /// A redirect in XDP, and nothing else.
    XdpRedirect,
    /// `penstock run`, every packet by way of a worker.
    Penstock,
    /// `penstock run`, established flows in the classifier.
    PenstockFastlane,
    /// The kernel, routing to the Services' own addresses: no translation.
    KernelForward,
    /// kube-proxy's rules in iptables.
    KubeProxyIptables,
    /// And in nftables.
    KubeProxyNftables,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] = [
        Kind::L2fwd,
        Kind::XdpRedirect,
        Kind::Penstock,
        Kind::PenstockFastlane,
        Kind::KernelForward,
        Kind::KubeProxyIptables,
        Kind::KubeProxyNftables,
    ];

    /// As results have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::L2fwd => "l2fwd",
            Kind::XdpRedirect => "xdp-redirect",
            Kind::Penstock => "penstock",
            Kind::PenstockFastlane => "penstock-fastlane",
            Kind::KernelForward => "kernel-forward",
            Kind::KubeProxyIptables => "kube-proxy-iptables",
            Kind::KubeProxyNftables => "kube-proxy-nftables",
        }
    }

    /// Whether it is Penstock.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Kind::Penstock | Kind::PenstockFastlane)
    }

    /// Whether it knows Services.
    pub(crate) fn follows_services(self) -> bool {
        !matches!(self, Kind::L2fwd | Kind::XdpRedirect | Kind::KernelForward)
    }

    /// Whether what the sink answers comes back through it.
    pub(crate) fn goes_both_ways(self) -> bool {
        !matches!(self, Kind::L2fwd | Kind::XdpRedirect)
    }
}

/// One of them.
pub(crate) struct System {
    pub(crate) kind: Kind,
    child: Option<Child>,
    _program: Option<Attached>,
    /// Where ours is asked.
    socket: PathBuf,
    pub(crate) bed: Bed,
}

/// All of them. What runs goes before what it runs in.
pub(crate) struct Systems {
    pub(crate) all: Vec<System>,
    /// New flows come from addresses that no flow came from before.
    pub(crate) next_source: u32,
    _folder: tempfile::TempDir,
}

impl Systems {
    /// Starts these.
    pub(crate) fn start(owner: &Owner, objects: &mut Objects, kinds: &[Kind]) -> Result<Systems> {
        let folder = tempfile::tempdir()?;
        let mut all = Vec::new();
        for (number, &kind) in (1..).zip(kinds) {
            let bed = Bed::build(owner, number)?;
            let fails = || format!("{} does not start", kind.name());
            let child = start(kind, &bed, objects, folder.path()).with_context(fails)?;
            let program = (kind == Kind::XdpRedirect).then(|| programs::redirect(&bed));
            let program = program.transpose().with_context(fails)?;
            let socket = folder.path().join(format!("{}.sock", kind.name()));
            all.push(System { kind, child, _program: program, socket, bed });
        }
        Ok(Systems { all, next_source: 0, _folder: folder })
    }

    /// Does work while no system runs: ten thousand objects, made while each of them is taken in by itself, take ten
    /// minutes on two processors.
    pub(crate) fn asleep<T>(&self, work: impl FnOnce() -> T) -> T {
        let tell = |signal| {
            let children = self.all.iter().filter_map(|system| system.child.as_ref());
            children.for_each(|child| child.signal(signal));
        };
        tell(Signal::SIGSTOP);
        let done = work();
        tell(Signal::SIGCONT);
        done
    }

    /// Waits until all of `services` are served by each.
    pub(crate) fn wait_until_served(&mut self, way: Way, services: usize) -> Result<()> {
        for system in self.all.iter_mut().filter(|system| way.concerns(system.kind)) {
            let deadline = Instant::now() + PATIENCE;
            while !traffic::reaches(&system.bed, way, services)? {
                system.check()?;
                if Instant::now() > deadline {
                    bail!(
                        "{} does not serve {services} Services ({way}):\n{}",
                        system.kind.name(),
                        system.log()
                    );
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        Ok(())
    }
}

impl System {
    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.as_mut().and_then(Child::ended) {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}):\n{}", self.kind.name(), self.log()),
        }
    }

    /// What `penstock show WHAT` says, of one of ours.
    pub(crate) fn show(&self, what: &str) -> Result<Value> {
        let mut command = Command::new(penstock_program()?);
        command.args(["show", what, "-o", "json", "--socket"]).arg(&self.socket);
        let text = penstock::netns::run(command)?;
        serde_json::from_str(&text).with_context(|| format!("`penstock show {what}` says {text}"))
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let log = self.child.as_ref().map(Child::output).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

fn start(kind: Kind, bed: &Bed, objects: &mut Objects, folder: &Path) -> Result<Option<Child>> {
    let log = folder.join(format!("{}.log", kind.name()));
    let file = |name: &str| folder.join(format!("{}.{name}", kind.name()));
    let line = match kind {
        Kind::KernelForward => {
            bed.gateway.set_forwarding(true)?;
            // It knows no Services: to it their addresses are behind the sink.
            bed.gateway.ip("route add 10.96.0.0/12 via 10.2.0.2")?;
            bed.gateway.ip(&format!("-6 route add {} via fd00:2::2", Way::V6.vip(0)))?;
            return Ok(None);
        }
        Kind::XdpRedirect => return Ok(None),
        Kind::L2fwd => l2fwd_line(bed)?,
        Kind::Penstock | Kind::PenstockFastlane => {
            let mut config = penstock_config(bed, &objects.join(&bed.gateway)?, &file("sock"));
            config["fastLane"] = json!(if kind == Kind::Penstock { "off" } else { "on" });
            write(&file("yaml"), &config)?;
            vec![
                penstock_program()?.display().to_string(),
                "run".into(),
                "--config".into(),
                file("yaml").display().to_string(),
            ]
        }
        Kind::KubeProxyIptables | Kind::KubeProxyNftables => {
            bed.gateway.set_forwarding(true)?;
            let mode = if kind == Kind::KubeProxyIptables { "iptables" } else { "nftables" };
            write(&file("json"), &proxy_config(mode, &objects.join(&bed.gateway)?))?;
            let program = objects.cluster().programs().proxy.display().to_string();
            vec![program, "--config".into(), file("json").display().to_string()]
        }
    };
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    Ok(Some(bed.gateway.spawn(&line, Some(&log))?))
}

fn write(file: &Path, value: &Value) -> Result<()> {
    fs::write(file, value.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// Ourselves, in the gateway.
fn l2fwd_line(bed: &Bed) -> Result<Vec<String>> {
    let mac = |end| bed.mac(end).map(|byte| format!("{byte:02x}")).join(":");
    let own = std::env::current_exe().context("cannot find this program")?;
    Ok(vec![own.display().to_string(), "l2fwd".to_owned(), bed.name('c'), bed.name('b'), mac(3), mac(4)])
}

/// Beside the folder of this program, which is an example, or as `PENSTOCK_BIN` says.
fn penstock_program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("PENSTOCK_BIN") {
        return Ok(program.into());
    }
    let program = std::env::current_exe()?.with_file_name("../penstock");
    if !program.exists() {
        bail!("{} is not built: `make bench-peers` builds it", program.display());
    }
    Ok(program)
}

fn penstock_config(bed: &Bed, kubeconfig: &Path, socket: &Path) -> Value {
    json!({
        "nodeName": NODE,
        "kubernetes": {"kubeconfig": kubeconfig, "namespace": "default"},
        "announce": {"enabled": false},
        "interfaces": [
            {"name": bed.name('c'), "roles": ["client"]},
            {"name": bed.name('b'), "roles": ["backend"]},
        ],
        "workers": {"count": 1, "cores": [GATEWAY_CORE]},
        "clusterCIDR": CLUSTER_CIDRS,
        // 100,000 flows to 4 endpoints need more than one address's range of ports.
        "snat": {"ports": "1024-65535"},
        "socket": socket,
    })
}

/// As fast as it can be told to follow changes.
fn proxy_config(mode: &str, kubeconfig: &Path) -> Value {
    let sync = json!({"minSyncPeriod": "10ms"});
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig}, "hostnameOverride": NODE, "mode": mode,
        "clusterCIDR": CLUSTER_CIDRS.join(","), "nodePortAddresses": ["primary"], "iptables": sync, "nftables": sync,
        // The table's size belongs to the machine's first namespace.
        "conntrack": {"maxPerCore": 0}, "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
    })
}
