//! Announcing the addresses of LoadBalancer Services by ARP and neighbour discovery (§5.5 to §5.7).
//!
//! The first half decides. Pools, advertisements, nodes, endpoints and the live gateways go in ([`Planner`]); out comes a
//! [`Plan`], which says for every Service who announces it and why, and which addresses this node announces where.
//! The second half does ([`Announcer`]): it asks whether somebody has an address, announces it, answers for it, and
//! notices others who do. What it does about one address on one interface is plain data and a clock that is handed in
//! (`claim`); sockets are at the end.
//!
//! The semantics are MetalLB's, whose objects these are. Where this differs, the file concerned says so and why.

mod advertisement;
mod election;
mod endpoints;
mod nodes;
mod services;
mod decision;
mod ground;
mod decide;
mod plan;
mod event;
mod frame;
mod probe;
mod burst;
mod claim;
mod claims;
mod socket;
mod links;
mod announcer;
#[cfg(test)]
mod netns_lab;
#[cfg(test)]
mod netns_tests;

pub use advertisement::{Advertisement, Interfaces};
pub use announcer::{Announcer, AnnouncerError};
pub use decision::{Decision, Names, Reason};
pub use election::{Candidate, Elected, elect};
pub use event::{Before, L2Event, Wanted};
pub use nodes::Excluded;
pub use plan::{Changed, Plan, Planner};
