//! What a vector is made of.

use penstock_tests::packets::{Net, Packet};
use std::time::Duration;

/// A class of packets.
pub(crate) struct Vector {
    /// Its folder.
    pub(crate) name: &'static str,
    /// A sentence about it.
    pub(crate) about: &'static str,
    pub(crate) steps: Vec<Step>,
    clock: Duration,
}

/// One packet of it.
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) frame: Vec<u8>,
    /// The counter of its verdict.
    pub(crate) verdict: &'static str,
    /// What it is.
    pub(crate) label: String,
}

/// Far enough from each other to be batches of their own.
const PACE: Duration = Duration::from_millis(10);

impl Vector {
    pub(crate) fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, steps: Vec::new(), clock: Duration::from_secs(1_700_000_000) }
    }

    /// The vector with packets of either family, as `add` makes them.
    pub(crate) fn of_both(name: &'static str, about: &'static str, add: impl Fn(&mut Self, &Net)) -> Self {
        let mut vector = Self::new(name, about);
        for net in Net::ALL {
            vector.wait(Duration::from_secs(2));
            add(&mut vector, &net);
        }
        vector
    }

    pub(crate) fn send(&mut self, verdict: &'static str, label: impl Into<String>, packet: &Packet) {
        let family = if packet.is_v4() { "IPv4" } else { "IPv6" };
        self.send_frame(verdict, format!("{family}, {}", label.into()), packet.frame());
    }

    pub(crate) fn send_frame(&mut self, verdict: &'static str, label: impl Into<String>, frame: Vec<u8>) {
        self.clock += PACE;
        self.steps.push(Step { at: self.clock, frame, verdict, label: label.into() });
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.clock += time;
    }
}
