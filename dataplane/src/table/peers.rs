//! The gateways that announce addresses in turn with this one, and what they have handed over.
//!
//! When an address moves here from a gateway that lives on, that one keeps the flows it has tracked, and what belongs to
//! none of ours is sent on to it for a while ([`Relay`]). In: from the control plane, the MACs of all other gateways and
//! the addresses that have come from one; it also ends a relay. Out: whether a frame is from a gateway, and who had an
//! address before. Both lists are short, sorted and nearly always empty: then a look-up is one test.

use crate::{
    io::PortId,
    wire::{EtherAddr, Family},
};

/// The way to the gateway that had an address before. The tags are those that a frame came with: an address moves within
/// one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// The port it is behind.
    pub port: PortId,
    /// Our own MAC there.
    pub source: EtherAddr,
    /// Its MAC.
    pub destination: EtherAddr,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers<F: Family> {
    macs: Box<[EtherAddr]>,
    relays: Box<[(F::Addr, Relay)]>,
}

impl<F: Family> Default for Peers<F> {
    fn default() -> Self {
        Self::new([], [])
    }
}

impl<F: Family> Peers<F> {
    /// Gateways with these MACs, and the former owners of these addresses, each named once.
    pub fn new(
        macs: impl IntoIterator<Item = EtherAddr>,
        relays: impl IntoIterator<Item = (F::Addr, Relay)>,
    ) -> Self {
        let mut relays: Vec<_> = relays.into_iter().collect();
        relays.sort_unstable_by_key(|(vip, _)| *vip);
        let mut macs: Vec<_> = macs.into_iter().collect();
        macs.extend(relays.iter().map(|(_, relay)| relay.destination));
        macs.sort_unstable();
        macs.dedup();
        Self { macs: macs.into_boxed_slice(), relays: relays.into_boxed_slice() }
    }

    /// Whether this is the MAC of another gateway. Former owners are gateways.
    #[inline]
    pub fn have(&self, mac: EtherAddr) -> bool {
        !self.macs.is_empty() && self.macs.binary_search(&mac).is_ok()
    }

    /// Whether any address has a former owner.
    #[inline]
    pub fn is_relaying(&self) -> bool {
        !self.relays.is_empty()
    }

    /// The way to the former owner of an address.
    pub fn former_owner(&self, vip: F::Addr) -> Option<&Relay> {
        let found = self.relays.binary_search_by_key(&vip, |(vip, _)| *vip).ok()?;
        self.relays.get(found).map(|(_, relay)| relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::V4;

    #[test]
    fn gateways_and_former_owners_are_found() {
        let mac = |last| EtherAddr([2, 0, 0, 0, 0, last]);
        let relay = |last| Relay { port: PortId(1), source: mac(0), destination: mac(last) };
        let relays = [([10, 0, 0, 9].into(), relay(3)), ([10, 0, 0, 1].into(), relay(4))];
        let peers = Peers::<V4>::new([mac(7), mac(4)], relays);
        assert_eq!(peers.former_owner([10, 0, 0, 9].into()), Some(&relay(3)));
        assert_eq!(peers.former_owner([10, 0, 0, 1].into()), Some(&relay(4)));
        assert_eq!(peers.former_owner([10, 0, 0, 2].into()), None);
        let known: Vec<u8> = (0..9).filter(|last| peers.have(mac(*last))).collect();
        assert_eq!(known, [3, 4, 7], "those that are named, and the former owners");
        let none = Peers::<V4>::default();
        assert!(!none.have(mac(7)) && none.former_owner([10, 0, 0, 1].into()).is_none());
        assert!(peers.is_relaying() && !none.is_relaying());
    }
}
