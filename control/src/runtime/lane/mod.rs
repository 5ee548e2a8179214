//! The fast lane of the running appliance: which interfaces are in it, told to the classifier and to whoever asks.
//!
//! In: what is published, interfaces that the classifier is attached to, and, ten times a second, what the kernel tells of
//! them and how many redirected packets were lost. Out: ports of the lane, opened and closed ([`lane`](crate::lane) has the
//! rules), each with a line in the log. Costs the packets nothing.

mod load;
mod port;

pub(super) use load::{Loaded, expect, load};
pub use port::LanePort;

use crate::{
    config::Config,
    lane::{Decision, Netdev},
};
use penstock_dataplane::{
    io::PortId,
    table::Snapshot,
    xdp::{Classifier, LaneControl},
};
use port::Port;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

/// How often interfaces are looked at.
const EVERY: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct FastLane(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    decision: Decision,
    control: Option<LaneControl>,
    netdev: Option<Netdev>,
    ports: Vec<Port>,
    /// The lane is a former process's, and goes on by the classifier of that: nothing is to change about it yet.
    waits: bool,
}

impl FastLane {
    /// What was loaded.
    pub(super) fn new(config: &Config, loaded: Loaded) -> Self {
        let waits = loaded.goes_on();
        let ports = config.interfaces.iter().map(|interface| Port::new(interface, !waits)).collect();
        let Loaded { decision, maps } = loaded;
        tracing::info!("fast lane: {}: {decision}", if decision.is_on() { "on" } else { "off" });
        let control = maps.map(|maps| maps.control);
        Self(Mutex::new(Inner { decision, control, netdev: Netdev::open(), ports, waits }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The classifier is attached to an interface, or to another one of that name.
    pub(super) fn attached(&self, port: PortId, ifindex: u32, classifier: &Classifier) {
        let mut inner = self.inner();
        if let Some(port) = inner.ports.get_mut(usize::from(port.0)) {
            port.attached(ifindex, classifier);
        }
    }

    /// Tables are about to be published in place of others. While the lane is a former process's, it is told no more of them
    /// than where its flows will go.
    pub(super) fn publish(&self, old: &Snapshot, new: &Snapshot) {
        let inner = self.inner();
        let Some(control) = &inner.control else { return };
        control.publish_next_hops(old, new);
        if !inner.waits {
            control.publish_epochs(new);
        }
    }

    /// Whether a former process's lane goes on by its own classifier.
    pub(super) fn waits(&self) -> bool {
        self.inner().waits
    }

    /// That has given way to this one's, which has these tables.
    pub(super) fn take_over(&self, tables: &Snapshot) {
        let mut inner = self.inner();
        inner.waits = false;
        if let Some(control) = &inner.control {
            control.publish_epochs(tables);
        }
    }

    /// Whether there is a lane, and why.
    pub fn decision(&self) -> Decision {
        self.inner().decision
    }

    /// Its interfaces.
    pub fn ports(&self) -> Vec<LanePort> {
        self.inner().ports.iter().map(Port::shown).collect()
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
        let Some(control) = self.control.as_mut().filter(|_| !self.waits) else { return };
        control.tend();
        let counted = control.redirects().unwrap_or_else(|error| {
            tracing::debug!(%error, "redirects can't be counted");
            None
        });
        for (number, port) in self.ports.iter_mut().enumerate() {
            let id = PortId(number as u8);
            if let Some(counted) = counted.as_ref().and_then(|counted| counted.get(&id)) {
                port.count(*counted);
            }
            let wanted = port.look(self.netdev.as_ref(), now);
            if port.open == Some(wanted) {
                continue;
            }
            match control.set_port(id, wanted) {
                Ok(()) => port.open = Some(wanted),
                Err(error) => {
                    tracing::error!(interface = port.interface, %error, "the fast lane has no way by the interface");
                }
            }
        }
    }
}

/// That the watch need not keep the appliance.
pub(super) fn start(appliance: &Arc<super::Appliance>) {
    tokio::spawn(watch(Arc::downgrade(appliance)));
}
