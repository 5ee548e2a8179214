//! Services used by programs that nobody here wrote, over both families: what they print is what counts.
//!
//! | room | client | server |
//! |---|---|---|
//! | `web` | curl | nginx |
//! | `throughput` | iperf3, TCP and UDP, both ways | iperf3 |
//! | `names` | dig, over UDP, TCP, and from one to the other | dnsmasq |
//! | `datagrams` | nc -u | nc -u |
//! | `echo` | ping | the gateway |
//! | `hops` | traceroute, tracepath | the gateway, a router behind it, backends |
//! | `narrow` | iperf3, curl, tracepath | a backend behind a router with a smaller link |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod web;
mod throughput;
mod names;
mod datagrams;
mod echo;
mod hops;
mod narrow;
mod behind_router;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use penstock::{
    demo::ServicePort,
    netns::{Child, Namespace},
};
use penstock_tests::{Lab, PATIENCE};

/// A port of a Service that no node address has.
fn port(name: &'static str, protocol: &'static str, port: u16, target_port: u16) -> ServicePort {
    ServicePort { name, protocol, port, target_port, node_port: None }
}

/// What a program says, standard error before standard output, and whether it ended with success.
fn told(namespace: &Namespace, line: &str) -> (String, bool) {
    let mut words = line.split_whitespace();
    let mut command = namespace.command(words.next().unwrap()).unwrap();
    let output = command.args(words).stdin(Stdio::null()).output().unwrap();
    let text = [&output.stderr[..], &output.stdout[..]].map(String::from_utf8_lossy).concat();
    (format!("$ {line}\n{text}"), output.status.success())
}

/// What a program says that must end with success.
fn says(namespace: &Namespace, line: &str) -> String {
    let (text, success) = told(namespace, line);
    assert!(success, "{text}");
    text
}

/// Starts a server, and waits until something listens on each address.
fn start(namespace: &Namespace, line: &str, log: &Path, listens: &[SocketAddr]) -> Child {
    let words: Vec<_> = line.split_whitespace().collect();
    let mut server = namespace.spawn(&words, Some(log)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let is_up = || {
        let sockets = says(namespace, "ss -Htuln");
        let any = |port| [format!("0.0.0.0:{port} "), format!("[::]:{port} "), format!("*:{port} ")];
        listens.iter().all(|at| {
            sockets.contains(&format!("{at} ")) || any(at.port()).iter().any(|text| sockets.contains(text))
        })
    };
    while !is_up() {
        let ended = server.ended();
        assert!(ended.is_none() && Instant::now() < deadline, "`{line}`: {ended:?}: {}", server.output());
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

/// The addresses of backend `number` with a port.
fn sockets_of(lab: &Lab, number: u8, port: u16) -> Vec<SocketAddr> {
    let backend = lab.world.backend(number).unwrap();
    backend.addresses.iter().map(|address| SocketAddr::new(*address, port)).collect()
}

/// The address of the gateway on the side of the clients, of the family of `like`.
fn gateway(lab: &Lab, like: IpAddr) -> IpAddr {
    let addresses = lab.world.plan.gateway_client_side();
    addresses.into_iter().find(|address| address.is_ipv4() == like.is_ipv4()).unwrap()
}

/// The option by which most programs are told the family.
fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "-4" } else { "-6" }
}
