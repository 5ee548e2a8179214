//! The packet path of Penstock, a userspace dataplane for Kubernetes Services.

pub mod io;
pub mod xdp;
