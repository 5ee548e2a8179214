//! `penstock doctor`: what of this machine keeps it from being a gateway, or makes it a slow one, and what to do.
//!
//! In: a configuration file, and the machine as /proc, /sys, ethtool and netlink show it ([`Machine`]). Out: a [`Report`] of
//! [`Check`]s, each passed, warned of or failed. What would end `penstock run` with an error is a failure; everything else
//! that costs packets or speed is a warning with its remedy.
//!
//! Reading and judging are apart: the judges (`checks`) are pure over [`Machine`], so that tests can have any machine;
//! only those of `checks::control` and `checks::api_server`, which try doors, are not. Nothing is changed: no program is
//! attached, no packet sent but for one TCP connection to the API server; a file beside the socket, and listening sockets,
//! are there for a moment.
//! Limits: whether a driver has native XDP is known from a list (`drivers`), since trying would reset some links.

mod report;
mod root;
mod ethtool;
mod netlink;
pub(crate) mod drivers;
pub mod processors;
mod link;
mod machine;
mod checks;

pub(crate) use ethtool::hash_fields;
pub(crate) use link::driver;
pub use link::{Link, Offloads, XdpProgram};
pub use machine::{Machine, Tun};
pub use report::{Check, Report, Verdict};
pub use root::Root;

use crate::config::{Config, ConfigError};
use std::path::Path;

/// Examines this machine for the configuration in `file`.
pub fn examine(file: &Path, root: &Root) -> Report {
    let mut checks = Vec::new();
    match Config::load(file) {
        Ok(config) => {
            checks.push(Check::pass("configuration", format!("{} is valid", file.display())));
            let machine = Machine::read(root, &config);
            checks.extend(checks::of_machine(&config, &machine));
            checks.extend(checks::of_control(&config, &machine));
        }
        Err(error) => {
            checks.extend(wrong_configuration(error));
            checks.extend(checks::of_any_machine(&Machine::without_interfaces(root)));
        }
    }
    Report { checks }
}

fn wrong_configuration(error: ConfigError) -> Vec<Check> {
    let remedy = "`penstock check FILE` tells when it is right";
    match error {
        ConfigError::Invalid { faults, .. } => {
            faults.iter().map(|fault| Check::fail("configuration", fault.to_string(), remedy)).collect()
        }
        other => vec![Check::fail("configuration", other.to_string(), remedy)],
    }
}

#[cfg(test)]
mod tests;
