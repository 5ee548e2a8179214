//! The appliance's own doors: its socket, its listening addresses, its manifests. Tried, not read.

use super::super::{Check, Machine};
use crate::config::{Config, Source};
use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::Path,
};

pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Check> {
    let mut checks = vec![socket(&config.socket, machine.appliance)];
    let doors = [
        ("metricsBindAddress", config.metrics_bind_address),
        ("healthzBindAddress", config.healthz_bind_address),
    ];
    for (field, address) in doors {
        checks.extend(address.filter(|_| !machine.appliance).map(|address| listen(field, address)));
    }
    if let Source::Manifests(manifests) = &config.source {
        checks.push(folder(&manifests.path));
    }
    checks
}

fn socket(path: &Path, appliance: bool) -> Check {
    if appliance {
        return Check::pass("socket", format!("an appliance answers at {}", path.display()));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    match tempfile::Builder::new().prefix(".penstock-doctor").tempfile_in(parent) {
        Ok(_) => Check::pass("socket", format!("{} can be made", path.display())),
        Err(error) => Check::fail(
            "socket",
            format!("{} cannot be made: {error}", path.display()),
            "make its folder writable (in a pod an emptyDir), or choose another by `socket`",
        ),
    }
}

fn listen(field: &str, address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => Check::pass(field, format!("{address} is free")),
        Err(error) => Check::warn(
            field,
            match error.kind() {
                ErrorKind::AddrInUse => format!("{address} is taken: does kube-proxy run here?"),
                _ => format!("{address} cannot be had: {error}"),
            },
            "stop what has it, or choose another; the appliance starts all the same, and tries again every 5 s",
        ),
    }
}

fn folder(path: &Path) -> Check {
    match fs::read_dir(path) {
        Ok(_) => Check::pass("manifests.path", format!("{} can be read", path.display())),
        Err(error) => Check::fail(
            "manifests.path",
            format!("{} cannot be read: {error}", path.display()),
            "make the folder, or name another",
        ),
    }
}
