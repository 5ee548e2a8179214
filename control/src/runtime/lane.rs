//! The fast lane of the running appliance: which interfaces are in it, told to the classifier and to whoever asks.
//!
//! In: what is published, interfaces that the classifier is attached to, and, ten times a second, what the kernel tells of
//! them and how many redirected packets were lost. Out: ports of the lane, opened and closed ([`lane`](crate::lane) has the
//! rules), each with a line in the log. Costs the packets nothing.

use crate::{
    config::{self, Config, FastLaneMode},
    doctor,
    lane::{Decision, Event, Expected, Facts, FallBack, Netdev, Obstacle, Redirected, Way, decide, judge},
    routes::Interface,
};
use penstock_dataplane::{
    io::{PortId, af_xdp::BindMode},
    lane::{LaneSettings, Lanes},
    table::Snapshot,
    xdp::{Classifier, ClassifierError, LaneControl, LaneMaps, LaneSize, XdpMode},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

/// How often interfaces are looked at.
const EVERY: Duration = Duration::from_millis(100);
/// Next hops of a family that flows of the lane may take: 8 MiB for those of both.
const NEXT_HOPS: u32 = 1 << 16;

/// See the module.
#[derive(Debug)]
pub struct FastLane(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    decision: Decision,
    control: Option<LaneControl>,
    netdev: Option<Netdev>,
    ports: Vec<Port>,
}

/// An interface, by the number of its port.
#[derive(Debug)]
struct Port {
    interface: String,
    driver: Option<String>,
    /// What the classifier is attached to, and whether in its driver.
    attached: Option<(u32, bool)>,
    way: Way,
    /// It is known to the classifier by this number.
    open: Option<u32>,
    fall_back: FallBack,
    redirected: Redirected,
}

/// An interface, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePort {
    /// Its name.
    pub interface: String,
    /// Whether it is in the lane.
    pub way: Way,
    /// Packets of the lane that it has sent.
    pub sent: u64,
    /// Packets of the lane that were lost there.
    pub dropped: u64,
}

/// What was loaded, and what is to be of the lane.
#[derive(Debug)]
pub(super) struct Loaded {
    decision: Decision,
    pub(super) maps: Option<LaneMaps>,
}

impl Loaded {
    /// A worker's part of it.
    pub(super) fn lanes(&self, config: &Config, worker: u16) -> std::io::Result<Option<Lanes>> {
        let Some(maps) = &self.maps else { return Ok(None) };
        let settings = LaneSettings { promote_after: config.fast_lane.promote_after };
        Ok(Some(Lanes { v4: maps.worker_v4(worker)?, v6: maps.worker_v6(worker)?, settings }))
    }
}

/// Loads the classifier, with the lane if there is to be one.
pub(super) fn load(
    config: &Config,
    interfaces: &[Interface],
) -> Result<(Classifier, Loaded), ClassifierError> {
    let decision = expect(config, interfaces);
    if !decision.is_on() {
        return Ok((Classifier::load()?, Loaded { decision, maps: None }));
    }
    match Classifier::load_with_lane(&size(config)) {
        Ok((classifier, maps)) => Ok((classifier, Loaded { decision, maps: Some(maps) })),
        // Nobody has asked for it, and all works without.
        Err(error) if config.fast_lane.mode == FastLaneMode::Auto && !config.persist => {
            tracing::warn!(%error, "the fast lane can't be had: workers forward everything");
            Ok((Classifier::load()?, Loaded { decision: Decision::Refused, maps: None }))
        }
        Err(error) => Err(error),
    }
}

/// What is to be of it, before anything is loaded.
fn expect(config: &Config, interfaces: &[Interface]) -> Decision {
    let netdev = Netdev::open();
    let drivers: Vec<_> = config.interfaces.iter().map(|interface| doctor::driver(&interface.name)).collect();
    let expected = config.interfaces.iter().enumerate().map(|(port, interface)| {
        let link = Interface::link_of(interfaces, PortId(port as u8));
        let features = link.and_then(|link| netdev.as_ref()?.features(link.index).ok()?);
        Expected { interface, features, driver: drivers[port].as_deref() }
    });
    decide(config.fast_lane.mode, expected)
}

/// The room that the lane is to have. A later process goes on with it only if whatever flows and ports mean is the same.
fn size(config: &Config) -> LaneSize {
    let mut hasher = DefaultHasher::new();
    config.interfaces.iter().for_each(|interface| interface.name.hash(&mut hasher));
    (&config.snat.ports, &config.snat.addresses).hash(&mut hasher);
    LaneSize {
        workers: config.workers.count as u16,
        v4_pairs: config.fast_lane.flows,
        v6_pairs: config.fast_lane.v6_flows(),
        next_hops: NEXT_HOPS,
        pin: config.persist.then(|| config.pin_path.clone()),
        fingerprint: hasher.finish(),
    }
}

impl FastLane {
    /// What was loaded, now that sockets are bound.
    pub(super) fn new(config: &Config, loaded: Loaded, bound: Option<BindMode>) -> Self {
        let port = |interface: &config::Interface| Port {
            driver: doctor::driver(&interface.name),
            interface: interface.name.clone(),
            attached: None,
            way: Way::Not(Obstacle::Missing),
            open: None,
            fall_back: FallBack::default(),
            redirected: Redirected::default(),
        };
        let ports = config.interfaces.iter().map(port).collect();
        let Loaded { mut decision, maps } = loaded;
        if decision == Decision::Copying && bound == Some(BindMode::ZeroCopy) {
            decision = Decision::ZeroCopy;
        }
        tracing::info!("fast lane: {}: {decision}", if decision.is_on() { "on" } else { "off" });
        let control = maps.map(|maps| maps.control).filter(|_| decision.is_on());
        Self(Mutex::new(Inner { decision, control, netdev: Netdev::open(), ports }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The classifier is attached to an interface, or to another one of that name.
    pub(super) fn attached(&self, port: PortId, ifindex: u32, classifier: &Classifier) {
        let mut inner = self.inner();
        if let Some(port) = inner.ports.get_mut(usize::from(port.0)) {
            port.attached = classifier.mode(ifindex).map(|mode| (ifindex, mode == XdpMode::Native));
            port.driver = doctor::driver(&port.interface);
        }
    }

    /// Tables are about to be published in place of others.
    pub(super) fn publish(&self, old: &Snapshot, new: &Snapshot) {
        if let Some(control) = &mut self.inner().control
            && let Err(error) = control.publish(old, new)
        {
            tracing::error!(%error, "the fast lane can't be told of new tables, and is emptied");
            if let Err(error) = control.flush() {
                tracing::error!(%error, "the fast lane can't be emptied: restart the appliance");
            }
        }
    }

    /// Whether there is a lane, and why.
    pub fn decision(&self) -> Decision {
        self.inner().decision
    }

    /// Its interfaces.
    pub fn ports(&self) -> Vec<LanePort> {
        let port = |port: &Port| LanePort {
            interface: port.interface.clone(),
            way: port.way.clone(),
            sent: port.redirected.sent,
            dropped: port.redirected.dropped,
        };
        self.inner().ports.iter().map(port).collect()
    }

    /// Looks at the interfaces, and opens and closes their ports.
    pub(super) fn look(&self, now: Instant) {
        self.inner().look(now);
    }
}

/// Looks at the interfaces until the appliance is gone.
pub(super) async fn watch(appliance: Weak<super::Appliance>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match appliance.upgrade() {
            Some(appliance) => appliance.lane.look(Instant::now()),
            None => return,
        }
    }
}

impl Inner {
    fn look(&mut self, now: Instant) {
        let Some(control) = &mut self.control else { return };
        for (number, port) in self.ports.iter_mut().enumerate() {
            let id = PortId(number as u8);
            let way = port.judge(self.netdev.as_ref(), now);
            let wanted = port.attached.filter(|_| !matches!(way, Way::Not(_))).map(|(ifindex, _)| ifindex);
            port.tell(&way);
            port.way = way;
            if wanted != port.open {
                match control.set_port(id, wanted) {
                    Ok(()) => port.open = wanted,
                    Err(error) => {
                        tracing::error!(interface = port.interface, %error, "the fast lane has no way by the interface");
                    }
                }
            }
        }
    }
}

impl Port {
    /// Whether it is to be in the lane.
    fn judge(&mut self, netdev: Option<&Netdev>, now: Instant) -> Way {
        let told =
            self.attached.map(|(ifindex, native)| (native, netdev.map(|netdev| netdev.features(ifindex))));
        // One that is gone is not told of.
        let told = told.filter(|(_, features)| !matches!(features, Some(Err(_))));
        let way = judge(&Facts {
            native: told.as_ref().map(|(native, _)| *native),
            attached: true,
            features: told.and_then(|(_, features)| features?.ok()?),
            driver: self.driver.as_deref(),
        });
        if matches!(way, Way::Not(_)) {
            // When that is over, packets that were lost because of it are no reason to wait.
            self.fall_back = FallBack::default();
            return way;
        }
        match self.fall_back.look(now, self.redirected) {
            Some(Event::Out { dropped, all, pause }) => Way::Not(Obstacle::Drops { dropped, all, pause }),
            Some(Event::Again) => way,
            None if self.fall_back.is_in() => way,
            None => self.way.clone(),
        }
    }

    /// Says what has changed.
    fn tell(&self, way: &Way) {
        if *way == self.way {
            return;
        }
        let interface = &self.interface;
        match way {
            Way::Works => tracing::info!(interface, "is in the fast lane"),
            Way::Assumed => tracing::info!(interface, "is in the fast lane, as far as its driver is known"),
            Way::Not(obstacle) => {
                tracing::warn!(
                    interface,
                    "is not in the fast lane: {obstacle}; {}",
                    obstacle.remedy(interface)
                );
            }
        }
    }
}

/// That the watch need not keep the appliance.
pub(super) fn start(appliance: &Arc<super::Appliance>) {
    tokio::spawn(watch(Arc::downgrade(appliance)));
}
