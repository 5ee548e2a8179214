//! The way to the API server, where objects come from one: by a plain TCP connection, which proves the way and no more.
//!
//! An API server that is away is a warning: the appliance waits for it. That nobody says where it is, is a failure.

use super::super::Check;
use crate::config::{Config, Source};
use serde::Deserialize;
use std::{
    env,
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(3);
/// Where a pod finds what it needs to speak with the API server.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What is read of a kubeconfig.
#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Context>,
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
}

#[derive(Deserialize)]
struct Context {
    name: String,
    context: ContextOf,
}

#[derive(Deserialize)]
struct ContextOf {
    cluster: String,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    cluster: T,
}

#[derive(Deserialize)]
struct Cluster {
    server: String,
}

pub(super) fn check(config: &Config) -> Option<Check> {
    let Source::Kubernetes(kubernetes) = &config.source else { return None };
    let place = match &kubernetes.kubeconfig {
        Some(file) => of_file(file),
        None => of_pod(),
    };
    Some(place.map_or_else(|check| check, |(host, port)| reach(&host, port)))
}

fn of_pod() -> Result<(String, u16), Check> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Err(Check::fail(
            "kubernetes",
            "KUBERNETES_SERVICE_HOST is not set, so this is no pod of a cluster",
            "name a kubeconfig by kubernetes.kubeconfig",
        ));
    };
    if !Path::new(TOKEN).exists() {
        return Err(Check::fail(
            "kubernetes",
            "there is no token of a service account",
            "set automountServiceAccountToken: true and serviceAccountName: penstock in the pod",
        ));
    }
    port.parse().map(|port| (host, port)).map_err(|_| {
        Check::fail(
            "kubernetes",
            format!("KUBERNETES_SERVICE_PORT is no port: {port:?}"),
            "set it to the API server's",
        )
    })
}

fn of_file(file: &Path) -> Result<(String, u16), Check> {
    let wrong = |what: String| {
        Check::fail(
            "kubernetes.kubeconfig",
            format!("{}: {what}", file.display()),
            "`kubectl --kubeconfig FILE version` tells when it is right",
        )
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let config: Kubeconfig =
        serde_yaml_ng::from_str(&text).map_err(|error| wrong(format!("is no kubeconfig: {error}")))?;
    let context = config.contexts.iter().find(|context| context.name == config.current_context);
    let context = context.ok_or_else(|| wrong(format!("has no context {:?}", config.current_context)))?;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.context.cluster);
    let cluster = cluster.ok_or_else(|| wrong(format!("has no cluster {:?}", context.context.cluster)))?;
    place(&cluster.cluster.server)
        .ok_or_else(|| wrong(format!("its server is no address: {:?}", cluster.cluster.server)))
}

/// Host and port of `https://HOST[:PORT][/…]`.
fn place(url: &str) -> Option<(String, u16)> {
    let (rest, default) = match url.split_once("://")? {
        ("https", rest) => (rest, 443),
        ("http", rest) => (rest, 80),
        _ => return None,
    };
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        // A colon within brackets belongs to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn reach(host: &str, port: u16) -> Check {
    let remedy = "look at routes and firewalls; on a gateway without kube-proxy set KUBERNETES_SERVICE_HOST and \
                  KUBERNETES_SERVICE_PORT to its real address; the appliance waits for it";
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Check::warn("API server", format!("{host} is no known name: {error}"), remedy),
    };
    let mut why = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Check::pass("API server", format!("{address} answers")),
            Err(error) => why = format!("{address} does not answer: {error}"),
        }
    }
    Check::warn("API server", why, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_servers_are_read() {
        assert_eq!(place("https://192.0.2.1:6443"), Some(("192.0.2.1".to_owned(), 6443)));
        assert_eq!(place("https://[2001:db8::1]:6443/x"), Some(("2001:db8::1".to_owned(), 6443)));
        assert_eq!(place("https://[2001:db8::1]"), Some(("2001:db8::1".to_owned(), 443)));
        assert_eq!(place("http://api.example"), Some(("api.example".to_owned(), 80)));
        assert_eq!(place("api.example"), None);
        assert_eq!(place("https://:6443"), None);
    }
}
