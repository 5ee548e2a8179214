//! Network namespaces for the demonstration and for the tests that need root.
//!
//! * Job: build small networks inside this machine, run programs in them, and leave nothing behind: not after a
//!   return, a panic, SIGINT, SIGTERM or SIGHUP, and, by the next run's sweep, not even after SIGKILL.
//! * In: [`WorldOptions`], or namespaces and links one by one.
//! * Out: a [`World`]: client, gateway and backends, wired, addressed and routed over both families.
//! * Means: the `ip` and `ethtool` commands, whose standard error becomes part of ours; `setns(2)` for running our
//!   own code inside a namespace; `ip netns exec` for running programs, so that they also see their own `/sys`.
//! * Limits: needs root. A name carries the process id of its owner, so a reused id postpones a sweep.

mod error;
mod command;
mod registry;
mod signals;
mod child;
mod namespace;
mod link;
mod plan;
mod world;

pub use child::Child;
pub use command::{find_program, require_root, run};
pub use error::NetnsError;
pub use link::{Bridge, VethOptions, create_bridge, create_veth, take_redirects};
pub use namespace::Namespace;
pub use plan::{Families, Plan};
pub use registry::{Owner, clean_up_everything, sweep};
pub use signals::{OnSignal, interrupted, watch_signals};
pub use world::{Backend, GatewayInterface, Role, World, WorldOptions};
