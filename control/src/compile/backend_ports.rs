//! The ports that backends serve on: those of now, and those that only flows may still want.
//!
//! The classifier finds the answers of backends that see the clients' addresses by them. A port lingers until
//! [`BackendPorts::forget`] hears that no flow to it is left, whatever else its backends' addresses still serve.
//! At most as many as there are ports.

use penstock_dataplane::table::Transport;
use std::collections::BTreeMap;

/// A protocol and a port.
type Key = (Transport, u16);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BackendPorts {
    ports: BTreeMap<Key, Use>,
    order: u64,
}

#[derive(Debug, Default)]
struct Use {
    backends: u32,
    /// The place of the last backend that came, in the order of coming.
    last: u64,
}

impl BackendPorts {
    /// One more backend serves on it. True if none has so far.
    pub(super) fn hold(&mut self, port: Key) -> bool {
        let known = self.ports.len();
        let held = self.ports.entry(port).or_default();
        held.backends += 1;
        held.last = self.order;
        self.order += 1;
        self.ports.len() > known
    }

    /// One backend less does.
    pub(super) fn drop(&mut self, port: Key) {
        if let Some(held) = self.ports.get_mut(&port) {
            held.backends = held.backends.saturating_sub(1);
        }
    }

    /// Those that only flows may still want.
    pub(super) fn lingering(&self) -> impl Iterator<Item = (Key, u64)> {
        self.ports.iter().filter(|(_, held)| held.backends == 0).map(|(port, held)| (*port, held.last))
    }

    /// Lets go those that no flow uses, unless they have been back since. Returns which those were.
    pub(super) fn forget(&mut self, unused: impl Iterator<Item = (Key, u64)>) -> Vec<Key> {
        let mut gone = Vec::new();
        for (port, last) in unused {
            if self.ports.get(&port).is_some_and(|held| held.backends == 0 && held.last == last) {
                self.ports.remove(&port);
                gone.push(port);
            }
        }
        gone
    }
}
