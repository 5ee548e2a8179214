//! The packet path of Penstock, a userspace dataplane for Kubernetes Services.

pub mod wire;
pub mod io;
