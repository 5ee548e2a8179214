//! Model, compiler and appliance together: what the loop of [`follow`](super::follow) does at each turn.
//!
//! Every change, of a manifest, a route, a neighbour or an address, leads through the same [`Control::publish`]: model,
//! compile, publish. Removals reach the classifier before the workers' tables change, additions after, so that no packet
//! is sent to a worker that does not know it.

use super::{
    Appliance, Common, Known, RuntimeError,
    in_cluster::InCluster,
    operators::{Operators, Outcome},
    pace::Pace,
    packets,
    pipeline::{Made, Pipeline},
    repair::Repair,
    survey::Survey,
    take_over,
    told::Wrong,
};
use crate::{
    compile::{Environment, Relay},
    config::Config,
    fault::Problem,
    gateways::{Neighbours, Planned},
    objects::Objects,
    routes::{Routes, View, hints},
    rss::RssWatch,
};
use penstock_dataplane::{io::PortId, path::Steering, state::SnatPorts, wire::EtherAddr};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// How long workers may take to change to new tables: a poll, which takes them microseconds when they have a core.
const SWITCH: Duration = Duration::from_millis(100);

/// Model, compiler and appliance together.
pub(super) struct Control {
    pub(super) config: Config,
    pipeline: Pipeline,
    pub(super) appliance: Arc<Appliance>,
    survey: Survey,
    rss: RssWatch,
    repair: Repair,
    /// The newest generation.
    generation: u64,
    pub(super) operators: Operators,
    pub(super) pace: Pace,
    /// The objects as they were taken in last.
    objects: Objects,
    /// What is wrong with them, and with the last tables.
    wrong: Wrong,
    /// The cluster's side does not know of the last tables yet.
    untold: bool,
    /// The source has not listed everything yet.
    pub(super) pending: bool,
    /// An interface is missing.
    lame: bool,
    /// What ends the appliance.
    failed: Option<RuntimeError>,
    /// The other gateways.
    neighbours: Neighbours,
    /// Who announces what.
    planned: Planned,
}

impl Control {
    /// Starts the packet side with empty tables.
    pub(super) fn start(config: Config, routes: &Routes) -> Result<Self, RuntimeError> {
        let view = routes.view();
        warn_of_hints(&config, &view);
        let common = Common::new(&config);
        let repair = Repair::new(&view);
        let packets::Started { publisher, classifier, workers, lane } =
            packets::start(&config, &view.interfaces, &common)?;
        // After the sockets are bound: attaching programs may set drivers up anew.
        let rss = RssWatch::start(packets::rss_questions(&config, &view.interfaces));
        let appliance = Appliance {
            publisher,
            workers,
            common,
            steering: Steering::new(SnatPorts::new(config.snat.ports.clone(), 0, 1), 0, 1),
            classifier: Mutex::new(classifier),
            lane,
            interfaces: config.interfaces.iter().map(|interface| interface.name.clone()).collect(),
            view: RwLock::new(view),
            rss: RwLock::new(Arc::clone(rss.told())),
            known: RwLock::default(),
        };
        Ok(Self {
            pipeline: Pipeline::default(),
            appliance: Arc::new(appliance),
            survey: Survey::default(),
            rss,
            repair,
            generation: 0,
            operators: Operators::new(&config),
            pace: Pace::new(config.sync),
            objects: Objects::default(),
            wrong: Wrong::default(),
            untold: false,
            pending: true,
            lame: false,
            failed: None,
            neighbours: Neighbours::default(),
            planned: Planned::default(),
            config,
        })
    }

    /// Objects have changed: they will be taken in when it is time.
    pub(super) fn request(&mut self) {
        self.pace.request();
        self.operators.queued();
    }

    /// Takes in the objects as they are now, asks for the neighbours of new backends, and publishes. Returns whether
    /// all neighbours were known in time.
    pub(super) async fn sync(&mut self, objects: &Objects, routes: &mut Routes, patience: Duration) -> bool {
        let begun = Instant::now();
        self.pace.begin();
        let mut problems = objects.problems.clone();
        problems.extend(self.pipeline.take(&self.config, objects));
        self.wrong.objects.tell(problems);
        self.pending = objects.pending;
        self.objects = objects.clone();
        routes.set_targets(self.pipeline.targets());
        let settled = routes.settled(patience).await;
        self.publish(&routes.view(), begun).await;
        self.pace.end(Instant::now());
        settled
    }

    /// Publishes what the objects and the machine now give.
    pub(super) async fn publish(&mut self, view: &Arc<View>, begun: Instant) {
        let (shared, applied) = self.publish_tables(view);
        if self.appliance.lane.waits() && !self.pending && applied {
            take_over::adopted(&self.appliance, self.generation).await;
            self.failed = take_over::attach(&self.config, &self.appliance, view).err();
        }
        let own = self.operators.objects(&self.pipeline, &self.config, &self.appliance).await;
        self.wrong.shared.tell(shared);
        self.wrong.own.tell(own);
        self.untold = true;
        let failed = !applied || self.pending;
        let outcome = Outcome { took: begun.elapsed(), failed, all: !self.pace.is_requested() };
        self.operators.published(
            self.pipeline.facts(self.all_problems().into_iter().flat_map(|found| found.iter())),
            outcome,
        );
        self.remember();
        self.pace.published(Instant::now(), failed);
    }

    /// Takes in what the cluster's side has found out. Whether the packet path is to know.
    pub(super) fn meet(&mut self, cluster: Option<&InCluster>) -> bool {
        let Some(cluster) = cluster else { return false };
        let planned = cluster.planned();
        self.untold |= planned.problems != self.planned.problems;
        self.planned = planned;
        self.remember();
        let neighbours = cluster.neighbours();
        std::mem::replace(&mut self.neighbours, neighbours.clone()) != neighbours
    }

    /// Waits until all workers use what was published last, and tells the cluster's side that they know its neighbours.
    pub(super) async fn introduce(&self, cluster: Option<&InCluster>) {
        let Some(cluster) = cluster else { return };
        let end = Instant::now() + SWITCH;
        while self.appliance.publisher.oldest_in_use() < self.generation && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cluster.uses(&self.neighbours);
    }

    /// Tells the cluster's side whether the node is fit, and, if something was published, what is served and what is
    /// wrong.
    pub(super) fn tell(&mut self, cluster: &InCluster) {
        cluster.fit(!self.pending && !self.lame);
        if std::mem::take(&mut self.untold) && !self.pending {
            let [objects, shared, own, planned] = self.all_problems();
            let shared = objects.iter().chain(&**shared).chain(&**planned);
            cluster.served(&self.objects, shared.cloned().collect(), Arc::clone(own));
        }
    }

    /// All that is wrong, by who found it.
    fn all_problems(&self) -> [&Arc<[Problem]>; 4] {
        let Wrong { objects, shared, own } = &self.wrong;
        [objects.problems(), shared.problems(), own.problems(), &self.planned.problems]
    }

    /// Keeps what is known for whoever asks.
    fn remember(&self) {
        let known = Known {
            node_name: self.config.node_name.clone(),
            ours: self.config.cluster().map(|cluster| cluster.ours.clone()),
            objects: self.objects.clone(),
            problems: self.all_problems().map(Arc::clone),
            gateways: Arc::clone(&self.planned.live),
            plan: Arc::clone(&self.planned.plan),
        };
        *self.appliance.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    /// The machine, the configuration and the other gateways, as the compiler is to see them.
    fn environment(&self, view: &View) -> Environment {
        let port = |name: &str| view.interfaces.iter().find(|interface| interface.name == name);
        let relay = |(address, (name, mac)): (&IpAddr, &(String, EtherAddr))| {
            Some((*address, Relay { port: PortId(port(name)?.port), mac: *mac }))
        };
        Environment {
            peers: self.neighbours.peers.clone(),
            relays: self.neighbours.relays.iter().filter_map(relay).collect(),
            rss: Arc::clone(self.rss.facts()),
            ..Environment::of(&self.config, view)
        }
    }

    /// Returns what is wrong, and whether the classifier has followed.
    fn publish_tables(&mut self, view: &Arc<View>) -> (Vec<Problem>, bool) {
        let environment = self.environment(view);
        let appliance = &self.appliance;
        let mut applied = true;
        *appliance.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(view);
        let gives_back = appliance.common.kernel.is_some();
        let Made { snapshot, changes, problems, classifier: target } =
            self.pipeline.make(&self.config, &environment, view, gives_back);
        let mut classifier = appliance.classifier.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = classifier.shrink(target) {
            applied = false;
            tracing::error!(%error, "the classifier keeps addresses that are gone; this is tried again");
        }
        appliance.lane.publish(&appliance.publisher.current(), &snapshot);
        let generation = appliance.publisher.publish(snapshot);
        self.generation = generation;
        if let Err(error) = classifier.grow(target) {
            applied = false;
            tracing::error!(%error, "the classifier lacks new addresses; this is tried again");
        }
        self.pipeline.published(generation);
        if !changes.is_empty() {
            tracing::info!(
                generation,
                added = changes.added.services.len(),
                removed = changes.removed.services.len(),
                changed = changes.changed.len(),
                "published"
            );
        }
        (problems, applied)
    }

    /// Interfaces have changed.
    pub(super) fn interfaces_changed(&mut self) {
        self.rss.hurry();
    }

    /// Frees what is out of use. True: something is, that the tables and the classifier still name, or the tables are out
    /// of date otherwise.
    pub(super) fn housekeeping(&mut self, view: &View) -> Result<bool, RuntimeError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let missing = self.repair.go_on(&self.config, &self.appliance, view);
        self.lame = !missing.is_empty();
        self.operators.missing_interfaces(missing);
        let publisher = &self.appliance.publisher;
        publisher.reclaim();
        let oldest_in_use = publisher.oldest_in_use();
        self.pipeline.release(oldest_in_use);
        let unused = self.survey.unused();
        if let Some(unused) = &unused {
            self.pipeline.forget(unused);
        }
        // Workers that still use older tables may open flows to what has gone since.
        if oldest_in_use >= self.generation {
            self.survey.start(&self.appliance, || self.pipeline.lingering());
        }
        match self.appliance.workers.iter().find(|worker| worker.handle.has_died()) {
            Some(worker) => Err(RuntimeError::WorkerDied { index: worker.index }),
            None => Ok(self.look_at_rss(view) || unused.is_some()),
        }
    }

    /// Whether NICs choose queues in another way than the tables say.
    fn look_at_rss(&mut self, view: &View) -> bool {
        let differs = self.rss.go_on(|| packets::rss_questions(&self.config, &view.interfaces));
        *self.appliance.rss.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(self.rss.told());
        differs
    }

    /// Detaches the classifier, unless it is to persist. The workers stop when the last question about them is answered.
    pub(super) fn stop(self) {
        if self.config.persist {
            return;
        }
        let mut classifier = self.appliance.classifier.lock().unwrap_or_else(PoisonError::into_inner);
        for interface in &self.config.interfaces {
            if let Err(error) = classifier.detach(&interface.name) {
                tracing::warn!(interface = interface.name, %error, "the classifier was not detached");
            }
        }
    }
}

fn warn_of_hints(config: &Config, view: &View) {
    for hint in hints::hints(&hints::Intent::of(config), &hints::Node::read(&view.interfaces)) {
        tracing::warn!("{hint}");
    }
}
