//! What the end-to-end tests stand on: real programs, real sockets, namespaces, and `penstock run` as a child.
//!
//! Each test builds a [`Lab`], does what clients do, and looks at what arrived. Tests need root and a few tools
//! ([`require_root!`]); without them they are skipped, and where `CI=true` a skipped test is a failure. Labs of one
//! program take turns, since they share the machine's cores.
//!
//! A machine that runs tests may take the processor away from any thread for seconds. So nothing here is a fault for
//! being late, short of [`PATIENCE`]; where a time is itself what is promised, [`Stalls`] tells how much of it the
//! machine took.

mod environment;
mod lab;
mod keep_alive;
mod sockets;
mod sink;
mod losses;
mod stalls;
pub mod cluster;
pub mod site;
pub mod packets;
pub mod fuzz;

pub use environment::{fast_lane, may_run, penstock, raise_file_limit};
pub use keep_alive::KeepAlive;
pub use lab::{Lab, LabOptions, ports};
pub use losses::Losses;
pub use sink::UdpSink;
pub use sockets::{tcp_connect_from, udp_connect_from, udp_receive};
pub use stalls::Stalls;

/// How long one answer may take: of what answers within milliseconds where nothing else runs.
pub const AN_ANSWER: std::time::Duration = std::time::Duration::from_secs(20);

/// How long anything may take, on a machine that has other things to do, before it is taken not to happen at all.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Leaves the test unless it can be run here: as root, with the programs that all tests use and those named.
#[macro_export]
macro_rules! require_root {
    ($($program:literal),*) => {
        if !$crate::may_run(&[$($program),*]) {
            return;
        }
    };
}
