//! What people are told on the objects themselves, where `kubectl describe` shows it.
//!
//! In: what somebody plans to say of objects ([`Planner`]: the [`Controller`](crate::ipam::Controller) of addresses, and
//! the [`Faults`] found in objects). Out: [`Change`]s made at a [`Desk`]: addresses, annotations, conditions, events. Planners
//! are pure; a `Book` knows what each object says already and what is being written, so that nothing is written twice and
//! nothing overtakes; [`follow`] makes it all happen while this gateway holds the [`Lock`], 16 objects at a time, and
//! whatever fails again after a growing pause.

mod write;
mod book;
mod desk;
mod clerk;
mod follow;
mod lock;
mod faults;
mod cluster;
#[cfg(test)]
pub(crate) mod testing;

pub use book::Book;
pub use cluster::ClusterLock;
pub use desk::{Desk, Lock};
pub use faults::{Faults, Found, VALID};
pub use follow::{Planner, follow};
pub use lock::{Terms, hold};
pub use write::{About, Change, Notice, Write, read_condition};
