//! Announcing the addresses of LoadBalancer Services by ARP and neighbour discovery (§5.5 to §5.7).
//!
//! The pure half decides: pools, advertisements, nodes, endpoints and the live gateways go in, and out comes a [`Plan`],
//! which says for every Service who announces it and why, and which addresses this node announces on which interfaces.
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

pub use advertisement::{Advertisement, Interfaces};
pub use decision::{Decision, Names, Reason};
pub use election::{Candidate, Elected, elect};
pub use nodes::Excluded;
pub use plan::{Changed, Plan, Planner};
pub use services::Ours;
