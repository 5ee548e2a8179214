//! Questions to a running appliance, over a unix socket that only its owner can open.
//!
//! One connection, one question: a line of JSON ([`Request`]), answered by a line of JSON ([`Reply`]). The command line
//! (`penstock show`, `penstock explain`) is a client; so is anything that speaks JSON:
//! `echo '{"show":"drops"}' | socat - /run/penstock.sock`. Questions never disturb packets: tables and counters are read
//! from copies, and flows are listed by their workers a bounded piece at a time.

mod client;
mod server;
pub mod views;
pub mod render;

pub use client::{ClientError, ask};
pub use server::{Server, ServerError};

use crate::objects::ObjectKey;
use penstock_dataplane::table::Transport;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// One of the listings.
    Show(Show),
    /// Flows, which may be many.
    Flows(FlowsRequest),
    /// What would happen to a packet, and why.
    Explain(PacketQuestion),
    /// How far a Service has come on its way to clients.
    Why(ObjectKey),
}

/// A listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Show {
    /// Service ports and their addresses.
    Services,
    /// Backends and the ways to them.
    Backends,
    /// Packets dropped or answered, by reason.
    Drops,
    /// Workers, their ports and counters.
    Workers,
}

/// Which flows to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowsRequest {
    /// Of this client only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// To this backend only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<IpAddr>,
    /// At most so many.
    pub limit: usize,
}

/// A packet to explain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PacketQuestion {
    /// Its protocol.
    pub transport: PacketProtocol,
    /// Its source.
    pub from: SocketAddr,
    /// Its destination.
    pub to: SocketAddr,
}

/// A protocol, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PacketProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl From<PacketProtocol> for Transport {
    fn from(protocol: PacketProtocol) -> Self {
        match protocol {
            PacketProtocol::Tcp => Self::Tcp,
            PacketProtocol::Udp => Self::Udp,
            PacketProtocol::Sctp => Self::Sctp,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// What was asked for.
    Ok(serde_json::Value),
    /// Why it can't be had.
    Error(String),
}
