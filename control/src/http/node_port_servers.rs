//! The servers of healthCheckNodePorts: a listening socket for each (address, port), looked after with every sync.
//!
//! Sockets are told apart by where they listen, so a port that goes from one Service to another is never closed in
//! between. One that can't be had is a problem of its Service, and is tried again at every following sync.

use super::{Health, Listening, Moment, NodePortHealth, node_port_health::body};
use crate::{
    config::NodePortAddresses,
    fault::{Fault, Problem, Severity},
    model::IpFamily,
    objects::{ObjectKey, Subject},
};
use axum::{
    Router,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

/// Where the servers listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// On every address of the node.
    Everywhere,
    /// On these.
    Only(BTreeSet<IpAddr>),
}

impl Places {
    /// Without a restriction of NodePorts everywhere, else on the addresses that NodePorts answer on.
    pub fn of(configured: &NodePortAddresses, node_port_addresses: impl Iterator<Item = IpAddr>) -> Self {
        match configured {
            NodePortAddresses::Cidrs(cidrs) if cidrs.is_empty() => Self::Everywhere,
            _ => Self::Only(node_port_addresses.collect()),
        }
    }

    fn addresses(&self, family: IpFamily) -> Vec<IpAddr> {
        match (self, family) {
            (Self::Everywhere, IpFamily::V4) => vec![Ipv4Addr::UNSPECIFIED.into()],
            (Self::Everywhere, IpFamily::V6) => vec![Ipv6Addr::UNSPECIFIED.into()],
            (Self::Only(all), _) => all.iter().copied().filter(|ip| IpFamily::of(*ip) == family).collect(),
        }
    }
}

/// What one socket answers; `None` when it is about to be closed.
type Answers = Arc<RwLock<BTreeMap<SocketAddr, (ObjectKey, usize)>>>;

/// See the module.
#[derive(Debug)]
pub struct NodePortServers {
    node_name: String,
    health: Arc<Health>,
    answers: Answers,
    open: BTreeMap<SocketAddr, Listening>,
}

impl NodePortServers {
    /// None yet.
    pub fn new(node_name: &str, health: Arc<Health>) -> Self {
        Self { node_name: node_name.to_owned(), health, answers: Answers::default(), open: BTreeMap::new() }
    }

    /// Opens, closes and updates, so that exactly `services` are answered for. Returns what could not be had.
    pub async fn sync(
        &mut self,
        services: &BTreeMap<(ObjectKey, IpFamily), NodePortHealth>,
        places: &Places,
    ) -> Vec<Problem> {
        let mut wanted = BTreeMap::new();
        let mut problems = BTreeMap::new();
        for ((service, family), health) in services {
            for address in places.addresses(*family) {
                let answer = (service.clone(), health.local_endpoints);
                let socket = SocketAddr::new(address, health.port);
                match wanted.get(&socket) {
                    None => drop(wanted.insert(socket, answer)),
                    Some((owner, _)) => {
                        let why = format!("it is the healthCheckNodePort of Service {owner}");
                        problems.entry(service.clone()).or_insert_with(|| (health.port, why));
                    }
                }
            }
        }
        let gone: Vec<_> = self.open.extract_if(.., |socket, _| !wanted.contains_key(socket)).collect();
        *self.answers.write().unwrap_or_else(PoisonError::into_inner) = wanted.clone();
        for (_, listening) in gone {
            listening.close().await;
        }
        for (socket, (service, _)) in wanted {
            if self.open.contains_key(&socket) {
                continue;
            }
            match Listening::start(socket, self.pages(socket)) {
                Ok(listening) => drop(self.open.insert(socket, listening)),
                Err(error) => {
                    let why = format!("listen on {socket}: {error}");
                    problems.entry(service).or_insert((socket.port(), why));
                }
            }
        }
        problems.into_iter().map(|(service, (port, why))| self.problem(&service, port, &why)).collect()
    }

    /// Where somebody listens now.
    pub fn sockets(&self) -> impl Iterator<Item = &SocketAddr> {
        self.open.keys()
    }

    fn pages(&self, socket: SocketAddr) -> Router {
        let (answers, health) = (Arc::clone(&self.answers), Arc::clone(&self.health));
        // Any path, any method.
        Router::new().fallback(move || async move {
            let answers = answers.read().unwrap_or_else(PoisonError::into_inner);
            answer(answers.get(&socket), health.is_healthy(Moment::now()))
        })
    }

    /// In the words of kube-proxy's event `FailedToStartServiceHealthcheck`.
    fn problem(&self, service: &ObjectKey, port: u16, why: &str) -> Problem {
        let message = format!(
            "FailedToStartServiceHealthcheck: node {} failed to start healthcheck {:?} on port {port}: {why}; tried again \
             with the next change",
            self.node_name,
            service.to_string(),
        );
        let fault = Fault { path: "spec.healthCheckNodePort".into(), message };
        Problem { severity: Severity::Warning, origin: None, object: Some(Subject::service(service)), fault }
    }
}

fn answer(state: Option<&(ObjectKey, usize)>, healthy: bool) -> Response {
    const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");
    let Some((service, count)) = state else { return StatusCode::NOT_FOUND.into_response() };
    let good = *count > 0 && healthy;
    let code = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (WEIGHT, count.to_string()),
    ];
    (code, headers, body(service, *count, healthy)).into_response()
}

#[cfg(test)]
mod tests;
