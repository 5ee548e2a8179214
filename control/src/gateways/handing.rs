//! Addresses that another gateway is to have, and has not taken yet.
//!
//! Who loses an address to a gateway that is alive goes on answering for it until that one is heard, so that no client asks
//! in vain in between, and so that the new owner learns whose flows it has to relay. That takes some hundredths of a second;
//! it ends after a while in any case.

use crate::l2::{Interfaces, Plan};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

/// See the module.
#[derive(Debug, Default)]
pub struct Handing(BTreeMap<IpAddr, (Interfaces, Instant)>);

impl Handing {
    /// The plan was `before` and is `now`: what another node has of what was ours is handed over until `end`.
    pub fn replan(&mut self, before: &BTreeMap<IpAddr, Interfaces>, now: &Plan, end: Instant) {
        self.0.retain(|address, _| !now.mine.contains_key(address));
        let lost: Vec<_> = before.iter().filter(|(address, _)| !now.mine.contains_key(*address)).collect();
        if lost.is_empty() {
            return;
        }
        let owned = now.decisions.values().filter(|decision| decision.owner.is_some());
        let owned: BTreeSet<_> = owned.flat_map(|decision| &decision.addresses).collect();
        for (address, interfaces) in lost.into_iter().filter(|(address, _)| owned.contains(address)) {
            self.0.insert(*address, (interfaces.clone(), end));
        }
    }

    /// The new owner was heard.
    pub fn taken(&mut self, address: IpAddr) {
        self.0.remove(&address);
    }

    /// What is over is over. Whether anything was.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|_, (_, end)| now < *end);
        self.0.len() < before
    }

    /// When the next is over.
    pub fn ends(&self) -> Option<Instant> {
        self.0.values().map(|(_, end)| *end).min()
    }

    /// What is still answered for, and where.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, &Interfaces)> {
        self.0.iter().map(|(address, (interfaces, _))| (*address, interfaces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        l2::{Decision, Reason},
        objects::ObjectKey,
    };
    use std::{sync::Arc, time::Duration};

    fn plan(owner: Option<&str>, mine: bool) -> Plan {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let owner = owner.map(Into::into);
        let decision = Decision { owner, why: Reason::Only, addresses: vec![address], pool: None };
        Plan {
            decisions: [(ObjectKey::new("shop", "web"), Arc::new(decision))].into(),
            mine: mine.then_some((address, Interfaces::All)).into_iter().collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn what_another_has_is_answered_for_until_it_is_heard() {
        let now = Instant::now();
        let end = now + Duration::from_secs(1);
        let (ours, theirs) = (plan(Some("me"), true), plan(Some("you"), false));
        let mut handing = Handing::default();
        handing.replan(&ours.mine, &theirs, end);
        assert_eq!((handing.addresses().count(), handing.ends()), (1, Some(end)));
        handing.taken("192.0.2.1".parse().unwrap());
        assert_eq!(handing.addresses().count(), 0);

        handing.replan(&ours.mine, &theirs, end);
        handing.replan(&theirs.mine, &ours, end);
        assert_eq!(handing.addresses().count(), 0, "it is ours again");
        handing.replan(&ours.mine, &theirs, end);
        assert!(!handing.expire(now) && handing.expire(end));
        handing.replan(&ours.mine, &plan(None, false), end);
        assert_eq!(handing.addresses().count(), 0, "nobody is to answer for it");
    }
}
