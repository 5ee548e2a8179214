//! Where the fast lane works: found out, not assumed, and watched.
//!
//! The classifier forwards a packet of the lane by redirecting it to the interface that it leaves by. Two questions: is
//! there to be a lane at all (`decide`), and which interfaces can send redirected packets (`judge`)? The kernel tells
//! the second since Linux 6.3 (`features`); what was promised and is not kept shows in packets that are lost, and
//! `FallBack` then takes the interface out of the lane, for a while. Pure but for `features`; [`runtime`](crate::runtime)
//! asks, some times a second, and does what comes out.
//!
//! Limits: an interface is in the lane or not, with all its queues; that the packets of the lane are few or many on it
//! makes no difference.

mod features;
mod judge;
mod decide;
mod fall_back;

pub use decide::Decision;
pub(crate) use decide::{Expected, decide, expect};
pub(crate) use fall_back::{Event, FallBack, Redirected};
pub use features::Features;
pub(crate) use features::Netdev;
pub(crate) use judge::{Facts, judge};
pub use judge::{Obstacle, Way};
