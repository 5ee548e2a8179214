//! What ClientIP affinity may hold clients to: the backends of a Service port, by the numbers that records use.
//!
//! A record names a [`PinId`]; it is void unless the Service's [`Pins`] have it. Both look-ups are binary searches.

use super::PinId;
use crate::wire::Family;
use std::net::SocketAddr;

/// A backend that affinity records may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin<F: Family> {
    /// What the records call it.
    pub id: PinId,
    /// Of a client's records for several backends the lowest counts: the order of the endpoints as texts (§3.10).
    pub rank: u32,
    /// Where it listens.
    pub addr: F::Addr,
    /// The port it listens on.
    pub port: u16,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins<F: Family> {
    /// In order of address and port.
    pins: Box<[Pin<F>]>,
    by_id: Box<[(PinId, u32)]>,
}

impl<F: Family> Default for Pins<F> {
    fn default() -> Self {
        Self::new([])
    }
}

impl<F: Family> Pins<F> {
    /// The pins of these backends: number, address and port.
    pub fn new(backends: impl IntoIterator<Item = (PinId, F::Addr, u16)>) -> Self {
        let pin = |(id, addr, port)| Pin { id, rank: 0, addr, port };
        let mut pins: Vec<Pin<F>> = backends.into_iter().map(pin).collect();
        pins.sort_by_cached_key(|pin| SocketAddr::new(F::to_ip(pin.addr), pin.port).to_string());
        (0..).zip(&mut pins).for_each(|(rank, pin)| pin.rank = rank);
        pins.sort_by_key(|pin| (pin.addr, pin.port));
        let mut by_id: Vec<_> = (0..).zip(&pins).map(|(at, pin)| (pin.id, at)).collect();
        by_id.sort_unstable();
        Self { pins: pins.into_boxed_slice(), by_id: by_id.into_boxed_slice() }
    }

    /// The backend that a record names, if it is still there.
    #[inline]
    pub fn find(&self, id: PinId) -> Option<&Pin<F>> {
        let found = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.pins.get(self.by_id[found].1 as usize)
    }

    /// What records call the backend at this address and port.
    #[inline]
    pub fn of(&self, addr: F::Addr, port: u16) -> Option<PinId> {
        let found = self.pins.binary_search_by_key(&(addr, port), |pin| (pin.addr, pin.port)).ok()?;
        Some(self.pins[found].id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::V4;

    #[test]
    fn pins_are_found_and_ranked_as_texts() {
        let addr = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
        let pins = Pins::<V4>::new([
            (PinId(9), addr("10.0.0.9"), 80),
            (PinId(3), addr("10.0.0.10"), 80),
            (PinId(5), addr("10.0.0.9"), 443),
        ]);
        let rank = |id| pins.find(PinId(id)).unwrap().rank;
        // "10.0.0.10:80" < "10.0.0.9:443" < "10.0.0.9:80"
        assert_eq!((rank(3), rank(5), rank(9)), (0, 1, 2));
        assert_eq!(pins.of(addr("10.0.0.9"), 443), Some(PinId(5)));
        assert_eq!((pins.of(addr("10.0.0.9"), 81), pins.find(PinId(4))), (None, None));
    }
}
