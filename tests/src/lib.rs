//! What the end-to-end tests stand on: real programs, real sockets, namespaces, and `penstock run` as a child.
//!
//! Each test builds a [`Lab`], does what clients do, and looks at what arrived. Tests need root and a few tools
//! ([`require_root!`]); without them they are skipped, and where `CI=true` a skipped test is a failure. Labs of one
//! program take turns, since they share the machine's cores.

mod environment;
mod lab;
mod keep_alive;
mod sockets;
mod sink;
mod losses;
pub mod cluster;
pub mod site;
pub mod packets;
pub mod fuzz;

pub use environment::{may_run, penstock, raise_file_limit};
pub use keep_alive::KeepAlive;
pub use lab::{Lab, LabOptions, ports};
pub use losses::Losses;
pub use sink::UdpSink;
pub use sockets::{tcp_connect_from, udp_connect_from};

/// Leaves the test unless it can be run here: as root, with the programs that all tests use and those named.
#[macro_export]
macro_rules! require_root {
    ($($program:literal),*) => {
        if !$crate::may_run(&[$($program),*]) {
            return;
        }
    };
}
