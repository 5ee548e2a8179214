//! The pure core: news goes in by [`State::apply`], questions come out, and [`State::view`](super::resolve) is what
//! follows from it all. No I/O, no clock of its own.
//!
//! Two kinds of question come out: [`State::take_doubtful`] (targets whose FIB look-up may have changed, to be
//! answered by [`State::answered`]) and [`State::due_asks`](super::asks) (neighbours to be asked for).
//!
//! What makes a look-up doubtful: a route change, those targets that its prefix covers; a change of an address, of
//! a rule or of a configured interface, all of them, as the kernel drops routes and changes its choice of source
//! then without telling; a change of another interface, those that leave by it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::asks::Asks;
use super::facts::{
    AddressFacts, AddressKey, Answer, Event, IfIndex, Link, Neighbour, NeighbourKey, NeighbourState,
};

/// What is known and what was concluded.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The configured interfaces.
    pub(super) ports: Vec<(u8, String)>,
    /// The targets, each with its last answer.
    pub(super) targets: BTreeMap<IpAddr, Option<Answer>>,
    pub(super) links: BTreeMap<IfIndex, Link>,
    pub(super) addresses: BTreeMap<AddressKey, AddressFacts>,
    pub(super) neighbours: HashMap<NeighbourKey, Neighbour>,
    /// Neighbours that did not answer and have not been heard of since. They are asked again and again, and must
    /// not look like a change each time.
    pub(super) silent: HashSet<NeighbourKey>,
    pub(super) asks: Asks,
    doubtful: BTreeSet<IpAddr>,
    touched: bool,
}

impl State {
    pub(super) fn new(ports: Vec<(u8, String)>) -> Self {
        Self { ports, touched: true, ..Self::default() }
    }

    /// Starts again from a full reading of the kernel's tables.
    pub(super) fn restart(&mut self, reading: Vec<Event>) {
        self.links.clear();
        self.addresses.clear();
        self.neighbours.clear();
        for event in reading {
            self.apply(event);
        }
        self.doubt_all();
        self.touched = true;
    }

    /// Sets the addresses to reach.
    pub(super) fn set_targets(&mut self, targets: &BTreeSet<IpAddr>) {
        let before = self.targets.len();
        self.targets.retain(|target, _| targets.contains(target));
        self.doubtful.retain(|target| targets.contains(target));
        self.touched |= self.targets.len() != before;
        for &target in targets {
            if let Entry::Vacant(unknown) = self.targets.entry(target) {
                unknown.insert(None);
                self.doubtful.insert(target);
                self.touched = true;
            }
        }
    }

    /// Takes in one piece of news. Any order and any repetition ends in the same state as the last news of each
    /// thing: news that is older than a full reading does no lasting harm, as newer news of it follows.
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Link(link) => {
                if self.links.get(&link.index) != Some(&link) {
                    let index = link.index;
                    self.doubt_link(index);
                    self.links.insert(index, link);
                    self.doubt_link(index);
                    self.touched = true;
                }
            }
            Event::LinkGone(index) => {
                self.doubt_link(index);
                self.touched |= self.links.remove(&index).is_some();
                self.addresses.retain(|key, _| key.interface != index);
                self.neighbours.retain(|key, _| key.interface != index);
                self.silent.retain(|key| key.interface != index);
            }
            Event::Address(key, facts) => {
                if self.addresses.insert(key, facts) != Some(facts) {
                    self.doubt_all();
                    self.touched = true;
                }
            }
            Event::AddressGone(key) => {
                if self.addresses.remove(&key).is_some() {
                    self.doubt_all();
                    self.touched = true;
                }
            }
            Event::Neighbour(key, neighbour) => {
                if neighbour.mac.is_some() {
                    self.silent.remove(&key);
                } else if neighbour.state == NeighbourState::Failed {
                    self.silent.insert(key);
                }
                self.touched |= self.neighbours.insert(key, neighbour) != Some(neighbour);
            }
            Event::NeighbourGone(key) => self.touched |= self.neighbours.remove(&key).is_some(),
            Event::Route(prefix) => self.doubt_prefix(prefix),
            Event::Rule => self.doubt_all(),
        }
    }

    /// Takes the targets that must be looked up (again).
    pub(super) fn take_doubtful(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.doubtful)
    }

    /// Takes in what a look-up said.
    pub(super) fn answered(&mut self, target: IpAddr, answer: Answer) {
        if let Some(last) = self.targets.get_mut(&target)
            && last.as_ref() != Some(&answer)
        {
            *last = Some(answer);
            self.touched = true;
        }
    }

    /// Whether the view may have changed since this was last asked.
    pub(super) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Doubts every target.
    pub(super) fn doubt_all(&mut self) {
        self.doubtful.extend(self.targets.keys());
    }

    fn doubt_prefix(&mut self, prefix: IpNet) {
        // Addresses order by family and then by value, so a prefix is a range of the targets. (`broadcast` is the
        // last address of a prefix, in IPv6 too.)
        let range = self.targets.range(prefix.network()..=prefix.broadcast());
        self.doubtful.extend(range.map(|(target, _)| target));
    }

    /// Doubts what may go by a link that changes.
    fn doubt_link(&mut self, index: IfIndex) {
        if self.links.get(&index).is_some_and(|link| self.place(link).is_ours()) {
            return self.doubt_all();
        }
        let by_it = self
            .targets
            .iter()
            .filter(|(_, answer)| matches!(answer, Some(Answer::Via(via)) if via.interface == index));
        self.doubtful.extend(by_it.map(|(target, _)| target));
    }

    /// Where a link is, seen from the configured interfaces.
    pub(super) fn place<'a>(&'a self, link: &'a Link) -> Place<'a> {
        if let Some(port) = self.port_named(&link.name) {
            return Place::Port { port, vlan: None, device: link };
        }
        let Some(vlan) = link.vlan else { return Place::Foreign };
        let Some(lower) = self.links.get(&vlan.lower).filter(|lower| lower.index != link.index) else {
            return Place::Foreign;
        };
        match self.port_named(&lower.name) {
            Some(port) if !vlan.service_tag => Place::Port { port, vlan: Some(vlan.id), device: lower },
            Some(_) => Place::Stack,
            // Tags on tags. The kernel refuses deep stacks and loops, so one more level tells enough.
            None => match lower.vlan.and_then(|vlan| self.links.get(&vlan.lower)) {
                Some(lowest) if self.port_named(&lowest.name).is_some() => Place::Stack,
                _ => Place::Foreign,
            },
        }
    }

    fn port_named(&self, name: &str) -> Option<u8> {
        self.ports.iter().find(|(_, port)| port == name).map(|&(port, _)| port)
    }
}

/// Where a link is, seen from the configured interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// It is one of them, or a VLAN on one.
    Port { port: u8, vlan: Option<u16>, device: &'a Link },
    /// It is on one of them, with tags that are not supported.
    Stack,
    /// It has nothing to do with them.
    Foreign,
}

impl Place<'_> {
    fn is_ours(self) -> bool {
        matches!(self, Self::Port { .. } | Self::Stack)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
