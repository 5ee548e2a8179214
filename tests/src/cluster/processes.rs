//! The programs of the control plane, each with its command line; each can be killed and started again.
//!
//! * In: which one, and the cluster's folder, where certificates, tokens, the audit policy and the store are.
//! * Out: a child in the cluster's namespace, whose log is in the folder; a second start appends to it.
//! * Everything listens inside that namespace only. etcd keeps its data in `etcd-N`: N is counted up when the store is
//!   taken back to a snapshot.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use penstock::netns::{self, find_program};
use serde_json::json;

use super::control_plane::{ADDRESS, Cluster, PORT, TOKEN, last_lines};

/// Where etcd answers.
pub(super) const ETCD: &str = "http://127.0.0.1:2379";

/// One program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Etcd,
    ApiServer,
    Controllers,
    /// `kubectl proxy`, the way of the harness.
    Proxy,
}

impl Process {
    fn name(self) -> &'static str {
        match self {
            Process::Etcd => "etcd",
            Process::ApiServer => "kube-apiserver",
            Process::Controllers => "kube-controller-manager",
            Process::Proxy => "kubectl-proxy",
        }
    }
}

impl Cluster {
    pub(super) fn start_process(&mut self, which: Process) -> Result<()> {
        let (program, arguments) = match which {
            Process::Etcd => (self.programs.etcd.clone(), self.etcd_arguments()),
            Process::ApiServer => (self.programs.apiserver.clone(), self.apiserver_arguments()?),
            Process::Controllers => (self.programs.controller_manager.clone(), self.controllers_arguments()),
            Process::Proxy => (self.programs.kubectl.clone(), self.proxy_arguments()),
        };
        let program = program.to_string_lossy();
        let line: Vec<&str> =
            std::iter::once(program.as_ref()).chain(arguments.iter().map(String::as_str)).collect();
        let log = self.folder().join(format!("{}.log", which.name()));
        let child = self.namespace.spawn(&line, Some(&log))?;
        // Clients before what they are clients of: the order in which they go.
        self.children.insert(0, (which, child));
        Ok(())
    }

    /// Ends a program as a crash would. Nothing here is worth an orderly end, which takes the API server seconds.
    pub(super) fn kill_process(&mut self, which: Process) {
        let (gone, rest) =
            std::mem::take(&mut self.children).into_iter().partition(|(process, _)| *process == which);
        self.children = rest;
        let gone: Vec<(Process, netns::Child)> = gone;
        for (_, child) in &gone {
            child.signal(Signal::SIGKILL);
        }
    }

    /// If there are to be any.
    pub(super) fn start_controllers(&mut self) -> Result<()> {
        if self.options.controllers.is_empty() { Ok(()) } else { self.start_process(Process::Controllers) }
    }

    /// An error, with its log's end, if a program has ended by itself.
    pub(super) fn check_processes(&mut self) -> Result<()> {
        for (_, child) in &mut self.children {
            if let Some(status) = child.ended() {
                bail!("{} has ended ({status}):\n{}", child.name(), last_lines(&child.output()));
            }
        }
        Ok(())
    }

    /// The ends of all logs.
    pub(super) fn logs(&self) -> String {
        let logs = self.children.iter().map(|(_, child)| last_lines(&child.output()));
        logs.collect::<Vec<_>>().join("\n--\n")
    }

    fn etcd_arguments(&self) -> Vec<String> {
        vec![
            format!("--data-dir={}", self.etcd_folder().display()),
            format!("--listen-client-urls={ETCD}"),
            format!("--advertise-client-urls={ETCD}"),
            "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        ]
    }

    fn apiserver_arguments(&self) -> Result<Vec<String>> {
        let folder = self.folder();
        let key = service_account_key(folder)?;
        let tokens = folder.join("tokens.csv");
        fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))?;
        let policy = folder.join("audit-policy.json");
        fs::write(&policy, audit_policy())?;
        Ok(vec![
            format!("--etcd-servers={ETCD}"),
            format!("--cert-dir={}", self.certificates().display()),
            "--bind-address=0.0.0.0".to_owned(),
            format!("--secure-port={PORT}"),
            format!("--advertise-address={ADDRESS}"),
            // The Service `kubernetes` gets no endpoints: they would be ours, in no world of the tests.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--service-cluster-ip-range={}", self.options.service_ranges.join(",")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-signing-key-file={}", key.display()),
            format!("--service-account-key-file={}", key.display()),
            format!("--token-auth-file={}", tokens.display()),
            "--authorization-mode=RBAC".to_owned(),
            // Pods need no tokens here.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--enable-priority-and-fairness=false".to_owned(),
            "--profiling=false".to_owned(),
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", self.audit_log().display()),
        ])
    }

    fn controllers_arguments(&self) -> Vec<String> {
        vec![
            self.kubeconfig_option(),
            format!("--controllers={}", self.options.controllers.join(",")),
            "--leader-elect=false".to_owned(),
            "--allocate-node-cidrs=false".to_owned(),
            // Client-go's own limits, of 20 requests a second, make a rollout a matter of seconds.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            format!("--cert-dir={}", self.certificates().display()),
        ]
    }

    fn proxy_arguments(&self) -> Vec<String> {
        let socket = format!("--unix-socket={}", self.socket().display());
        vec!["proxy".to_owned(), self.kubeconfig_option(), socket]
    }

    fn certificates(&self) -> PathBuf {
        self.folder().join("certificates")
    }

    /// Where the API server writes what service accounts did.
    pub(super) fn audit_log(&self) -> PathBuf {
        self.folder().join("audit.log")
    }
}

/// Who did what, of service accounts alone: the harness itself and the controllers are not of interest.
fn audit_policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
            {"level": "None"},
        ],
    })
    .to_string()
}

/// The key that the tokens of service accounts are signed with; it outlives a restart of the API server, as they do.
fn service_account_key(folder: &Path) -> Result<PathBuf> {
    let key = folder.join("service-account.key");
    if !key.exists() {
        let mut command = Command::new(find_program("ssh-keygen")?);
        command.args(["-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f"]).arg(&key);
        netns::run(command)?;
    }
    Ok(key)
}
