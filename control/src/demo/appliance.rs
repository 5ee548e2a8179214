//! `penstock run` as a child process inside the gateway's namespace.
//!
//! The configuration is written next to the manifests; what the appliance logs is kept and quoted when it fails.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ManifestFolder;
use crate::netns::{self, Child, Role, World};

/// How many lines of the log an error quotes.
const QUOTED_LINES: usize = 20;

/// What differs between appliances.
#[derive(Debug, Clone, Default)]
pub struct ApplianceConfig {
    /// Packet workers; 0 counts as 1.
    pub workers: u16,
    /// Further top-level fields of the configuration file.
    pub fields: Map<String, Value>,
}

/// A running appliance. It is stopped with the value.
#[derive(Debug)]
pub struct Appliance {
    child: Child,
    program: PathBuf,
    socket: PathBuf,
}

/// How an interface is driven.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Modes {
    /// The interface.
    pub interface: String,
    /// `native` or `generic`.
    pub xdp: String,
    /// `zero-copy` or `copy`.
    pub bind: String,
}

impl Appliance {
    /// The node that the appliance is.
    pub const NODE_NAME: &str = "gateway";

    /// Starts `program run` for `world` and waits until it answers on its socket.
    pub fn start(
        program: &Path,
        world: &World,
        manifests: &ManifestFolder,
        config: &ApplianceConfig,
    ) -> Result<Appliance> {
        let folder = world.folder.path();
        let socket = folder.join("penstock.sock");
        let file = folder.join("penstock.yaml");
        let text = serde_yaml_ng::to_string(&configuration(world, manifests, &socket, config))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let line = [&program.to_string_lossy(), "run", "--config", &file.to_string_lossy()];
        let child = world.gateway.spawn(&line, Some(&folder.join("penstock.log")))?;
        let mut appliance = Appliance { child, program: program.to_owned(), socket };
        appliance.wait_until_it_answers(Duration::from_secs(60))?;
        Ok(appliance)
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The socket of `penstock show`.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What `penstock show WHAT -o json` says.
    pub fn show(&self, what: &str) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(["show", what, "-o", "json", "--socket"]).arg(&self.socket);
        let text = netns::run(command)?;
        serde_json::from_str(&text)
            .with_context(|| format!("`penstock show {what} -o json` is not JSON: {text}"))
    }

    /// How its interfaces are driven.
    pub fn modes(&self) -> Result<Vec<Modes>> {
        let mut found = Vec::new();
        find_modes(&self.show("workers")?, &mut found);
        // Every worker has a socket on every interface.
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// How many packets each of its workers has received.
    pub fn received_by_worker(&self) -> Result<Vec<u64>> {
        let shown = self.show("workers")?;
        let workers = shown["workers"].as_array().into_iter().flatten();
        Ok(workers.map(|worker| worker["counters"]["received"].as_u64().unwrap_or(0)).collect())
    }

    /// An error if it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.ended() {
            None => Ok(()),
            Some(status) => bail!("the appliance has ended ({status}):\n{}", self.last_lines()),
        }
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        let log = self.child.output();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
    }

    /// Stops it by SIGTERM; an error unless it ends with success.
    pub fn stop(&mut self) -> Result<()> {
        match self.child.stop() {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the appliance did not end well ({status}):\n{}", self.last_lines()),
            None => bail!("the appliance cannot be waited for"),
        }
    }

    fn wait_until_it_answers(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            self.check()?;
            let answer = if self.socket.exists() { self.show("workers").map(drop) } else { Ok(()) };
            match answer {
                Ok(()) if self.socket.exists() => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("the appliance is not ready:\n{}", self.last_lines())));
                }
                Ok(()) if Instant::now() > deadline => {
                    bail!("the appliance has opened no {}:\n{}", self.socket.display(), self.last_lines());
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// The configuration file. Clients are outside the cluster, whose Pods are the backends: so a ClusterIP asked by a
/// client is masqueraded, as kube-proxy would.
fn configuration(
    world: &World,
    manifests: &ManifestFolder,
    socket: &Path,
    config: &ApplianceConfig,
) -> Value {
    let interfaces = world.gateway_interfaces().into_iter().map(|interface| {
        let roles = interface.roles.iter().map(|role| match role {
            Role::Client => "client",
            Role::Backend => "backend",
        });
        json!({"name": interface.name, "roles": roles.collect::<Vec<_>>()})
    });
    let mut value = json!({
        "nodeName": Appliance::NODE_NAME,
        "manifests": {"path": manifests.path()},
        "interfaces": interfaces.collect::<Vec<_>>(),
        "workers": {"count": config.workers.max(1)},
        "clusterCIDR": world.plan.backend_networks(),
        "socket": socket,
    });
    for (name, field) in &config.fields {
        value[name] = field.clone();
    }
    value
}

/// Every object that tells of an interface's XDP mode and bind mode, wherever it is.
fn find_modes(value: &Value, found: &mut Vec<Modes>) {
    match value {
        Value::Object(fields) => {
            let text = |names: &[&str]| {
                names.iter().find_map(|name| fields.get(*name)).and_then(Value::as_str).map(str::to_owned)
            };
            if let (Some(interface), Some(xdp), Some(bind)) =
                (text(&["interface", "name"]), text(&["xdpMode", "xdp"]), text(&["bindMode", "bind"]))
            {
                found.push(Modes { interface, xdp, bind });
            }
            fields.values().for_each(|field| find_modes(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find_modes(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_found_where_they_are() {
        let shown = json!({"workers": [{"id": 0, "ports": [
            {"interface": "client0", "queue": 0, "xdpMode": "native", "bindMode": "copy"},
            {"interface": "backend0", "queue": 0, "xdpMode": "generic", "bindMode": "copy"},
        ]}]});
        let mut found = Vec::new();
        find_modes(&shown, &mut found);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            Modes { interface: "client0".into(), xdp: "native".into(), bind: "copy".into() }
        );
    }
}
