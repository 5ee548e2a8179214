//! By which lane a flow goes, and why not by the fast one.

use crate::state::Traffic;
use serde::Serialize;
use std::fmt;

/// The lane of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowLane {
    /// Its worker's.
    User(WhyNot),
    /// The classifier's, and, by [`Direction`](crate::state::Direction), what went by it since the flow was promoted.
    Fast([Traffic; 2]),
}

impl Default for FlowLane {
    fn default() -> Self {
        Self::User(WhyNot::Off)
    }
}

/// Why a flow is not in the fast lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WhyNot {
    /// There is none.
    Off,
    /// The classifier does not know its protocol.
    Protocol,
    /// It is opening or closing, or unanswered, or too young.
    NotEstablished,
    /// It has had too few packets.
    Quiet,
    /// The UDP endpoints have changed since its last packet.
    Unsettled,
    /// The way to its backend or its client is not known.
    WayUnknown,
    /// The table of next hops has no place for its backend.
    NoPlace,
    /// A port it would leave by takes no redirects.
    PortUnusable,
    /// It arrives with more or fewer tags than it leaves with.
    TagsDiffer,
    /// It may, and will be at one of its next packets, if there is room.
    Due,
}

impl WhyNot {
    /// Whether it is about where packets go, and not about the flow.
    pub(super) fn is_of_the_way(self) -> bool {
        match self {
            Self::WayUnknown | Self::NoPlace | Self::PortUnusable | Self::TagsDiffer => true,
            Self::Off | Self::Protocol | Self::NotEstablished | Self::Quiet | Self::Unsettled | Self::Due => {
                false
            }
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "the fast lane is off",
            Self::Protocol => "SCTP has no fast lane",
            Self::NotEstablished => {
                "it is not established: TCP must be open, UDP answered and two seconds old"
            }
            Self::Quiet => "it has had too few packets (fastLane.promoteAfter)",
            Self::Unsettled => {
                "the UDP endpoints have changed since its last packet, which its worker must see"
            }
            Self::WayUnknown => {
                "the route or neighbour of its backend, or the way to its client, is not known"
            }
            Self::NoPlace => "the lane's table of next hops is full",
            Self::PortUnusable => "an interface it would leave by takes no XDP redirects",
            Self::TagsDiffer => "its packets gain or lose a VLAN tag here",
            Self::Due => "it will be promoted at one of its next packets, unless the lane is full",
        })
    }
}
