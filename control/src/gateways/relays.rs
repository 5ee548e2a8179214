//! Flows that another gateway began, to addresses that have come here.
//!
//! An address that moves from a gateway that is alive leaves that one's connections behind: their packets arrive here,
//! where nobody knows them. They are sent on to the former owner, who answers the clients itself. That goes on until the
//! former owner is gone, the address moves on, or the time is up.

use penstock_dataplane::wire::EtherAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

/// The former owners of addresses that are announced here, as they are reached by one interface each.
#[derive(Debug, Default)]
pub struct Relays(BTreeMap<IpAddr, Former>);

/// Who had an address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Former {
    interface: String,
    mac: EtherAddr,
    until: Instant,
}

impl Relays {
    /// An address has come here from another gateway. The first interface it is heard on counts.
    pub fn taken(&mut self, address: IpAddr, interface: &str, from: EtherAddr, until: Instant) {
        let former = Former { interface: interface.to_owned(), mac: from, until };
        self.0.entry(address).or_insert(former);
    }

    /// Keeps what is of use: of addresses that are ours, from gateways that are there. Whether any went.
    pub fn retain(
        &mut self,
        now: Instant,
        is_ours: impl Fn(IpAddr) -> bool,
        peers: &BTreeSet<EtherAddr>,
    ) -> bool {
        let before = self.0.len();
        self.0
            .retain(|address, former| now < former.until && is_ours(*address) && peers.contains(&former.mac));
        self.0.len() < before
    }

    /// When the first of them ends.
    pub fn ends(&self) -> Option<Instant> {
        self.0.values().map(|former| former.until).min()
    }

    /// Where the flows to each address are sent: an interface's name, and a MAC.
    pub fn table(&self) -> BTreeMap<IpAddr, (String, EtherAddr)> {
        let row = |former: &Former| (former.interface.clone(), former.mac);
        self.0.iter().map(|(address, former)| (*address, row(former))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MAC: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 7]);

    #[test]
    fn relays_end_with_their_time_their_owner_or_their_address() {
        let now = Instant::now();
        let until = now + Duration::from_secs(60);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let mut relays = Relays::default();
        relays.taken(address, "eth0", MAC, until);
        relays.taken(address, "eth1", EtherAddr([2, 0, 0, 0, 0, 8]), until);
        assert_eq!(relays.table(), [(address, ("eth0".to_owned(), MAC))].into());
        assert!(!relays.retain(now, |_| true, &[MAC].into()));
        assert_eq!(relays.ends(), Some(until));

        assert!(relays.retain(until, |_| true, &[MAC].into()), "its time is up");
        relays.taken(address, "eth0", MAC, until);
        assert!(relays.retain(now, |_| false, &[MAC].into()), "the address has moved on");
        relays.taken(address, "eth0", MAC, until);
        assert!(relays.retain(now, |_| true, &BTreeSet::new()), "its owner is gone");
        assert_eq!((relays.ends(), relays.table().len()), (None, 0));
    }
}
