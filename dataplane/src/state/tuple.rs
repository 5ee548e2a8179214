//! The five values that name one direction of a flow.

use crate::{table::Transport, wire::Family};
use std::fmt;

/// One direction of a flow, as its packets carry it.
#[derive(Debug, Clone, Copy, Eq, Hash)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "equal are those whose fields are")]
pub struct Tuple<F: Family> {
    /// Source address.
    pub source: F::Addr,
    /// Destination address.
    pub destination: F::Addr,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Protocol.
    pub transport: Transport,
}

impl<F: Family> Tuple<F> {
    /// The tuple of packets that answer this one's.
    #[inline]
    pub fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            transport: self.transport,
        }
    }
}

/// Every packet is compared with its flow's tuple, so this is done in a few words.
impl<F: Family> PartialEq for Tuple<F> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let addresses = |tuple: &Self| [tuple.source, tuple.destination];
        let ports = |tuple: &Self| u32::from(tuple.source_port) | u32::from(tuple.destination_port) << 16;
        F::are_same(addresses(self), addresses(other))
            && ports(self) == ports(other)
            && self.transport == other.transport
    }
}

impl<F: Family> fmt::Display for Tuple<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (F::to_ip(self.source), F::to_ip(self.destination));
        let from = std::net::SocketAddr::new(from, self.source_port);
        let to = std::net::SocketAddr::new(to, self.destination_port);
        write!(f, "{} {from} -> {to}", self.transport)
    }
}
