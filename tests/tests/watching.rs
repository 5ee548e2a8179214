//! A real API server as the source of objects, and as the place where answers are written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "watching/gateway.rs"]
mod gateway;
#[path = "watching/following.rs"]
mod following;
#[path = "watching/outages.rs"]
mod outages;
#[path = "watching/leasing.rs"]
mod leasing;
#[path = "watching/writing.rs"]
mod writing;
#[path = "watching/addresses.rs"]
mod addresses;
