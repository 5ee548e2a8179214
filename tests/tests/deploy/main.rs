//! What `deploy/` ships, held against the real things: kubectl, Helm, the API server, Prometheus, systemd, and a process
//! with the privileges of its pod.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shipped;
mod image;
mod privileges;
mod rendered;
mod admitted;
mod monitoring;
mod prometheus;
mod systemd;
mod doctor;
