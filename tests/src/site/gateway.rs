//! `penstock run` in a gateway, fed by the API server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use penstock::netns::{self, Child};
use serde_json::{Map, Value, json};

use super::{
    Network, Site,
    network::{BACKEND_ARM, CLIENT_ARM},
};
use crate::{PATIENCE, fast_lane, penstock};

/// How many lines of the log an error quotes.
const QUOTED_LINES: usize = 40;

/// What differs between gateways.
#[derive(Debug, Clone, Default)]
pub struct GatewayOptions {
    /// The section `announce`.
    pub announce: Map<String, Value>,
    /// Further fields of the section `kubernetes`.
    pub kubernetes: Map<String, Value>,
}

impl GatewayOptions {
    /// With these fields of `announce`.
    pub fn announce(fields: Value) -> GatewayOptions {
        let announce = fields.as_object().cloned().unwrap_or_default();
        GatewayOptions { announce, ..GatewayOptions::default() }
    }
}

/// A running gateway. It is stopped with the value.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Counted from 1.
    pub number: u8,
    socket: PathBuf,
}

impl Gateway {
    pub(super) fn start(
        number: u8,
        network: &Network,
        kubeconfig: &Path,
        options: &GatewayOptions,
    ) -> Result<Gateway> {
        let name = Network::gateway_name(number);
        let folder = network.folder.path();
        let socket = folder.join(format!("{name}.sock"));
        let mut kubernetes = json!({"kubeconfig": kubeconfig, "namespace": Site::namespace()});
        for (field, value) in &options.kubernetes {
            kubernetes[field] = value.clone();
        }
        let mut config = json!({
            "nodeName": name,
            "kubernetes": kubernetes,
            "announce": options.announce,
            "interfaces": [
                {"name": CLIENT_ARM, "roles": ["client"]},
                {"name": BACKEND_ARM, "roles": ["backend"]},
            ],
            "workers": {"count": 1},
            "clusterCIDR": Network::pod_networks(),
            "socket": socket,
        });
        if let Some(wanted) = fast_lane() {
            config["fastLane"] = wanted;
        }
        // JSON is YAML.
        let file = folder.join(format!("{name}.yaml"));
        fs::write(&file, format!("{config:#}"))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let program = penstock();
        let line = [&program.to_string_lossy(), "run", "--config", &file.to_string_lossy()];
        let log = folder.join(format!("{name}.log"));
        let _ = fs::remove_file(&log);
        let namespace = network.gateways.get(usize::from(number) - 1).context("there is no such gateway")?;
        let child = namespace.spawn(&line, Some(&log))?;
        let mut gateway = Gateway { child, number, socket };
        gateway.wait_until_it_answers()?;
        Ok(gateway)
    }

    /// Its name as a Node.
    pub fn name(&self) -> String {
        Network::gateway_name(self.number)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The socket that questions are asked on.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks it to end; returns at once, with the time at which it was asked.
    pub fn ask_to_end(&self) -> Instant {
        let now = Instant::now();
        self.child.signal(Signal::SIGTERM);
        now
    }

    /// Waits until it has ended; an error unless it ended with success.
    pub fn wait_until_it_ends(&mut self) -> Result<()> {
        match self.child.wait_for(PATIENCE) {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{} did not end well ({status}):\n{}", self.name(), self.last_lines()),
            None => bail!("{} does not end:\n{}", self.name(), self.last_lines()),
        }
    }

    /// Ends it as a crash would, and returns when it was.
    pub fn kill(&mut self) -> Result<Instant> {
        let now = Instant::now();
        self.child.signal(Signal::SIGKILL);
        self.child.wait_for(PATIENCE).context("a gateway outlives SIGKILL")?;
        Ok(now)
    }

    /// `penstock ARGUMENTS --socket …`: what it prints.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(penstock());
        command.args(arguments).arg("--socket").arg(&self.socket);
        Ok(netns::run(command)?)
    }

    /// What `penstock show WHAT -o json` says.
    pub fn show(&self, what: &str) -> Result<Value> {
        let text = self.ask(&["show", what, "-o", "json"])?;
        serde_json::from_str(&text)
            .with_context(|| format!("`penstock show {what} -o json` is not JSON: {text}"))
    }

    /// An error if it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.ended() {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}):\n{}", self.name(), self.last_lines()),
        }
    }

    /// Its memory now, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        memory(self.child.id(), "VmRSS:")
    }

    /// The most memory it had, in bytes.
    pub fn peak_bytes(&self) -> Result<u64> {
        memory(self.child.id(), "VmHWM:")
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.child.output()
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        let log = self.child.output();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.check()?;
            // A socket of an earlier run may be left.
            let answer = self.show("workers");
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!(
                        "{} is not ready:\n{}",
                        self.name(),
                        self.last_lines()
                    )));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn memory(process: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(field)).context("no such field of a process")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
