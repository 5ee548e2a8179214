//! The gateways of a cluster: which are alive, and what each of them announces.
//!
//! Every gateway renews a Lease of its own (`penstock-gateway-NODE`, `heartbeat`) and sees those of the others
//! (`live`). Who announces an address follows from that by election ([`l2`](crate::l2)), the same on every gateway,
//! without a word between them. When an address comes here from a gateway that is alive, the flows that one began are
//! sent on to it (`relays`).

mod live;
mod heartbeat;
mod handing;
mod relays;
mod notes;
mod announcing;

pub use announcing::{Announcing, Feeds, Identity, Neighbours, Outlets};
pub use handing::Handing;
pub use heartbeat::{Heartbeat, Presence};
pub use live::{Beat, Gateways, LEASE_PREFIX, LEAVING, MACS, Steady};
pub use notes::{ANNOUNCED, ANNOUNCED_BY, Notes, Planned, announced_by};
pub use relays::Relays;
