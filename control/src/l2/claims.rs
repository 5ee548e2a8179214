//! All claims: what is wanted and what is heard goes in, what is to be sent and told comes out. No input or output of its
//! own, and no clock: the announcer lends both.
//!
//! Cost: a look-up a frame; what is due is found without looking at the rest. An address that is given up has nothing
//! waiting to be sent, so it is silent at once.

use super::{
    claim::{Action, Claim, Manners},
    event::Wanted,
    frame::{Heard, Say},
};
use penstock_dataplane::wire::EtherAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// An interface, by its place in the configuration.
pub(super) type Port = usize;

type Key = (IpAddr, Port);

/// See the module.
#[derive(Debug)]
pub(super) struct Claims {
    names: Vec<String>,
    /// The MACs of the interfaces that are up.
    macs: Vec<Option<EtherAddr>>,
    wanted: BTreeMap<IpAddr, Wanted>,
    claims: BTreeMap<Key, Claim>,
    due: BTreeSet<(Instant, Key)>,
    /// Gateways do not become strangers: one that is cut off from the API server still has its addresses.
    peers: BTreeSet<EtherAddr>,
    manners: Manners,
    /// What is to be done, and on which interface.
    pub(super) actions: Vec<(Port, Action)>,
}

impl Claims {
    pub(super) fn new(names: Vec<String>, gratuitous: Option<Duration>) -> Self {
        Self {
            macs: vec![None; names.len()],
            names,
            wanted: BTreeMap::new(),
            claims: BTreeMap::new(),
            due: BTreeSet::new(),
            peers: BTreeSet::new(),
            manners: Manners { defending: true, gratuitous },
            actions: Vec::new(),
        }
    }

    /// Sets what is to be announced. What is not in it is given up at once.
    pub(super) fn set(&mut self, wanted: BTreeMap<IpAddr, Wanted>, now: Instant) {
        self.wanted = wanted;
        let names = &self.names;
        let is_wanted = |(address, port): &Key| {
            self.wanted.get(address).is_some_and(|wanted| wanted.interfaces.contain(&names[*port]))
        };
        let gone: Vec<_> = self.claims.keys().filter(|key| !is_wanted(key)).copied().collect();
        for key in gone {
            self.drop(key);
        }
        for port in 0..self.names.len() {
            self.begin(port, now);
        }
    }

    /// Begins the claims on an interface that are wanted and not there, and looks again at those in conflict.
    fn begin(&mut self, port: Port, now: Instant) {
        if self.macs[port].is_none() {
            return;
        }
        let name = self.names[port].clone();
        let wanted: Vec<_> =
            self.wanted.iter().filter(|(_, wanted)| wanted.interfaces.contain(&name)).collect();
        let wanted: Vec<_> = wanted.into_iter().map(|(address, wanted)| (*address, wanted.before)).collect();
        for (address, before) in wanted {
            let key = (address, port);
            match self.claims.get(&key) {
                None => self.put(key, Claim::new(address, &name, before, now)),
                Some(claim) if claim.is_conflicting() => {
                    self.with(key, |claim, _, _| claim.set_again(now));
                }
                Some(_) => {}
            }
        }
    }

    /// Adds to the other gateways' MACs.
    pub(super) fn add_peers(&mut self, peers: BTreeSet<EtherAddr>, now: Instant) {
        let new: Vec<_> = peers.difference(&self.peers).copied().collect();
        self.peers.extend(peers);
        for mac in new {
            let left = self.claims.iter().filter(|(_, claim)| claim.is_left_to(mac));
            let left: Vec<_> = left.map(|(key, _)| *key).collect();
            for key in left {
                self.with(key, |claim, _, _| claim.set_again(now));
            }
        }
    }

    /// The flows to these addresses find the way to their former owners from now on.
    pub(super) fn proceed(&mut self, addresses: &BTreeSet<IpAddr>, now: Instant) {
        let is_meant = |(address, _): &&Key| addresses.contains(address);
        for key in self.claims.keys().filter(is_meant).copied().collect::<Vec<_>>() {
            self.with(key, |claim, manners, actions| claim.proceed(now, manners, actions));
        }
    }

    /// Says whether addresses are held against other gateways.
    pub(super) fn set_defending(&mut self, defending: bool, now: Instant) {
        let begins = defending && !self.manners.defending;
        self.manners.defending = defending;
        if begins {
            let keys: Vec<_> = self.claims.keys().copied().collect();
            for key in keys {
                self.with(key, |claim, _, _| claim.defend_again(now));
            }
        }
    }

    /// An interface is up, or has another MAC now.
    pub(super) fn up(&mut self, port: Port, mac: EtherAddr, now: Instant) {
        let before = self.macs[port].replace(mac);
        if before.is_some_and(|before| before != mac) {
            let keys: Vec<_> = self.claims.keys().filter(|(_, at)| *at == port).copied().collect();
            for key in keys {
                self.with(key, |claim, _, _| claim.refresh(now));
            }
        }
        self.begin(port, now);
    }

    /// An interface is down or gone. When it is back, its addresses may be somebody else's.
    pub(super) fn down(&mut self, port: Port) {
        self.macs[port] = None;
        let gone: Vec<_> = self.claims.keys().filter(|(_, at)| *at == port).copied().collect();
        for key in gone {
            self.drop(key);
        }
    }

    /// Takes in what was heard on an interface.
    pub(super) fn heard(&mut self, port: Port, heard: Heard, now: Instant) {
        let is_own = |ether: EtherAddr| self.macs.contains(&Some(ether));
        let asked = heard.asked.filter(|(_, asker)| !is_own(asker.ether));
        // Two interfaces of ours may be on one wire.
        let claimed = heard.claimed.filter(|claimed| !is_own(claimed.ether));
        if let Some(claimed) = claimed
            && self.claims.contains_key(&(claimed.address, port))
        {
            let is_peer = self.peers.contains(&claimed.ether);
            self.with((claimed.address, port), |claim, manners, actions| {
                claim.heard(claimed, is_peer, now, manners, actions);
            });
        }
        if let Some((address, asker)) = asked
            && self.claims.get(&(address, port)).is_some_and(Claim::is_announced)
        {
            self.actions.push((port, Action::Say(Say::Answer(address, asker))));
        }
    }

    /// Does what is due, of `limit` claims at the most.
    pub(super) fn tick(&mut self, now: Instant, limit: usize) {
        for _ in 0..limit {
            let Some((_, key)) = self.due.first().copied().filter(|(due, _)| *due <= now) else { return };
            self.with(key, |claim, manners, actions| claim.tick(now, manners, actions));
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many interfaces there are.
    pub(super) fn ports(&self) -> usize {
        self.names.len()
    }

    /// The solicited-node groups that questions on this interface come to.
    pub(super) fn groups(&self, port: Port) -> BTreeSet<Ipv6Addr> {
        let here = self.claims.keys().filter(|(_, at)| *at == port);
        here.filter_map(|(address, _)| match address {
            IpAddr::V6(v6) => Some(penstock_dataplane::wire::solicited_node(*v6)),
            IpAddr::V4(_) => None,
        })
        .collect()
    }

    fn drop(&mut self, key: Key) -> Option<Claim> {
        let claim = self.claims.remove(&key)?;
        if let Some(due) = claim.due() {
            self.due.remove(&(due, key));
        }
        Some(claim)
    }

    fn put(&mut self, key: Key, claim: Claim) {
        self.due.extend(claim.due().map(|due| (due, key)));
        self.claims.insert(key, claim);
    }

    /// Changes a claim, and takes what it wants done.
    fn with(&mut self, key: Key, change: impl FnOnce(&mut Claim, Manners, &mut Vec<Action>)) {
        let Some(mut claim) = self.drop(key) else { return };
        let mut actions = Vec::new();
        change(&mut claim, self.manners, &mut actions);
        self.actions.extend(actions.into_iter().map(|action| (key.1, action)));
        self.put(key, claim);
    }
}

#[cfg(test)]
mod tests;
