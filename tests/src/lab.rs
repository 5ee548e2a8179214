//! A world with servers, manifests and a running appliance.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use penstock::{
    demo::{
        Answer, Appliance, ApplianceConfig, Endpoint, HttpServer, ManifestFolder, ServiceManifest,
        ServicePort, get, node,
    },
    netns::{Namespace, Owner, World, WorldOptions},
};
use penstock_dataplane::wire::EtherAddr;
use serde_json::{Map, Value};

use crate::{AN_ANSWER, PATIENCE, fast_lane, penstock};

/// The ports of the lab's Service, as (port of the Service, port of the backends).
pub mod ports {
    /// nginx, TCP.
    pub const HTTP: (u16, u16) = (80, 8080);
    /// For a test's own TCP server.
    pub const TCP: (u16, u16) = (7, 8007);
    /// For a test's own UDP server.
    pub const UDP: (u16, u16) = (53, 8053);
    /// NodePort of HTTP.
    pub const HTTP_NODE_PORT: u16 = 30080;
}

/// What kind of lab.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Tells the lab from others of the same program.
    pub label: &'static str,
    /// One interface of the gateway for everything.
    pub one_arm: bool,
    /// Packet workers, and queues of every cable.
    pub workers: u16,
    /// Backends. All of them are endpoints to begin with.
    pub backends: u8,
    /// Further fields of the appliance's configuration.
    pub fields: Map<String, Value>,
}

impl LabOptions {
    /// Two-arm, one worker, three backends.
    pub fn new(label: &'static str) -> LabOptions {
        LabOptions { label, one_arm: false, workers: 1, backends: 3, fields: Map::new() }
    }
}

/// Everything that runs; what is named first goes first.
#[derive(Debug)]
pub struct Lab {
    /// The appliance.
    pub appliance: Appliance,
    /// The backends' HTTP servers.
    pub servers: Vec<HttpServer>,
    /// The manifests.
    pub manifests: ManifestFolder,
    /// The Service.
    pub service: ServiceManifest,
    /// The network.
    pub world: World,
    config: ApplianceConfig,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Builds, starts, and waits until the Service is served over both families.
    pub fn start(options: LabOptions) -> Result<Lab> {
        Self::start_with(options, |_| {})
    }

    /// The same, with something done to the network before the appliance starts.
    pub fn start_with(options: LabOptions, prepare: impl FnOnce(&World)) -> Result<Lab> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let program = penstock();
        let world = World::build(WorldOptions {
            one_arm: options.one_arm,
            queues: options.workers,
            backends: options.backends,
            ..WorldOptions::new(Owner::new("psk-e2e"), options.label)
        })?;
        prepare(&world);
        std::fs::create_dir_all(world.folder.path().join("files"))?;
        let servers = world.backends.iter().map(|backend| HttpServer::start(backend, world.folder.path()));
        let servers = servers.collect::<Result<Vec<_>>>()?;
        let manifests = ManifestFolder::create(&world.folder.path().join("manifests"))?;
        let service = service(&world);
        manifests.write("node.yaml", &[node(Appliance::NODE_NAME, &world.plan.gateway_client_side())])?;
        manifests.write("service.yaml", &[service.service()])?;
        let all: Vec<u8> = world.backends.iter().map(|backend| backend.number).collect();
        manifests.write("endpoints.yaml", &service.slices(&endpoints(&world, &all)))?;
        let mut fields = options.fields;
        // Tests change things often and wait for each change.
        fields.entry("minSyncPeriod").or_insert_with(|| "0s".into());
        if let Some(wanted) = fast_lane() {
            fields.entry("fastLane").or_insert(wanted);
        }
        let config = ApplianceConfig { workers: options.workers, fields };
        let appliance = Appliance::start(&program, &world, &manifests, &config)?;
        let mut lab = Lab { appliance, servers, manifests, service, world, config, _turn: turn };
        lab.wait_until_served()?;
        Ok(lab)
    }

    /// Ends the appliance as a crash would: without a chance to do anything.
    pub fn kill_appliance(&mut self) -> Result<()> {
        self.appliance.child().signal(Signal::SIGKILL);
        self.appliance.child().wait_for(PATIENCE).context("the appliance outlives SIGKILL")?;
        Ok(())
    }

    /// Starts it again as it was, and waits until the Service is served.
    pub fn start_appliance(&mut self) -> Result<()> {
        self.appliance = Appliance::start(&penstock(), &self.world, &self.manifests, &self.config)?;
        self.wait_until_served()
    }

    /// Starts it again with these fields of the configuration changed, after it was stopped or killed.
    pub fn restart_with(&mut self, fields: &Value) -> Result<()> {
        if self.appliance.check().is_ok() {
            self.appliance.stop()?;
        }
        self.config.fields.extend(fields.as_object().cloned().unwrap_or_default());
        self.start_appliance()
    }

    /// The Service's addresses with one of its [`ports`]: ClusterIPs, IPv4 first.
    pub fn vips(&self, port: (u16, u16)) -> Vec<SocketAddr> {
        self.service.cluster_ips.iter().map(|ip| SocketAddr::new(*ip, port.0)).collect()
    }

    /// The address of `family_of`'s family that SNAT takes.
    pub fn snat_address(&self, family_of: IpAddr) -> Result<IpAddr> {
        let addresses = self.world.plan.gateway_backend_side();
        let same = addresses.into_iter().find(|address| address.is_ipv4() == family_of.is_ipv4());
        same.context("the world lacks a family")
    }

    /// Makes the backends `numbers` the Service's endpoints.
    pub fn set_endpoints(&self, numbers: &[u8]) -> Result<()> {
        self.manifests.write("endpoints.yaml", &self.service.slices(&endpoints(&self.world, numbers)))?;
        Ok(())
    }

    /// Adds a Service that has ClusterIP and LoadBalancer IP `number`, and the backends `numbers`. Returns when it is
    /// published.
    pub fn add_service(
        &self,
        name: &str,
        number: u8,
        ports: Vec<ServicePort>,
        endpoints: &[Endpoint],
    ) -> Result<ServiceManifest> {
        let plan = self.world.plan;
        let service = ServiceManifest {
            name: name.to_owned(),
            ports,
            cluster_ips: plan.cluster_ip(number),
            load_balancer_ips: plan.load_balancer_ip(number),
        };
        let documents = [&[service.service()][..], &service.slices(endpoints)].concat();
        self.manifests.write(&format!("{name}.yaml"), &documents)?;
        let deadline = Instant::now() + PATIENCE;
        let published = format!("\"name\":\"{name}\"");
        while !self.appliance.show("services")?.to_string().contains(&published) {
            if Instant::now() > deadline {
                bail!("{name} is not published:\n{}", self.appliance.last_lines());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    /// The backends `numbers` as endpoints.
    pub fn endpoints(&self, numbers: &[u8]) -> Vec<Endpoint> {
        endpoints(&self.world, numbers)
    }

    /// One HTTP request from the client.
    pub fn get(&self, to: SocketAddr) -> Result<Answer> {
        let answer = self.world.client.enter(|| get(to, AN_ANSWER))?;
        answer.with_context(|| format!("GET http://{to}/"))
    }

    /// Until it is so.
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            self.appliance.check()?;
            if Instant::now() > deadline {
                let (workers, flows) = (self.appliance.show("workers")?, self.appliance.show("flows")?);
                bail!("never {what}:\n{workers:#}\n{flows:#}\n{}", self.appliance.last_lines());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Until only the backends `numbers` answer, over both families.
    pub fn wait_for_endpoints(&mut self, numbers: &[u8]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let names: Vec<String> = numbers.iter().map(|number| format!("backend-{number}")).collect();
        for vip in self.vips(ports::HTTP) {
            // So many answers in a row miss one of four old backends once in 300,000.
            let mut in_a_row = 0;
            while in_a_row < 44 {
                self.appliance.check()?;
                in_a_row = match self.get(vip) {
                    Ok(answer) if names.contains(&answer.body) => in_a_row + 1,
                    _ => 0,
                };
                if Instant::now() > deadline {
                    bail!("{vip} is not served by {names:?} alone:\n{}", self.appliance.last_lines());
                }
            }
        }
        Ok(())
    }

    /// The MACs of the client's interface and of the gateway's towards it: what frames to the gateway are made with.
    pub fn client_macs(&self) -> Result<([u8; 6], [u8; 6])> {
        let mac = |namespace: &Namespace, interface: &str| -> Result<[u8; 6]> {
            let text = namespace.run(&["cat", &format!("/sys/class/net/{interface}/address")])?;
            Ok(text.trim().parse::<EtherAddr>()?.0)
        };
        Ok((mac(&self.world.client, "eth0")?, mac(&self.world.gateway, "client0")?))
    }

    /// The largest number called `name` in what `penstock show WHAT` says.
    pub fn shown_number(&self, what: &str, name: &str) -> Result<u64> {
        Ok(self.shown_numbers(what, name)?.into_iter().max().unwrap_or_default())
    }

    /// The sum of the numbers called `name` in what `penstock show WHAT` says.
    pub fn shown_sum(&self, what: &str, name: &str) -> Result<u64> {
        Ok(self.shown_numbers(what, name)?.into_iter().sum())
    }

    /// All of them: at least one.
    fn shown_numbers(&self, what: &str, name: &str) -> Result<Vec<u64>> {
        let shown = self.appliance.show(what)?;
        let mut found = Vec::new();
        numbers_called(name, &shown, &mut found);
        ensure!(!found.is_empty(), "`penstock show {what}` tells no `{name}`: {shown}");
        Ok(found)
    }

    fn wait_until_served(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for vip in self.vips(ports::HTTP) {
            while let Err(error) = self.get(vip) {
                self.appliance.check()?;
                if Instant::now() > deadline {
                    return Err(
                        error.context(format!("{vip} is not served:\n{}", self.appliance.last_lines()))
                    );
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

fn service(world: &World) -> ServiceManifest {
    let port = |name, protocol, (port, target_port), node_port| ServicePort {
        name,
        protocol,
        port,
        target_port,
        node_port,
    };
    ServiceManifest {
        name: "web".to_owned(),
        ports: vec![
            port("http", "TCP", ports::HTTP, Some(ports::HTTP_NODE_PORT)),
            port("tcp", "TCP", ports::TCP, None),
            port("udp", "UDP", ports::UDP, None),
        ],
        cluster_ips: world.plan.cluster_ip(10),
        load_balancer_ips: world.plan.load_balancer_ip(10),
    }
}

fn endpoints(world: &World, numbers: &[u8]) -> Vec<Endpoint> {
    let chosen = world.backends.iter().filter(|backend| numbers.contains(&backend.number));
    chosen
        .map(|backend| Endpoint {
            node: format!("node-{}", backend.number),
            addresses: backend.addresses.clone(),
        })
        .collect()
}

fn numbers_called(name: &str, value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(name).and_then(Value::as_u64));
            fields.values().for_each(|field| numbers_called(name, field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| numbers_called(name, item, found)),
        _ => {}
    }
}
