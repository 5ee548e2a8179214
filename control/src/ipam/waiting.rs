//! Services that may get an address, or another one, as soon as somebody gives one up (S-179).

use crate::objects::ObjectKey;
use std::collections::BTreeSet;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    services: BTreeSet<ObjectKey>,
    /// Something was given up since it was asked for last.
    freed: bool,
}

impl Waiting {
    /// A Service was settled, or is gone.
    pub(super) fn settled(&mut self, service: &ObjectKey, freed: bool, waits: bool) {
        self.freed |= freed;
        if waits {
            self.services.insert(service.clone());
        } else {
            self.services.remove(service);
        }
    }

    /// Whether those that wait are to be settled again.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    /// Those that wait.
    pub(super) fn services(&self) -> BTreeSet<ObjectKey> {
        self.services.clone()
    }
}
