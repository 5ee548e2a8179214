//! A Service port as the packet path sees it: the endpoint lists and the policies that choose between them.

use super::{BackendId, NextHopId, Pins, Prefix, Ring, ServiceId, ServiceName};
use crate::wire::Family;
use std::{num::NonZeroU32, sync::Arc};

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend<F: Family> {
    /// Its stable number.
    pub id: BackendId,
    /// Where it listens.
    pub addr: F::Addr,
    /// The port it listens on.
    pub port: u16,
    /// How it is reached.
    pub next_hop: NextHopId,
}

/// An endpoint list, or what happens to new flows if it is empty (`service-semantics.md` §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints<F: Family> {
    /// There are endpoints.
    Ring(Ring<F>),
    /// None in this list, though the Service has some elsewhere: silence, so that the client tries again.
    Drop,
    /// The Service has none anywhere: the client is told.
    Reject,
}

/// `internalTrafficPolicy` and `externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum TrafficPolicy {
    /// Any endpoint of the cluster.
    #[default]
    Cluster,
    /// Endpoints on this node.
    Local,
}

/// Addresses with ports, sorted.
pub type Sockets<F> = Arc<Vec<(<F as Family>::Addr, u16)>>;

/// One Service port of one family: two lines of memory, of which most new flows read the first alone. So lists that few
/// Services have are a pointer to a vector here, and one step further away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Service<F: Family> {
    /// The cluster list of §3.4.
    pub cluster: Endpoints<F>,
    /// `loadBalancerSourceRanges` of this family: sources that may use the load-balancer IPs. `None` is everybody.
    pub source_ranges: Option<Arc<Vec<Prefix<F>>>>,
    /// ClientIP affinity and its timeout in seconds.
    pub affinity: Option<NonZeroU32>,
    /// Its stable number.
    pub id: ServiceId,
    /// Which list cluster-IP traffic uses.
    pub internal_policy: TrafficPolicy,
    /// Which list external traffic uses.
    pub external_policy: TrafficPolicy,
    /// The local list of §3.4.
    pub local: Endpoints<F>,
    /// What people call it.
    pub name: Arc<ServiceName>,
    /// With affinity, the backends of both lists: records of others are void.
    pub pins: Arc<Pins<F>>,
    /// UDP only: where those endpoints listen, in order, that flows may stay with; others' flows are decided anew
    /// (§3.12). `None`: every flow may stay, because the protocol is another one or no endpoint serves.
    pub serving: Option<Sockets<F>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{V4, V6};
    use std::mem::offset_of;

    #[test]
    fn a_service_is_two_lines_and_new_flows_read_the_first() {
        assert_eq!((size_of::<Service<V4>>(), size_of::<Service<V6>>()), (128, 128));
        assert_eq!((offset_of!(Service<V4>, local), offset_of!(Service<V6>, local)), (64, 64));
        assert_eq!(size_of::<Option<Service<V4>>>(), 128, "a row of a table of Services");
    }
}
