//! Renews this gateway's Lease, by which the others know that it is alive.
//!
//! In: whether the gateway is fit to be used, or leaving, and hurries, when somebody wants to know whether the API server
//! still answers. Out: the moment of the last renewal that succeeded, counted from before it was sent. A gateway that is
//! not fit (an interface is missing) gives its Lease back, so that others take over; so does one that has left.

use super::{LEASE_PREFIX, LEAVING, MACS};
use crate::watch::{Leases, Renewal};
use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval},
};

/// What the others are to know of this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// It is not to be used, or not there.
    #[default]
    Away,
    /// It takes addresses.
    Here,
    /// It hands its addresses over, and goes on with the flows that it has.
    Leaving,
}

/// See the module.
#[derive(Debug)]
pub struct Heartbeat {
    /// The node's name.
    pub node: String,
    /// The interfaces that others may see us by.
    pub interfaces: Vec<String>,
    /// How long a renewal is good for.
    pub duration: Duration,
    /// From one renewal to the next.
    pub interval: Duration,
    /// What is to be told.
    pub presence: watch::Receiver<Presence>,
    /// Somebody wants to know now whether the API server answers.
    pub hurry: Arc<Notify>,
    /// When the last renewal that succeeded was begun.
    pub renewed: watch::Sender<Option<Instant>>,
}

impl Heartbeat {
    /// Beats until the other end of `presence` is gone.
    pub async fn run(mut self, leases: Leases) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let name = format!("{LEASE_PREFIX}{}", self.node);
        // What the API server was told last.
        let mut told = None;
        loop {
            let presence = *self.presence.borrow_and_update();
            let begun = Instant::now();
            let answer = match presence {
                Presence::Away if told == Some(Presence::Away) => Ok(()),
                Presence::Away => leases.release(&name).await,
                Presence::Here | Presence::Leaving => leases.renew(&name, &self.renewal(presence)).await,
            };
            match answer {
                Ok(()) => {
                    told = Some(presence);
                    self.renewed.send_replace((presence != Presence::Away).then_some(begun));
                }
                Err(error) => tracing::debug!(%error, "this gateway's Lease could not be renewed"),
            }
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.hurry.notified() => {}
                changed = self.presence.changed() => if changed.is_err() { return },
            }
        }
    }

    fn renewal(&self, presence: Presence) -> Renewal {
        let mut annotations = BTreeMap::from([(MACS.to_owned(), macs(&self.interfaces))]);
        if presence == Presence::Leaving {
            annotations.insert(LEAVING.to_owned(), "true".to_owned());
        }
        Renewal { holder: self.node.clone(), duration: self.duration, annotations }
    }
}

/// The MACs of these interfaces, as far as they exist, with commas between.
fn macs(interfaces: &[String]) -> String {
    let mac = |name: &String| fs::read_to_string(format!("/sys/class/net/{name}/address")).ok();
    let macs: Vec<_> = interfaces.iter().filter_map(mac).map(|mac| mac.trim().to_owned()).collect();
    macs.join(",")
}
