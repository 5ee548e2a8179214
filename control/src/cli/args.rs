//! The arguments.

use crate::{api::PacketProtocol, demo, objects::ObjectKey};
use clap::{Args, Parser, Subcommand, ValueEnum};
use penstock_dataplane::xdp::DEFAULT_PIN_FOLDER;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// A userspace dataplane for Kubernetes Services: AF_XDP, Maglev, DNAT and SNAT on gateway nodes
#[derive(Debug, Parser)]
#[command(name = "penstock", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the appliance
    ///
    /// Needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON and CAP_IPC_LOCK. SIGTERM and SIGINT detach the classifier and end it;
    /// SIGHUP reads the manifests again (they are watched anyway).
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "/etc/penstock/penstock.yaml")]
        config: PathBuf,
    },
    /// Check a configuration file, or a folder of manifests, and print what would be published
    Check(CheckArgs),
    /// Say what would happen to a packet, and why
    Explain(ExplainArgs),
    /// Say how far a Service has come on its way to clients, and what holds it up
    Why(WhyArgs),
    /// Send a capture through the real packet path, without root or interfaces
    Replay(ReplayArgs),
    /// List what a running appliance has
    Show {
        /// What.
        #[command(subcommand)]
        what: ShowCommand,
    },
    /// Say what keeps this machine from being a gateway, and what to do
    Doctor(DoctorArgs),
    /// Take off what an appliance with `persist: true` has left
    ///
    /// XDP programs are detached, be it from under a running appliance, and the fast lane is removed: flows in it end, or go to the next appliance.
    Detach {
        /// Where it was pinned (`pinPath`)
        #[arg(long, value_name = "DIR", default_value = DEFAULT_PIN_FOLDER)]
        pin_path: PathBuf,
    },
    /// Show it at work: clients, gateway and backends in network namespaces on this machine
    Demo(demo::Options),
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// `penstock check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A configuration file, a folder of manifests, or one manifest
    pub path: PathBuf,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `penstock doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/penstock/penstock.yaml")]
    pub config: PathBuf,
    /// Before a start: warnings are no failure
    #[arg(long)]
    pub init: bool,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Where the running appliance is, and how to print.
#[derive(Debug, Args)]
pub struct Asking {
    /// The appliance's socket
    #[arg(long, value_name = "PATH", default_value = "/run/penstock.sock")]
    pub socket: PathBuf,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `penstock explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The packet's protocol
    #[arg(long, value_enum, default_value = "tcp")]
    pub proto: PacketProtocol,
    /// Its source, as 192.0.2.7:40000 or [2001:db8::7]:40000
    #[arg(value_name = "SRC:PORT")]
    pub from: SocketAddr,
    /// Its destination
    #[arg(value_name = "DST:PORT")]
    pub to: SocketAddr,
    /// Where to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// `penstock why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The Service
    #[arg(value_name = "NAMESPACE/SERVICE")]
    pub service: ObjectKey,
    /// Where to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// `penstock replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The capture to read: pcap or pcapng, Ethernet
    #[arg(value_name = "IN.pcap")]
    pub input: PathBuf,
    /// A folder of manifests, or one file
    #[arg(long, value_name = "DIR")]
    pub manifests: PathBuf,
    /// The capture to write
    #[arg(short, long, value_name = "OUT.pcap")]
    pub write: PathBuf,
    /// A configuration file: its interfaces, `replay.nextHops` and settings (default: one interface, all defaults)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print the summary
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// The listings.
#[derive(Debug, Subcommand)]
pub enum ShowCommand {
    /// Service ports, their addresses and endpoints
    Services(Asking),
    /// Backends and the ways to them
    Backends(Asking),
    /// Tracked flows
    Flows {
        /// Of this client only
        #[arg(long, value_name = "IP")]
        client: Option<IpAddr>,
        /// To this backend only
        #[arg(long, value_name = "IP")]
        backend: Option<IpAddr>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
        /// Where to ask.
        #[command(flatten)]
        asking: Asking,
    },
    /// Packets that were dropped or answered, by reason
    Drops(Asking),
    /// Workers, their sockets and counters
    Workers(Asking),
}
