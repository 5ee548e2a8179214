//! A set of addresses, kept as runs of neighbours, so that the first one missing from a prefix is found at once.
//!
//! Addresses are handed out in ascending order, so what is taken is a few long runs, whatever its number. Adding, removing
//! and finding cost a look-up each.

use crate::model::IpFamily;
use ipnet::IpNet;
use std::{collections::BTreeMap, net::IpAddr};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Runs {
    v4: Family,
    v6: Family,
}

/// The first of each run, and its last.
type Family = BTreeMap<u128, u128>;

impl Runs {
    /// Adds an address that is not in it.
    pub(super) fn insert(&mut self, address: IpAddr) {
        let (family, number) = self.place(address);
        let after = number.checked_add(1).and_then(|next| family.remove(&next));
        let last = after.unwrap_or(number);
        match family.range_mut(..number).next_back() {
            Some((_, before)) if number.checked_sub(1) == Some(*before) => *before = last,
            _ => drop(family.insert(number, last)),
        }
    }

    /// Removes an address that is in it.
    pub(super) fn remove(&mut self, address: IpAddr) {
        let (family, number) = self.place(address);
        let Some((first, last)) = run(family, number) else { return };
        family.remove(&first);
        if first < number {
            family.insert(first, number - 1);
        }
        if number < last {
            family.insert(number + 1, last);
        }
    }

    /// The first address of a prefix that is not in it and is `wanted`. The cost is that of the runs within the prefix,
    /// and of the addresses that are not wanted.
    pub(super) fn first_missing(&self, prefix: IpNet, wanted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let (family, of) = match prefix {
            IpNet::V4(_) => (&self.v4, IpFamily::V4),
            IpNet::V6(_) => (&self.v6, IpFamily::V6),
        };
        let (mut next, last) = (number(prefix.network()), number(prefix.broadcast()));
        while next <= last {
            if let Some((_, end)) = run(family, next) {
                next = end.checked_add(1)?;
                continue;
            }
            let address = address(of, next);
            if wanted(address) {
                return Some(address);
            }
            next = next.checked_add(1)?;
        }
        None
    }

    fn place(&mut self, address: IpAddr) -> (&mut Family, u128) {
        let family = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        (family, number(address))
    }
}

/// The run that has this number.
fn run(family: &Family, number: u128) -> Option<(u128, u128)> {
    let (first, last) = family.range(..=number).next_back()?;
    (number <= *last).then_some((*first, *last))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn address(family: IpFamily, number: u128) -> IpAddr {
    match family {
        IpFamily::V4 => IpAddr::V4((number as u32).into()),
        IpFamily::V6 => IpAddr::V6(number.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((any::<bool>(), 0u8..32), 0..200)) {
            let prefix: IpNet = "255.255.255.224/27".parse().unwrap();
            let at = |index: u8| IpAddr::V4((u32::MAX - 31 + u32::from(index)).into());
            let (mut runs, mut oracle) = (Runs::default(), BTreeSet::new());
            for (add, index) in steps {
                if add && oracle.insert(index) {
                    runs.insert(at(index));
                } else if !add && oracle.remove(&index) {
                    runs.remove(at(index));
                }
                let even = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[3] % 2 == 0);
                let missing = |wanted: fn(&u8) -> bool| {
                    (0..32).filter(wanted).find(|index| !oracle.contains(index)).map(at)
                };
                prop_assert_eq!(runs.first_missing(prefix, |_| true), missing(|_| true));
                prop_assert_eq!(runs.first_missing(prefix, even), missing(|index| index % 2 == 0));
            }
            let neighbours = runs.v4.iter().zip(runs.v4.keys().skip(1));
            prop_assert!(neighbours.clone().all(|((_, last), next)| last + 1 < *next), "runs that touch are one");
        }
    }

    #[test]
    fn the_last_addresses_there_are() {
        let mut runs = Runs::default();
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127";
        for last in ["fffe", "ffff"] {
            let address: IpAddr = format!("ffff:ffff:ffff:ffff:ffff:ffff:ffff:{last}").parse().unwrap();
            assert_eq!(runs.first_missing(all.parse().unwrap(), |_| true), Some(address));
            runs.insert(address);
        }
        assert_eq!(runs.first_missing(all.parse().unwrap(), |_| true), None);
    }
}
