//! The configuration of the appliance: `penstock run --config FILE`.
//!
//! YAML text → `Raw` (its shape) → [`Config`] (checked, with every default filled in). Everything but
//! `interfaces` has a default. Unknown fields are refused. All faults are reported at once, each with path, value
//! and remedy: `interfaces[1].queues.count: 0: must be at least 1; leave it out to use all queues`.

mod raw;
mod parse;
mod scalar;
mod settings;
mod validate;

pub use settings::{
    Announce, Config, FastLane, FastLaneMode, Interface, Kubernetes, LogFormat, Logging, Manifests,
    NodePortAddresses, Ours, Queues, Reject, Replay, ReplayNextHop, Ring, Roles, Snat, Source, Sync,
    TableSizes, Umem, Workers, XdpMode, ZeroCopy,
};

use crate::fault::{Fault, Faults};
use std::{fmt, path::Path};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {cause}")]
    Unreadable {
        /// Its path.
        file: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{file}: not valid YAML: {cause}")]
    Syntax {
        /// Its path.
        file: String,
        /// Where and why.
        cause: serde_yaml_ng::Error,
    },
    /// Fields are wrong.
    #[error("{file}: {faults}", faults = Lines(faults))]
    Invalid {
        /// Its path.
        file: String,
        /// All of them.
        faults: Vec<Fault>,
    },
}

/// One fault on the line of the file's name, several below it.
struct Lines<'a>(&'a [Fault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [one] => write!(f, "{one}"),
            all => {
                write!(f, "{} fields are wrong:", all.len())?;
                all.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_yaml(&text, &file, &default_node_name()),
            Err(cause) => Err(ConfigError::Unreadable { file, cause }),
        }
    }

    /// Checks a configuration given as text. `file` is what errors call it, `hostname` the default node name.
    pub fn from_yaml(text: &str, file: &str, hostname: &str) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let raw = parse::parse(text, &mut faults)
            .map_err(|cause| ConfigError::Syntax { file: file.to_owned(), cause })?;
        let config = validate::validate(raw, hostname, &mut faults);
        match faults.is_empty() {
            true => Ok(config),
            false => Err(ConfigError::Invalid { file: file.to_owned(), faults: faults.into_vec() }),
        }
    }
}

/// The node's name where the configuration has none: `NODE_NAME`, as pods are told theirs, or else the machine's name.
fn default_node_name() -> String {
    std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(hostname)
}

/// The machine's name, in lower case as the kubelet registers it.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_lowercase()
}

#[cfg(test)]
mod tests;
