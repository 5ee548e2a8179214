//! What a NIC does to choose a queue (receive-side scaling): key, hashed fields, indirection table; by port.
//!
//! In: a packet's tuple, as it arrives on the port. Out: the worker whose queue the NIC chooses for it, or nothing where
//! that is not known: another hash than Toeplitz, fields that are hashed in an order nobody states, a queue that no
//! worker has. Made by the control plane from what ethtool tells, published with the tables.
//!
//! Nothing here has to be right: what is wrong costs a handover between workers, and no packet (`path/steer.rs`).
//! Costs a load a byte of the hashed fields.

use super::{Toeplitz, Transport};
use crate::{io::PortId, wire::Family};
use std::sync::Arc;

/// Which fields of a kind of packet are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hashed {
    /// Unknown, or others than below.
    #[default]
    Unknown,
    /// Source and destination address: a port changes nothing.
    Addresses,
    /// Addresses, source port, destination port.
    AddressesAndPorts,
}

/// The hashed fields of every kind of packet that Services have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HashedFields {
    v4: [Hashed; 3],
    v6: [Hashed; 3],
}

impl HashedFields {
    /// The same for all kinds.
    pub fn all(hashed: Hashed) -> Self {
        Self { v4: [hashed; 3], v6: [hashed; 3] }
    }

    /// Those of one kind.
    #[inline]
    pub fn of<F: Family>(&self, transport: Transport) -> Hashed {
        let family = if F::ADDR_LEN == 4 { &self.v4 } else { &self.v6 };
        family[transport as usize]
    }

    /// Sets those of one kind.
    pub fn set<F: Family>(&mut self, transport: Transport, hashed: Hashed) {
        let family = if F::ADDR_LEN == 4 { &mut self.v4 } else { &mut self.v6 };
        family[transport as usize] = hashed;
    }
}

/// Why facts can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RssError {
    /// The low bits of the hash choose the entry, so others would be guesswork.
    #[error("its indirection table has {0} entries, which is no power of two")]
    TableSize(usize),
    /// Not even two IPv4 addresses and ports.
    #[error("its key has {0} bytes, and 16 are the least")]
    KeyTooShort(usize),
}

/// The queue choice of one port, in terms of workers.
#[derive(Debug)]
pub struct Rss {
    key: Box<[u8]>,
    toeplitz: Toeplitz,
    /// By the low bits of the hash.
    workers: Box<[Option<u16>]>,
    fields: HashedFields,
}

/// The same facts, whoever made them.
impl PartialEq for Rss {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.workers, &self.fields) == (&other.key, &other.workers, &other.fields)
    }
}

impl Rss {
    /// `workers` has the worker of the queue that each entry of the indirection table names.
    pub fn new(key: &[u8], workers: Vec<Option<u16>>, fields: HashedFields) -> Result<Self, RssError> {
        if !workers.len().is_power_of_two() {
            return Err(RssError::TableSize(workers.len()));
        }
        if key.len() < 16 {
            return Err(RssError::KeyTooShort(key.len()));
        }
        Ok(Self { key: key.into(), toeplitz: Toeplitz::new(key), workers: workers.into(), fields })
    }

    /// The worker whose queue a packet with these fields comes on.
    #[inline]
    pub fn worker<F: Family>(
        &self,
        transport: Transport,
        (source, source_port): (F::Addr, u16),
        destination: (F::Addr, u16),
    ) -> Option<u16> {
        self.arrivals::<F>(transport, source, source_port)?.worker(destination.0, destination.1)
    }

    /// Where what one socket sends arrives, for trying many destinations.
    pub fn arrivals<F: Family>(
        &self,
        transport: Transport,
        source: F::Addr,
        source_port: u16,
    ) -> Option<Arrivals<'_, F>> {
        let addresses = 2 * F::ADDR_LEN;
        let from = |at: usize, bytes: &[u8]| self.toeplitz.part(at, bytes);
        let of_source = from(0, F::octets(&source).as_ref());
        let (length, sum) = match self.fields.of::<F>(transport) {
            Hashed::Unknown => return None,
            Hashed::Addresses => (addresses, of_source),
            Hashed::AddressesAndPorts => {
                (addresses + 4, of_source ^ from(addresses, &source_port.to_be_bytes()))
            }
        };
        let ports = length > addresses;
        (length <= self.toeplitz.reach()).then_some(Arrivals { rss: self, source: sum, ports, last: None })
    }

    #[inline]
    fn chosen(&self, hash: u32) -> Option<u16> {
        self.workers[hash as usize & (self.workers.len() - 1)]
    }
}

/// See [`Rss::arrivals`].
#[derive(Debug)]
pub struct Arrivals<'r, F: Family> {
    rss: &'r Rss,
    source: u32,
    ports: bool,
    /// The address that was tried last, and what it and the source add.
    last: Option<(F::Addr, u32)>,
}

impl<F: Family> Arrivals<'_, F> {
    /// The worker whose queue it comes on that is sent to this address and port.
    #[inline]
    pub fn worker(&mut self, destination: F::Addr, port: u16) -> Option<u16> {
        let toeplitz = &self.rss.toeplitz;
        let addresses = match self.last {
            Some((last, sum)) if last == destination => sum,
            Some(_) | None => self.source ^ toeplitz.part(F::ADDR_LEN, F::octets(&destination).as_ref()),
        };
        self.last = Some((destination, addresses));
        let of_port = match self.ports {
            true => toeplitz.part(2 * F::ADDR_LEN + 2, &port.to_be_bytes()),
            false => 0,
        };
        self.rss.chosen(addresses ^ of_port)
    }
}

/// The facts of all ports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RssPorts(Vec<Option<Arc<Rss>>>);

impl RssPorts {
    /// By port; `None` where nothing is known.
    pub fn new(ports: Vec<Option<Arc<Rss>>>) -> Self {
        Self(ports)
    }

    /// The facts of a port.
    #[inline]
    pub fn of(&self, port: PortId) -> Option<&Arc<Rss>> {
        self.0.get(usize::from(port.0))?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::toeplitz::tests::{KEY, VECTORS};
    use super::*;
    use crate::wire::{V4, V6};
    use std::net::IpAddr;

    /// A table that shows the low bits of the hash.
    fn rss(fields: HashedFields) -> Rss {
        Rss::new(&KEY, (0..128).map(Some).collect(), fields).unwrap()
    }

    fn of_vector<F: Family>(rss: &Rss, destination: (&str, u16), source: (&str, u16)) -> Option<Option<u16>> {
        let address = |text: &str| F::from_ip(text.parse::<IpAddr>().unwrap());
        let (to, from) = (address(destination.0)?, address(source.0)?);
        Some(rss.worker::<F>(Transport::Tcp, (from, source.1), (to, destination.1)))
    }

    #[test]
    fn the_low_bits_of_the_published_hashes_choose() {
        for (destination, destination_port, source, source_port, addresses, with_ports) in VECTORS {
            let (to, from) = ((destination, destination_port), (source, source_port));
            for (hashed, hash) in [(Hashed::Addresses, addresses), (Hashed::AddressesAndPorts, with_ports)] {
                let rss = rss(HashedFields::all(hashed));
                let chosen = of_vector::<V4>(&rss, to, from).or_else(|| of_vector::<V6>(&rss, to, from));
                assert_eq!(chosen, Some(Some((hash & 127) as u16)), "{source} -> {destination}, {hashed:?}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let mut fields = HashedFields::default();
        fields.set::<V4>(Transport::Tcp, Hashed::AddressesAndPorts);
        let (from, to) = (("66.9.149.187", 2794), ("161.142.100.80", 1766));
        assert!(of_vector::<V4>(&rss(fields), to, from).is_some_and(|worker| worker.is_some()));
        let (from6, to6) = (("3ffe:501:8::1", 1), ("ff02::1", 2));
        assert_eq!(of_vector::<V6>(&rss(fields), to6, from6), Some(None), "another kind");
        let short =
            Rss::new(&KEY[..20], vec![Some(0)], HashedFields::all(Hashed::AddressesAndPorts)).unwrap();
        assert_eq!(of_vector::<V4>(&short, to, from), Some(Some(0)));
        assert_eq!(of_vector::<V6>(&short, to6, from6), Some(None), "the key is too short for IPv6");
        let nobody = Rss::new(&KEY, vec![None; 2], HashedFields::all(Hashed::Addresses)).unwrap();
        assert_eq!(of_vector::<V4>(&nobody, to, from), Some(None), "a queue of nobody's");
        let odd = Rss::new(&KEY, vec![Some(0); 100], fields);
        assert_eq!(odd.unwrap_err(), RssError::TableSize(100));
        assert_eq!(Rss::new(&KEY, Vec::new(), fields).unwrap_err(), RssError::TableSize(0));
        assert_eq!(Rss::new(&KEY[..15], vec![Some(0)], fields).unwrap_err(), RssError::KeyTooShort(15));
    }
}
