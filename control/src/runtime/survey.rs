//! Which of what only flows may still want do they use? Asked of the workers from time to time.
//!
//! A gone VIP stays captured, and the way to a gone backend resolved, while a flow uses them. A survey goes through
//! the flows of all workers page by page, beside the packets, and tells what none of them uses. It is made only where
//! something lingers, and starts only when no worker can open flows to that any more.

use super::Appliance;
use crate::{compile::Lingering, model::IpFamily};
use penstock_dataplane::worker::{Query, Uses};
use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

/// From the end of one survey to the start of the next.
const EVERY: Duration = Duration::from_secs(5);
/// Between two pages of a worker's flows.
const PAUSE: Duration = Duration::from_micros(500);
/// How long a worker may take to look at one page.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Survey {
    running: Option<mpsc::Receiver<Lingering>>,
    ended: Option<Instant>,
}

impl Survey {
    /// What the survey that has just ended found no use of, if it found any such thing.
    pub(super) fn unused(&mut self) -> Option<Lingering> {
        let result = match self.running.as_ref()?.try_recv() {
            Ok(unused) => Some(unused),
            Err(mpsc::TryRecvError::Empty) => return None,
            Err(mpsc::TryRecvError::Disconnected) => None,
        };
        (self.running, self.ended) = (None, Some(Instant::now()));
        result.filter(|unused| !unused.is_empty())
    }

    /// Starts a survey, if it is time and something lingers.
    pub(super) fn start(&mut self, appliance: &Arc<Appliance>, lingering: impl FnOnce() -> Lingering) {
        if self.running.is_some() || self.ended.is_some_and(|ended| ended.elapsed() < EVERY) {
            return;
        }
        let lingering = lingering();
        if lingering.is_empty() {
            return;
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        // Not the appliance itself, which must end with its owner.
        let appliance = Arc::downgrade(appliance);
        let ask = move |worker: usize, query: Query| {
            let appliance = appliance.upgrade()?;
            appliance.workers.get(worker).map(|worker| worker.handle.ask(query))
        };
        let survey = move || drop(sender.send(make(lingering, &ask).unwrap_or_default()));
        match thread::Builder::new().name("survey".to_owned()).spawn(survey) {
            Ok(_) => self.running = Some(receiver),
            Err(error) => {
                tracing::warn!(%error, "no thread to look for flows of gone VIPs and backends; they stay");
                self.ended = Some(Instant::now());
            }
        }
    }
}

/// Asks worker after worker for the use of what lingers. `None`: somebody did not answer, so nothing is known.
/// `ask` answers `None` where there is no such worker, and `Some(false)` where it has no time.
fn make(mut lingering: Lingering, ask: &impl Fn(usize, Query) -> Option<bool>) -> Option<Lingering> {
    for worker in 0.. {
        let mut from = Some(0);
        while let Some(place) = from {
            let (answer, answered) = crossbeam::channel::bounded(1);
            let sought = Arc::new(uses(&lingering));
            let asked = Instant::now();
            while !match ask(
                worker,
                Query::Uses { from: place, sought: Arc::clone(&sought), answer: answer.clone() },
            ) {
                Some(accepted) => accepted,
                // The appliance always has a worker, unless it is gone.
                None => return (worker > 0).then_some(lingering),
            } {
                if asked.elapsed() > PATIENCE {
                    return None;
                }
                thread::sleep(PAUSE);
            }
            let (found, next) = answered.recv_timeout(PATIENCE).ok()?;
            lingering.backends.retain(|address, _| !found.backends.contains(address));
            lingering.vips.retain(|address, _| !found.vips.contains(address));
            lingering.ports.retain(|(_, transport, port), _| !found.ports.contains(&(*transport, *port)));
            lingering
                .backend_ports
                .retain(|(_, transport, port), _| !found.backend_ports.contains(&(*transport, *port)));
            if lingering.is_empty() {
                return Some(lingering);
            }
            from = next;
            thread::sleep(PAUSE);
        }
    }
    None
}

/// What to look for.
fn uses(lingering: &Lingering) -> Uses {
    let port = |(_, transport, port): &(IpFamily, _, u16)| (*transport, *port);
    Uses {
        backends: lingering.backends.keys().copied().collect(),
        vips: lingering.vips.keys().copied().collect(),
        ports: lingering.ports.keys().map(port).collect(),
        backend_ports: lingering.backend_ports.keys().map(port).collect(),
    }
}
