//! The demonstration from beginning to end, in order.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Appliance, ApplianceConfig, Endpoint, HttpServer, ManifestFolder, Options, Output, Report,
    ServiceManifest, ServicePort, http, manifests,
    report::Change,
    requests::{Load, Phase, Tally, Target},
    screen::{LiveLine, say},
};
use crate::netns::{Backend, OnSignal, Owner, World, WorldOptions, interrupted, require_root, watch_signals};

/// Connections at a time.
const THREADS: usize = 8;
/// How long the appliance may take to serve an address, or to follow a change.
const PATIENCE: Duration = Duration::from_secs(60);
/// The NodePort.
const NODE_PORT: u16 = 30080;
/// The backend that leaves. The one that joins is the last.
const LEAVING: u8 = 2;

/// Everything that runs; what is named first goes first.
struct Demo {
    appliance: Appliance,
    _servers: Vec<HttpServer>,
    manifests: ManifestFolder,
    service: ServiceManifest,
    world: World,
    program: PathBuf,
}

/// Runs the demonstration and prints its result. True if everything held.
pub fn run(options: &Options) -> Result<bool> {
    require_root()?;
    watch_signals(OnSignal::Notify)?;
    let mut demo = Demo::build(options)?;
    demo.wait_until_served()?;
    let mut report = demo.measure(options)?;
    if options.keep {
        print(options, &report)?;
        demo.keep()?;
    }
    if let Err(error) = demo.take_down() {
        say(&format!("FAULT: {error:#}"));
        report.add_fault(format!("{error:#}"));
    }
    drop(demo);
    if !options.keep {
        print(options, &report)?;
    }
    Ok(report.ok)
}

impl Demo {
    /// The network, the servers, the manifests and the appliance.
    fn build(options: &Options) -> Result<Demo> {
        let program = match &options.appliance {
            Some(program) => program.clone(),
            None => std::env::current_exe().context("cannot find this program")?,
        };
        say("Building a client, a gateway and four backends in network namespaces …");
        let world_options = WorldOptions {
            one_arm: options.one_arm,
            queues: options.workers,
            backends: 4,
            ..WorldOptions::new(Owner::new("penstock-demo"), "")
        };
        let world = World::build(world_options)?;
        let start = |backend: &Backend| HttpServer::start(backend, world.folder.path());
        let servers = world.backends.iter().map(start).collect::<Result<Vec<_>>>()?;
        stop_if_interrupted()?;

        let manifests = ManifestFolder::create(&world.folder.path().join("manifests"))?;
        let service = web(&world);
        manifests.write(
            "node.yaml",
            &[manifests::node(Appliance::NODE_NAME, &world.plan.gateway_client_side())],
        )?;
        manifests.write("service.yaml", &[service.service()])?;
        manifests.write("endpoints.yaml", &service.slices(&endpoints(&world, true)))?;

        say("Starting the appliance on the gateway …");
        let config = ApplianceConfig { workers: options.workers, ..ApplianceConfig::default() };
        let appliance = Appliance::start(&program, &world, &manifests, &config)?;
        Ok(Demo { appliance, _servers: servers, manifests, service, world, program })
    }

    /// Every kind of address, over every family.
    fn targets(&self) -> Vec<Target> {
        let plan = self.world.plan;
        let kinds = [
            ("ClusterIP", self.service.cluster_ips.clone(), 80),
            ("NodePort", plan.gateway_client_side(), NODE_PORT),
            ("LoadBalancer", self.service.load_balancer_ips.clone(), 80),
        ];
        let of_kind = |(kind, addresses, port): (&'static str, Vec<IpAddr>, u16)| {
            addresses.into_iter().map(move |ip| Target { kind, address: SocketAddr::new(ip, port) })
        };
        kinds.into_iter().flat_map(of_kind).collect()
    }

    /// Until every address answers.
    fn wait_until_served(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for target in self.targets() {
            loop {
                stop_if_interrupted()?;
                self.appliance.check()?;
                match self.ask(&target)? {
                    Ok(_) => break,
                    Err(error) if Instant::now() > deadline => {
                        let log = self.appliance.last_lines();
                        bail!("{} {} is not served: {error}\n{log}", target.label(), target.address);
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
        Ok(())
    }

    /// One request, which does not count.
    fn ask(&self, target: &Target) -> Result<std::io::Result<http::Answer>> {
        Ok(self.world.client.enter(|| http::get(target.address, Duration::from_secs(1)))?)
    }

    /// The requests, with the change in the middle.
    fn measure(&mut self, options: &Options) -> Result<Report> {
        let load = Load::new(self.targets(), options.requests);
        say(&format!(
            "Sending {} requests to each of {} addresses, {THREADS} at a time …",
            options.requests,
            load.targets().len()
        ));
        let started = Instant::now();
        let tally = std::thread::scope(|scope| {
            let _stop = StopOnDrop(&load);
            let sender = scope.spawn(|| self.world.client.enter(|| load.send(THREADS)));
            let line = LiveLine::new(&load);
            while load.done() < load.total() / 2 && !sender.is_finished() {
                tick(&line, &load)?;
            }
            self.change(&load, &line)?;
            while !sender.is_finished() {
                tick(&line, &load)?;
            }
            let tally = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<Tally, anyhow::Error>(tally)
        })?;
        let seconds = started.elapsed().as_secs_f64();
        self.appliance.check()?;
        let names = |before| endpoints_of(&self.world, before).map(Backend::name).collect::<Vec<_>>();
        let change = Change {
            before: names(true),
            after: names(false),
            removed: format!("backend-{LEAVING}"),
            added: format!("backend-{}", self.world.backends.len()),
        };
        let mut report = Report::new(&load, &tally, change, seconds);
        report.add_appliance(&self.appliance)?;
        Ok(report)
    }

    /// One backend leaves and one joins, in one file; done when the new one has answered.
    fn change(&self, load: &Load, line: &LiveLine) -> Result<()> {
        let joining = format!("backend-{}", self.world.backends.len());
        line.say(&format!("  backend-{LEAVING} leaves and {joining} joins …"));
        load.set_phase(Phase::During);
        self.manifests.write("endpoints.yaml", &self.service.slices(&endpoints(&self.world, false)))?;
        let deadline = Instant::now() + PATIENCE;
        let target = &load.targets()[0];
        loop {
            let answer = self.ask(target)?;
            if answer.is_ok_and(|answer| answer.body == joining) {
                break;
            }
            if Instant::now() > deadline {
                let log = self.appliance.last_lines();
                bail!("{joining} joined {} s ago and has answered nothing:\n{log}", PATIENCE.as_secs());
            }
            tick(line, load)?;
        }
        load.set_phase(Phase::After);
        Ok(())
    }

    /// Waits for Ctrl-C.
    fn keep(&mut self) -> Result<()> {
        let client = self.world.client.name();
        let program = self.program.display();
        let socket = self.appliance.socket().display();
        say("Everything is left running until Ctrl-C. In another terminal, as root:");
        for target in self.targets() {
            say(&format!(
                "  ip netns exec {client} curl -s http://{}/    # {}",
                target.address,
                target.label()
            ));
        }
        for what in ["services", "backends", "flows", "drops", "workers"] {
            say(&format!("  {program} show {what} --socket {socket}"));
        }
        say(&format!(
            "  $EDITOR {}/endpoints.yaml    # a change is live when saved",
            self.manifests.path().display()
        ));
        while !interrupted() {
            self.appliance.check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        say("Removing everything …");
        Ok(())
    }

    /// Stops the appliance; its programs must be off the interfaces afterwards.
    fn take_down(&mut self) -> Result<()> {
        self.appliance.stop()?;
        let links = self.world.gateway.ip("-details link show")?;
        if links.contains("prog/xdp") {
            bail!("the appliance has left an XDP program on an interface:\n{links}");
        }
        Ok(())
    }
}

/// The requests stop when the one who watches them does.
struct StopOnDrop<'a>(&'a Load);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn tick(line: &LiveLine, load: &Load) -> Result<()> {
    line.update(load);
    std::thread::sleep(Duration::from_millis(5));
    stop_if_interrupted()
}

fn stop_if_interrupted() -> Result<()> {
    if interrupted() {
        bail!("interrupted; everything it made is removed");
    }
    Ok(())
}

fn web(world: &World) -> ServiceManifest {
    ServiceManifest {
        name: "web".to_owned(),
        ports: vec![ServicePort {
            name: "http",
            protocol: "TCP",
            port: 80,
            target_port: HttpServer::PORT,
            node_port: Some(NODE_PORT),
        }],
        cluster_ips: world.plan.cluster_ip(10),
        load_balancer_ips: world.plan.load_balancer_ip(10),
    }
}

/// The backends before the change, or after it.
fn endpoints_of(world: &World, before: bool) -> impl Iterator<Item = &Backend> {
    let absent = if before { world.backends.len() } else { usize::from(LEAVING) };
    world.backends.iter().filter(move |backend| usize::from(backend.number) != absent)
}

fn endpoints(world: &World, before: bool) -> Vec<Endpoint> {
    let endpoint = |backend: &Backend| Endpoint {
        node: format!("node-{}", backend.number),
        addresses: backend.addresses.clone(),
    };
    endpoints_of(world, before).map(endpoint).collect()
}

fn print(options: &Options, report: &Report) -> Result<()> {
    let text = match options.output {
        Output::Table => report.table(),
        Output::Json => serde_json::to_string_pretty(report)? + "\n",
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot print the result")
}
