//! The command line: options, progress while something runs, and how results are told.

mod args;
mod bar;
mod commands;
mod signals;

pub(crate) use args::Cli;
pub(crate) use commands::run;

/// What is logged: warnings, or what `PENSTOCK_LOG` says.
pub(crate) fn log_filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_env("PENSTOCK_LOG").unwrap_or_else(|_| "warn".into())
}
