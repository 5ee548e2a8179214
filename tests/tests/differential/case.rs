//! A set of objects, how it gets into the API server and to both gateways, and when it is in force.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use penstock_tests::cluster::{Api, ApiError};
use serde_json::{Value, json};

use crate::{
    arena::{Arena, CANARY_PORTS, Family, Group, Side},
    tries::{self, Outcome, Protocol, Try},
};

/// Where the objects that are compared are.
pub const NAMESPACE: &str = "compared";

/// The canary's addresses.
const CANARY_IPS: [&str; 2] = ["10.96.255.254", "fd00:96::fffe"];

/// How long either gateway may take to serve what was written.
const PATIENCE: Duration = Duration::from_secs(30);

/// Objects as a user would write them. A Service's `status` is what a load balancer's controller would write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Case {
    pub services: Vec<Value>,
    pub slices: Vec<Value>,
}

/// The objects as the API server has them.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub services: Vec<Value>,
    /// What the API server said of objects that it did not take.
    pub refused: Vec<String>,
}

/// Tells when both gateways serve what was last written: a Service whose port, and whose slices' port, are new each
/// time. Each kind of object is watched in order, so what was written before them is in force too. kube-proxy's
/// families are programmed apart, so both are asked.
#[derive(Debug, Default)]
pub struct Canary {
    generation: u16,
}

impl Case {
    /// Replaces the objects that were compared before by these, at both gateways, and waits until they serve them.
    pub fn put(&self, arena: &mut Arena, canary: &mut Canary) -> Result<Stored> {
        let api = arena.cluster.api().clone();
        api.delete(&slices_path(NAMESPACE))?;
        api.delete(&services_path(NAMESPACE))?;
        let mut refused = Vec::new();
        for service in &self.services {
            create(&api, &services_path(NAMESPACE), service, &mut refused)?;
        }
        for slice in &self.slices {
            create(&api, &slices_path(NAMESPACE), slice, &mut refused)?;
        }
        canary.advance(&api)?;
        let documents = read_back(&api)?;
        arena.manifests.write("cluster.yaml", &documents)?;
        canary.wait(arena)?;
        let services = documents
            .into_iter()
            .filter(|object| object["kind"] == "Service" && object["metadata"]["namespace"] == NAMESPACE)
            .collect();
        Ok(Stored { services, refused })
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        let objects: Vec<&Value> = self.services.iter().chain(&self.slices).collect();
        serde_json::to_string_pretty(&objects).unwrap_or_default()
    }
}

impl Canary {
    /// Makes the namespaces and the canary's objects.
    pub fn install(api: &Api) -> Result<Canary> {
        for name in [NAMESPACE, "canary"] {
            api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}}))?;
        }
        let service = json!({"metadata": {"name": "canary"}, "spec": {
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 1}],
            "clusterIP": CANARY_IPS[0], "clusterIPs": CANARY_IPS}});
        api.create(&services_path("canary"), &service)?;
        for family in [Family::V4, Family::V6] {
            let slice = json!({
                "metadata": {
                    "name": family.word().to_lowercase(), "labels": {"kubernetes.io/service-name": "canary"},
                },
                "addressType": family.word(), "endpoints": [{"addresses": [Arena::backends(family)[0]]}],
                "ports": [{"port": 1, "name": ""}],
            });
            api.create(&slices_path("canary"), &slice)?;
        }
        Ok(Canary::default())
    }

    fn advance(&mut self, api: &Api) -> Result<()> {
        self.generation = self.generation % 60_000 + 1;
        let service = json!({"spec": {"ports": [{"port": self.port()}]}});
        api.patch(&format!("{}/canary", services_path("canary")), &service)?;
        let slice = json!({"ports": [{"port": self.backend_port(), "name": ""}]});
        for family in ["ipv4", "ipv6"] {
            api.patch(&format!("{}/{family}", slices_path("canary")), &slice)?;
        }
        Ok(())
    }

    fn port(&self) -> u16 {
        1024 + self.generation
    }

    fn backend_port(&self) -> u16 {
        CANARY_PORTS[usize::from(self.generation) % CANARY_PORTS.len()]
    }

    fn wait(&self, arena: &mut Arena) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for side in [&arena.kube, &arena.penstock] {
            while !self.sings(side)? {
                arena.proxy.check()?;
                arena.appliance.check()?;
                if Instant::now() > deadline {
                    let log = if side.name == "kube" {
                        arena.proxy.last_lines()
                    } else {
                        arena.appliance.last_lines()
                    };
                    bail!("{} does not serve what was written {PATIENCE:?} ago:\n{log}", side.name);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    fn sings(&self, side: &Side) -> Result<bool> {
        let mut tries = Vec::new();
        for ip in CANARY_IPS {
            let to = SocketAddr::new(ip.parse()?, self.port());
            let client = Group::OutsideA.client(Family::of(to.ip()), u32::from(self.generation));
            tries.push(Try { protocol: Protocol::Tcp, from: SocketAddr::new(client, 0), to });
        }
        let outcomes = tries::send(&side.world.client, &tries, Duration::from_millis(200))?;
        let new = |outcome: &Outcome| matches!(outcome, Outcome::Answered { backend, .. } if backend.port() == self.backend_port());
        Ok(outcomes.iter().all(new))
    }
}

fn create(api: &Api, path: &str, object: &Value, refused: &mut Vec<String>) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match api.create(path, object) {
        Ok(_) => {}
        Err(error @ ApiError::Refused { code: 400..=499, .. }) => {
            refused.push(error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(status) = object.get("status") {
        match api.patch(&format!("{path}/{name}/status"), &json!({"status": status})) {
            Err(error @ ApiError::Refused { code: 400..=499, .. }) => refused.push(error.to_string()),
            other => drop(other?),
        }
    }
    Ok(())
}

/// Everything that matters to a gateway, each with its kind, which lists leave out.
fn read_back(api: &Api) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for (path, version, kind) in [
        ("/api/v1/nodes", "v1", "Node"),
        ("/api/v1/services", "v1", "Service"),
        ("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/v1", "EndpointSlice"),
    ] {
        let mut list = api.get(path)?;
        let items = list["items"].as_array_mut().with_context(|| format!("{path} is no list"))?;
        for mut object in items.drain(..) {
            object["apiVersion"] = version.into();
            object["kind"] = kind.into();
            documents.push(object);
        }
    }
    Ok(documents)
}

fn services_path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services")
}

fn slices_path(namespace: &str) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
}
