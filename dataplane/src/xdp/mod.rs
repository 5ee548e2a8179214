//! The kernel-side classifier: is this packet ours?
//!
//! `classifier.bpf.c` decides, once per packet, before the kernel's stack: ours goes to the AF_XDP socket of its
//! interface and queue, everything else to the kernel. It is built by `build.rs` and is part of this library's
//! binary; [`Classifier`] loads it, attaches it and keeps its maps equal to a [`ClassifierState`].
//!
//! Order, so that no packet is sent to a dataplane that doesn't know it: [`Classifier::grow`] after a snapshot that
//! adds is published, [`Classifier::shrink`] before a snapshot that removes is.
//!
//! With the fast lane ([`Classifier::load_with_lane`]) it forwards packets of promoted flows by itself, and may go on with that
//! when the process has ended (`pin.rs`).
//!
//! Limits: 64 queues an interface, 262,144 addresses a family, Linux 5.9 (BPF links for XDP), one process.

mod state;
mod counters;
mod maps;
mod error;
mod verify;
mod lane;
mod link;
mod pin;
mod loader;

#[cfg(test)]
mod tests;

pub use counters::ClassifierCounters;
pub use error::ClassifierError;
pub use lane::{LaneControl, LaneMaps, LaneSize, RedirectCounts};
pub use loader::{AttachPreference, Classifier, XdpMode};
pub use pin::{DEFAULT_PIN_FOLDER, detach_pinned};
pub use state::{AddressFlags, ClassifierState, FamilyPort, InterfaceEntry};

/// The most receive queues of an interface that can have a socket.
pub const MAX_QUEUES: u32 = 64;
