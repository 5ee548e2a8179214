//! The gateways of a cluster: which are alive, and what each of them announces.
//!
//! Every gateway renews a Lease of its own (`penstock-gateway-NODE`, [`heartbeat`]) and sees those of the others
//! ([`live`]). Who announces an address follows from that by election ([`l2`](crate::l2)), the same on every gateway,
//! without a word between them. When an address comes here from a gateway that is alive, the flows that one began are
//! sent on to it ([`relays`]).

mod live;
mod relays;

pub use live::{Beat, Gateways, LEASE_PREFIX, LEAVING, MACS, Steady};
pub use relays::Relays;
