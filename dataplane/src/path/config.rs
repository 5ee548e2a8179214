//! What a worker is told about its work.

use super::{EchoPolicy, Steering};
use crate::state::{AffinityTable, Fragments, SnatPorts, Timeouts};
use std::{ops::RangeInclusive, sync::Arc};

/// What a worker is told about its work, once.
#[derive(Debug, Clone)]
pub struct PathConfig {
    /// Which worker this is, of how many, and which SNAT ports are its own.
    pub steering: Steering,
    /// Idle timeouts.
    pub timeouts: Timeouts,
    /// Room for IPv4 flows.
    pub v4_flows: usize,
    /// Room for IPv6 flows.
    pub v6_flows: usize,
    /// Seed of the flow tables' hashes: random, but for replays.
    pub seed: u64,
    /// How TCP is rejected.
    pub tcp_reject: TcpReject,
    /// What is done with echo requests to VIPs.
    pub echo: EchoPolicy,
    /// The fragmented datagrams that are under way, for all workers.
    pub fragments: Arc<Fragments>,
    /// Answers (resets, ICMP errors) a worker sends per second, and at once. As many echo replies besides.
    pub reply_rate: (u32, u32),
    /// ClientIP affinity: the table that all workers share.
    pub affinity: Arc<AffinityTable>,
}

/// How a TCP segment that nobody serves is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpReject {
    /// By a reset, as a closed port does (RFC 9293 §3.10.7.1).
    #[default]
    Reset,
    /// By ICMP port unreachable, as kube-proxy does.
    Icmp,
}

impl PathConfig {
    /// The configuration of a single worker with these SNAT ports, and defaults for the rest.
    pub fn single(ports: RangeInclusive<u16>) -> Self {
        Self {
            steering: Steering::new(SnatPorts::new(ports, 0, 1), 0, 1),
            timeouts: Timeouts::default(),
            v4_flows: 1 << 16,
            v6_flows: 1 << 16,
            seed: 0,
            tcp_reject: TcpReject::Reset,
            echo: EchoPolicy::default(),
            fragments: Arc::new(Fragments::new(0)),
            reply_rate: (1000, 50),
            affinity: Arc::new(AffinityTable::new(1 << 10, 0)),
        }
    }
}
