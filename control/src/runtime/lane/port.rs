//! An interface of the lane: what is known of it, and whether it is open to redirected packets.

use crate::{
    config, doctor,
    lane::{Event, Facts, FallBack, Netdev, Obstacle, Redirected, Way, judge},
};
use penstock_dataplane::xdp::{Classifier, RedirectCounts, XdpMode};
use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) interface: String,
    driver: Option<String>,
    /// What the classifier is attached to, and whether in its driver.
    attached: Option<(u32, bool)>,
    way: Way,
    /// By what number it is known to the lane, if at all; `None`: that was another process's business.
    pub(super) open: Option<Option<u32>>,
    fall_back: FallBack,
    /// All that was counted.
    redirected: Redirected,
    /// What the kernel has counted since the port was opened last.
    counted: RedirectCounts,
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

impl Port {
    /// Of an interface that is not attached yet. `is_known`: the lane is our own from the beginning.
    pub(super) fn new(interface: &config::Interface, is_known: bool) -> Self {
        Self {
            driver: doctor::driver(&interface.name),
            interface: interface.name.clone(),
            attached: None,
            way: Way::Not(Obstacle::Missing),
            open: is_known.then_some(None),
            fall_back: FallBack::default(),
            redirected: Redirected::default(),
            counted: RedirectCounts::default(),
        }
    }

    /// The classifier is attached to it, or to another one of that name.
    pub(super) fn attached(&mut self, ifindex: u32, classifier: &Classifier) {
        self.attached = classifier.mode(ifindex).map(|mode| (ifindex, mode == XdpMode::Native));
        self.driver = doctor::driver(&self.interface);
    }

    /// For whoever asks.
    pub(super) fn shown(&self) -> LanePort {
        LanePort {
            interface: self.interface.clone(),
            way: self.way.clone(),
            sent: self.redirected.sent,
            dropped: self.redirected.refused + self.redirected.overrun,
        }
    }

    /// Takes in what the kernel has counted, which begins anew whenever the port is opened.
    pub(super) fn count(&mut self, counted: RedirectCounts) {
        let before = std::mem::replace(&mut self.counted, counted);
        let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        self.redirected.sent += since(counted.sent, before.sent);
        self.redirected.refused += since(counted.refused, before.refused);
        self.redirected.overrun += since(counted.overrun, before.overrun);
    }

    /// Looks at it. The number by which it is to be known to the lane, if at all.
    pub(super) fn look(&mut self, netdev: Option<&Netdev>, now: Instant) -> Option<u32> {
        let way = self.judge(netdev, now);
        self.tell(&way);
        self.way = way;
        self.attached.filter(|_| !matches!(self.way, Way::Not(_))).map(|(ifindex, _)| ifindex)
    }

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
