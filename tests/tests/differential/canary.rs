//! Tells when both gateways serve what was last written: a Service whose port, and whose slices' port, are new each
//! time. Each kind of object is watched in order, so what was written before them is in force too. Nodes are a kind of
//! their own: the one endpoint that answers is hinted to the zone that the gateway's is in now. kube-proxy's families are
//! programmed apart, so both are asked. It is TCP, so that its slices make nobody look at UDP flows.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use penstock_tests::cluster::Api;
use serde_json::json;

use crate::{
    arena::{Arena, Side},
    case::{services_path, slices_path},
    places::{self, CANARY_PORTS, Family, Group, ZONES},
    tries::{self, Outcome, Protocol, Try},
};

/// The canary's addresses.
const IPS: [&str; 2] = ["10.96.255.254", "fd00:96::fffe"];

/// How long either gateway may take to serve what was written.
const PATIENCE: Duration = Duration::from_secs(30);

/// The canary, by how often it has changed.
#[derive(Debug, Default)]
pub struct Canary {
    generation: u16,
}

impl Canary {
    /// Makes its objects.
    pub fn install(api: &Api) -> Result<Canary> {
        api.create("/api/v1/namespaces", &json!({"metadata": {"name": "canary"}}))?;
        let service = json!({"metadata": {"name": "canary"}, "spec": {
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 1}],
            "clusterIP": IPS[0], "clusterIPs": IPS}});
        api.create(&services_path("canary"), &service)?;
        for family in Family::BOTH {
            let slice = json!({
                "metadata": {
                    "name": family.word().to_lowercase(), "labels": {"kubernetes.io/service-name": "canary"},
                },
                "addressType": family.word(), "endpoints": [{"addresses": [places::backend(family, 1)]}],
                "ports": [{"port": 1, "name": ""}],
            });
            api.create(&slices_path("canary"), &slice)?;
        }
        Ok(Canary::default())
    }

    /// Changes it, after all else was written. The gateway's Node is in `zone`.
    pub fn advance(&mut self, api: &Api, zone: &str) -> Result<()> {
        self.generation = self.generation % 60_000 + 1;
        let service = json!({"spec": {"ports": [{"port": self.port()}]}});
        api.patch(&format!("{}/canary", services_path("canary")), &service)?;
        let hinted = |zones: &[&str]| {
            let zones: Vec<_> = zones.iter().map(|zone| json!({"name": zone})).collect();
            json!({"forZones": zones})
        };
        let elsewhere: Vec<&str> = ZONES.into_iter().filter(|other| *other != zone).collect();
        for family in Family::BOTH {
            let slice = json!({
                "ports": [{"port": self.backend_port(), "name": ""}],
                "endpoints": [
                    {"addresses": [places::backend(family, 1)], "hints": hinted(&[zone])},
                    // It does not listen there.
                    {"addresses": [places::backend(family, 2)], "hints": hinted(&elsewhere)},
                ],
            });
            api.patch(&format!("{}/{}", slices_path("canary"), family.word().to_lowercase()), &slice)?;
        }
        Ok(())
    }

    /// Waits until both serve it as it is now.
    pub fn wait(&self, arena: &mut Arena) -> Result<()> {
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
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    fn port(&self) -> u16 {
        1024 + self.generation
    }

    fn backend_port(&self) -> u16 {
        CANARY_PORTS[usize::from(self.generation) % CANARY_PORTS.len()]
    }

    fn sings(&self, side: &Side) -> Result<bool> {
        let mut tries = Vec::new();
        for ip in IPS {
            let to = SocketAddr::new(ip.parse()?, self.port());
            let (place, client) = Group::OutsideA.client(Family::of(to.ip()), u32::from(self.generation));
            tries.push(Try { protocol: Protocol::Tcp, place, from: SocketAddr::new(client, 0), to });
        }
        let outcomes = tries::send(side, &tries, Duration::from_millis(100))?;
        let is_new = |outcome: &Outcome| matches!(outcome, Outcome::Answered { backend, .. } if backend.port() == self.backend_port());
        Ok(outcomes.iter().all(is_new))
    }
}
