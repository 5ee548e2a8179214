//! The pure core: news goes in by [`State::apply`], questions come out, and [`State::view`](super::resolve) is what
//! follows from it all. No I/O, no clock of its own.
//!
//! Two kinds of question come out: [`State::take_doubtful`] (targets whose FIB look-up may have changed, to be
//! answered by [`State::answered`]) and [`State::due_asks`](super::asks) (neighbours to be asked for).
//!
//! What makes a look-up doubtful: a route change, those targets that its prefix covers; a change of an address, of
//! a rule or of a configured interface, all of them, as the kernel drops routes and changes its choice of source
//! then without telling; a change of another interface, those that leave by it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use imbl::OrdSet;
use ipnet::IpNet;

use super::asks::Asks;
use super::facts::{
    AddressFacts, AddressKey, Answer, Event, IfIndex, Link, Neighbour, NeighbourKey, NeighbourState,
};
use super::targets::Targets;

/// The most look-ups at a time, so that new targets do not wait for all others.
const MOST_LOOK_UPS: usize = 2048;

/// What is known and what was concluded.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The configured interfaces.
    pub(super) ports: Vec<(u8, String)>,
    /// The targets, each with its last answer.
    pub(super) targets: Targets,
    pub(super) links: BTreeMap<IfIndex, Link>,
    pub(super) addresses: BTreeMap<AddressKey, AddressFacts>,
    pub(super) neighbours: HashMap<NeighbourKey, Neighbour>,
    /// Neighbours that did not answer and have not been heard of since. They are asked again and again, and must
    /// not look like a change each time.
    pub(super) silent: HashSet<NeighbourKey>,
    pub(super) asks: Asks,
    doubtful: BTreeSet<IpAddr>,
    /// Targets that were never looked up: they come first.
    unknown: BTreeSet<IpAddr>,
    /// The last target that was looked up without a reason.
    reviewed: Option<IpAddr>,
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
        self.touch_all();
    }

    /// Sets the addresses to reach.
    pub(super) fn set_targets(&mut self, targets: &OrdSet<IpAddr>) {
        let before = self.targets.len();
        let new = self.targets.set(targets);
        self.touched |= !new.is_empty() || self.targets.len() != before;
        self.unknown.extend(new);
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
                    self.touch_all();
                }
            }
            Event::LinkGone(index) => {
                self.doubt_link(index);
                if self.links.remove(&index).is_some() {
                    self.touch_all();
                }
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
                if self.neighbours.insert(key, neighbour) != Some(neighbour) {
                    self.touch(key);
                }
            }
            Event::NeighbourGone(key) => {
                if self.neighbours.remove(&key).is_some() {
                    self.touch(key);
                }
            }
            Event::Route(prefix) => self.doubt_prefix(prefix),
            Event::Rule => self.doubt_all(),
        }
    }

    /// Takes the targets that must be looked up (again), as many as are to be at a time: those that nothing is known of
    /// first.
    pub(super) fn take_doubtful(&mut self) -> BTreeSet<IpAddr> {
        let mut taken = BTreeSet::new();
        for doubtful in [&mut self.unknown, &mut self.doubtful] {
            while taken.len() < MOST_LOOK_UPS
                && let Some(target) = doubtful.pop_first()
            {
                if self.targets.contains(target) {
                    taken.insert(target);
                }
            }
        }
        taken
    }

    /// Whether there are targets that must be looked up.
    pub(super) fn is_doubtful(&self) -> bool {
        !(self.unknown.is_empty() && self.doubtful.is_empty())
    }

    /// Takes in what a look-up said.
    pub(super) fn answered(&mut self, target: IpAddr, answer: Answer) {
        self.touched |= self.targets.answered(target, answer);
    }

    /// Whether the view may have changed since this was last asked.
    pub(super) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Something about this neighbour has changed.
    pub(super) fn touch(&mut self, neighbour: NeighbourKey) {
        self.targets.doubt_ways_by(neighbour);
        self.touched = true;
    }

    /// Something has changed that any way may follow from.
    fn touch_all(&mut self) {
        self.targets.doubt_ways();
        self.touched = true;
    }

    /// Doubts every target.
    pub(super) fn doubt_all(&mut self) {
        self.doubtful.extend(self.targets.iter().map(|(target, _)| target));
    }

    /// Doubts the next targets in turn: in so many turns all of them.
    pub(super) fn doubt_in_turn(&mut self, turns: usize) {
        let next = self.targets.after(self.reviewed, self.targets.len().div_ceil(turns));
        self.reviewed = next.last().copied();
        self.doubtful.extend(next);
    }

    fn doubt_prefix(&mut self, prefix: IpNet) {
        // Addresses order by family and then by value, so a prefix is a range of the targets. (`broadcast` is the
        // last address of a prefix, in IPv6 too.)
        self.doubtful.extend(self.targets.range(prefix.network(), prefix.broadcast()));
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
