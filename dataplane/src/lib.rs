//! The packet path of Penstock, a userspace dataplane for Kubernetes Services.
//!
//! Read the modules in this order to follow a packet: bytes are viewed by [`wire`], brought in and sent out by
//! [`io`] behind the kernel-side classifier of [`xdp`], decided and rewritten by [`path`] with the read-only tables
//! of [`table`] and the mutable state of [`state`], and driven by the poll loop of [`worker`]. Flows that are busy take the
//! [`lane`], which the classifier serves by itself.

pub mod wire;
pub mod io;
pub mod xdp;
pub mod path;
pub mod table;
pub mod state;
pub mod lane;
pub mod worker;
mod pages;
mod prefetch;
