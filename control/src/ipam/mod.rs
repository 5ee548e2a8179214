//! Addresses for Services of type LoadBalancer, out of MetalLB's IPAddressPools (`service-semantics.md` §5.2 to §5.4).
//!
//! In: pools ([`PoolSpec`](crate::metallb::PoolSpec) → [`Pools`]), and what each Service asks for ([`Request`]) with the addresses that its status
//! has. Out: which addresses it is to have ([`Settled`]), or why none. An [`Allocator`] knows who holds what, and nothing
//! else: the Services' status is the durable store, so whoever starts settles those that have addresses first, and every
//! address is where it was. No input or output, no clock; an assignment costs a look at the addresses before it.

mod error;
mod pool;
mod pools;
mod request;
mod runs;
mod holdings;
mod allocator;
#[cfg(test)]
mod tests;

pub use allocator::{Allocator, Settled};
pub use error::{Listed, Pending, PoolError, RequestError};
pub use pool::{Pool, Usage};
pub use pools::Pools;
pub use request::{Families, Request, Sharing};
