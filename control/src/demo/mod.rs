//! `penstock demo`: Services, real HTTP and this dataplane, on one machine and with nothing prepared.
//!
//! * Job: show, and prove, that programs talk through a Service: a client network, a gateway and backends in network
//!   namespaces ([`crate::netns`]); an nginx per backend; ordinary manifests in a folder; `penstock run` in the
//!   gateway; a thousand requests to every kind of address over both families, with one backend leaving and one
//!   joining halfway.
//! * Out: a table (or JSON) and success only if no request failed, the change took effect, and the requests are
//!   spread over the backends as evenly as chance has it.
//! * The parts ([`ManifestFolder`], [`HttpServer`], [`Appliance`], [`requests`]) serve the end-to-end tests too.
//! * Limits: needs root and nginx. Namespaces, programs and folders are removed however it ends.

mod story;
mod screen;
mod manifests;
mod http_server;
mod appliance;
mod http;
pub mod requests;
mod spread;
mod report;

pub use appliance::{Appliance, ApplianceConfig, Modes};
pub use http::{Answer, get};
pub use http_server::HttpServer;
pub use manifests::{Endpoint, ManifestFolder, ServiceManifest, ServicePort, node};
pub use report::Report;
pub use story::run;

use std::path::PathBuf;

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: one object on standard output.
    Json,
}

/// What `penstock demo` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave everything running until Ctrl-C, and print commands to try
    #[arg(long)]
    pub keep: bool,
    /// Give the gateway one interface for clients and backends alike
    #[arg(long)]
    pub one_arm: bool,
    /// Packet workers of the gateway, and queues of its interfaces
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub workers: u16,
    /// Requests to each address
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: u64,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// The program to run as the appliance
    #[arg(long, value_name = "FILE", hide = true)]
    pub appliance: Option<PathBuf>,
}
