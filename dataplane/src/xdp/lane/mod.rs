//! The kernel's side of the fast lane: its maps, for workers ([`WorkerLane`](crate::lane::WorkerLane)) and for control
//! ([`LaneControl`]).
//!
//! [`Classifier::load_with_lane`](super::Classifier::load_with_lane) makes the maps as large as a [`LaneSize`] says, and
//! gives out [`LaneMaps`]. Slots and hops are memory that both sides have mapped (`lane/memory.rs`); the index of slots is a
//! hash that is changed by system calls, many keys at a time ([`BpfKeys`]). Which interfaces may be redirected to, epochs
//! and next hops are control's.

mod size;
mod syscall;
mod keys;
mod maps;
mod layout;
mod redirects;
mod control;

pub use control::LaneControl;
pub use keys::BpfKeys;
pub use maps::LaneMaps;
pub use redirects::RedirectCounts;
pub use size::LaneSize;

use keys::Indexed;
pub(super) use layout::{LAYOUT_WORDS, Layout};
pub(super) use maps::{LoadedMaps, configure};
