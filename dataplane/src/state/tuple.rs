//! The five values that name one direction of a flow.

use crate::{table::Transport, wire::Family};
use std::fmt;

/// One direction of a flow, as its packets carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// The tuple of packets with these ends.
    #[inline]
    pub fn between(ends: &F::Ends, transport: Transport) -> Self {
        let ([source, destination], [source_port, destination_port]) = F::split(ends);
        Self { source, destination, source_port, destination_port, transport }
    }

    /// Its ends.
    #[inline]
    pub fn ends(&self) -> F::Ends {
        F::join([self.source, self.destination], [self.source_port, self.destination_port])
    }

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

impl<F: Family> fmt::Display for Tuple<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (F::to_ip(self.source), F::to_ip(self.destination));
        let from = std::net::SocketAddr::new(from, self.source_port);
        let to = std::net::SocketAddr::new(to, self.destination_port);
        write!(f, "{} {from} -> {to}", self.transport)
    }
}
