//! The kernel's side of the fast lane: its maps, for workers ([`WorkerLane`](crate::lane::WorkerLane)) and for control
//! ([`LaneControl`]).
//!
//! [`Classifier::load_with_lane`](super::Classifier::load_with_lane) makes the maps as large as a [`LaneSize`] says, and
//! gives out [`LaneMaps`]. Slots, their index, hops and notices are memory that both sides have mapped (`lane/memory.rs`).
//! Which interfaces may be redirected to, epochs and next hops are control's.

mod size;
mod syscall;
mod maps;
mod layout;
mod redirects;
mod control;

pub use control::LaneControl;
pub use maps::LaneMaps;
pub use redirects::RedirectCounts;
pub use size::LaneSize;

pub(super) use layout::{LAYOUT_WORDS, Layout};
pub(super) use maps::{LoadedMaps, configure};
