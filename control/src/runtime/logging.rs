//! The log: text for people or JSON for machines, on standard error, never per packet.

use crate::config::{LogFormat, Logging};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// The client of the API server logs every try that fails, and `watch` says once what it comes to.
const QUIET: &str = "kube_client::client::builder=off,kube_runtime=off";

/// Starts logging. `PENSTOCK_LOG` overrides the configured level with a filter such as `info,penstock::routes=debug`.
pub fn start_logging(logging: &Logging) {
    let filter = EnvFilter::try_from_env("PENSTOCK_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{}", logging.level)));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, in tests, changes nothing.
    let _ = match logging.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
}
