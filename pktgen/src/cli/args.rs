//! The options.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use penstock_pktgen::spec::{RawSpec, RawTraffic};

/// Sends packets on one interface, and tells what became of them: loss, order, latency.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Send what a spec says, and measure what arrives
    Run(RunArguments),
    /// Search for the highest rate that loses nothing (RFC 2544)
    Search(SearchArguments),
    /// Make whole TCP connections: connect, ask, read the answer
    Request(RequestArguments),
}

#[derive(Args)]
pub(super) struct Traffic {
    /// A file with the fields of a spec; options take their place
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) spec: RawSpec,
    #[command(flatten)]
    pub(super) flows: RawTraffic,
}

#[derive(Args)]
pub(super) struct Output {
    /// How results are printed
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
    /// Write the results as JSON here too
    #[arg(long)]
    pub(super) json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

#[derive(Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) traffic: Traffic,
    #[command(flatten)]
    pub(super) output: Output,
    /// Draw rate and latency over time (SVG)
    #[arg(long)]
    pub(super) plot: Option<PathBuf>,
    /// Fail if more than this percentage is lost
    #[arg(long)]
    pub(super) max_loss: Option<f64>,
}

#[derive(Args)]
pub(super) struct SearchArguments {
    /// The spec's duration is that of a trial, and its rate the highest that is tried
    #[command(flatten)]
    pub(super) traffic: Traffic,
    #[command(flatten)]
    pub(super) output: Output,
    /// The lowest rate that is of interest
    #[arg(long, default_value = "1k")]
    pub(super) lowest: String,
    /// Stop when it is known to so many percent
    #[arg(long, default_value_t = 1.0)]
    pub(super) resolution: f64,
    /// Percentage of packets that may be lost
    #[arg(long, default_value_t = 0.0)]
    pub(super) tolerance: f64,
}

#[derive(Args)]
pub(super) struct RequestArguments {
    /// The interface that connections are bound to
    #[arg(long, short)]
    pub(super) interface: String,
    /// Whom to connect to, several in turn
    #[arg(long, required = true, value_delimiter = ',')]
    pub(super) to: Vec<SocketAddr>,
    /// Connections a second: 500, 2k or max
    #[arg(long, default_value = "100")]
    pub(super) rate: String,
    /// Connections that may be open at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) at_once: u16,
    /// What is sent, instead of an HTTP request for /
    #[arg(long)]
    pub(super) send: Option<String>,
    /// How long connecting, or an answer, may take
    #[arg(long, default_value = "3s")]
    pub(super) patience: String,
    /// How long to ask: 10s
    #[arg(long, required_unless_present = "count")]
    pub(super) duration: Option<String>,
    /// How many connections to make
    #[arg(long)]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) output: Output,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_are_fields_of_a_spec() {
        let line = "penstock-pktgen run spec.yaml -i eth0 --rate 1M --source 10.0.0.1 --destination-ports 80 -o json";
        let Command::Run(run) = Cli::parse_from(line.split(' ')).command else { panic!("not run") };
        assert_eq!(run.traffic.spec.interface.as_deref(), Some("eth0"));
        assert_eq!(run.traffic.flows.destination_ports.as_deref(), Some("80"));
        assert!(run.output.output == Format::Json);
    }
}
