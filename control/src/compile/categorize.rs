//! The endpoint lists of a Service port on this node (§3.4).
//!
//! The *cluster list* is the ready endpoints, filtered by topology hints where those are complete; with none, all
//! that still serve while they terminate. The *local list* is the same among this node's endpoints, never filtered.

use crate::model::Endpoint;

/// What a Service's policies ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// `UsesClusterEndpoints` of §3.3.
    pub(super) cluster: bool,
    /// `UsesLocalEndpoints` of §3.3.
    pub(super) local: bool,
}

/// Where this node is. Empty: nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) node: String,
    pub(super) zone: String,
}

impl Place {
    /// Whether an endpoint is on this node.
    pub(super) fn holds(&self, endpoint: &Endpoint) -> bool {
        !self.node.is_empty() && endpoint.node.as_deref() == Some(&*self.node)
    }
}

/// Which endpoints are in which list, by their index.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Lists {
    pub(super) cluster: Vec<usize>,
    pub(super) local: Vec<usize>,
    /// Whether any endpoint anywhere could serve.
    pub(super) has_any: bool,
}

/// Whether an endpoint serves while it terminates.
fn lingers(endpoint: &Endpoint) -> bool {
    endpoint.serving && endpoint.terminating
}

pub(super) fn categorize(endpoints: &[&Endpoint], wanted: Wanted, place: &Place) -> Lists {
    let pick = |rule: &dyn Fn(&Endpoint) -> bool| -> Vec<usize> {
        endpoints.iter().enumerate().filter(|(_, endpoint)| rule(endpoint)).map(|(index, _)| index).collect()
    };
    let or_else = |first: Vec<usize>, second: &dyn Fn(&Endpoint) -> bool| match first.is_empty() {
        true => pick(second),
        false => first,
    };
    let mut lists = Lists {
        has_any: endpoints.iter().any(|endpoint| endpoint.ready || lingers(endpoint)),
        ..Lists::default()
    };
    if wanted.cluster {
        let topology = topology(endpoints, place);
        lists.cluster =
            or_else(pick(&|endpoint| endpoint.ready && topology.allows(endpoint, place)), &lingers);
    }
    if wanted.local {
        let ready = pick(&|endpoint| endpoint.ready && place.holds(endpoint));
        lists.local = or_else(ready, &|endpoint| lingers(endpoint) && place.holds(endpoint));
    }
    lists
}

/// Which hints the cluster list follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topology {
    Node,
    Zone,
    Any,
}

/// Hints count only if every ready endpoint has them and one names this place.
fn topology(endpoints: &[&Endpoint], place: &Place) -> Topology {
    let ready = || endpoints.iter().filter(|endpoint| endpoint.ready);
    let by_node = ready().all(|endpoint| !endpoint.for_nodes.is_empty());
    if by_node && ready().any(|endpoint| Topology::Node.allows(endpoint, place)) {
        return Topology::Node;
    }
    let by_zone = ready().all(|endpoint| !endpoint.for_zones.is_empty());
    if by_zone && ready().any(|endpoint| Topology::Zone.allows(endpoint, place)) {
        return Topology::Zone;
    }
    Topology::Any
}

impl Topology {
    fn allows(self, endpoint: &Endpoint, place: &Place) -> bool {
        match self {
            Self::Node => !place.node.is_empty() && names(&endpoint.for_nodes, &place.node),
            Self::Zone => !place.zone.is_empty() && names(&endpoint.for_zones, &place.zone),
            Self::Any => true,
        }
    }
}

fn names(hints: &[Box<str>], name: &str) -> bool {
    hints.iter().any(|hint| **hint == *name)
}

#[cfg(test)]
mod tests;
