//! Addresses for Services of type LoadBalancer, out of MetalLB's IPAddressPools (`service-semantics.md` §5.2 to §5.4).
//!
//! In: pools ([`PoolSpec`](crate::metallb::PoolSpec) → [`Pools`]), and what each Service asks for ([`Request`]) with the
//! addresses that its status has. Out: which addresses it is to have ([`Settled`]), or why none. An [`Allocator`] knows who
//! holds what, and nothing else: the Services' status is the durable store, so whoever starts settles those that have
//! addresses first, and every address is where it was. A [`Controller`] follows the objects and says what is to be written,
//! with MetalLB's events and a condition that tells why an address is pending; one gateway at a time [`run`]s one.

mod error;
mod advice;
mod pool;
mod pools;
mod request;
mod runs;
mod holdings;
mod allocator;
mod ours;
mod outcome;
mod waiting;
mod controller;
mod runner;
#[cfg(test)]
mod tests;

pub use allocator::{Allocator, Settled};
pub use controller::Controller;
pub use error::{FamilyError, Listed, Pending, PoolError, RequestError};
pub use ours::ADDRESS_ASSIGNED;
pub use pool::{Pool, Usage};
pub use pools::Pools;
pub use request::{Families, Request, Sharing};
pub use runner::run;
