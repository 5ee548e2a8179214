//! The control plane of Penstock.

pub mod routes;
