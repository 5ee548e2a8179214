//! Destinations that are no Service's any more, but that established flows may still be using (§3.12).
//!
//! A VIP that goes, and a port of node addresses, stay captured until [`Departed::forget`] hears that no flow uses them,
//! so that the packets of those flows keep coming to us. New flows to them are the kernel's. Bounded: beyond
//! [`MOST_DEPARTED`] of each kind the longest gone are let go.

use super::{
    capture::of_family,
    changes::Captured,
    family::{FamilyTables, Shared},
};
use penstock_dataplane::{
    table::{Transport, VipIndex},
    wire::Family,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// VIPs, and ports, kept for flows.
const MOST_DEPARTED: usize = 16384;

/// By VIP and by port: when it went, in the order of departures.
#[derive(Debug)]
pub(super) struct Departed<F: Family> {
    pub(super) vips: BTreeMap<F::Addr, u64>,
    pub(super) ports: BTreeMap<(Transport, u16), u64>,
    order: u64,
}

impl<F: Family> Default for Departed<F> {
    fn default() -> Self {
        Self { vips: BTreeMap::new(), ports: BTreeMap::new(), order: 0 }
    }
}

/// The ports of node addresses that Services have.
type Ports = BTreeSet<(Transport, u16)>;

impl<F: Family> Departed<F> {
    /// Notes what has gone and what is back, now that one index has replaced another.
    fn note(&mut self, old: (&VipIndex<F>, &Ports), new: (&VipIndex<F>, &Ports)) {
        self.order += 1;
        let ports = |(index, tuples): (&VipIndex<F>, &Ports)| -> Ports {
            index.node_ports.keys().chain(tuples).copied().collect()
        };
        let (old_ports, new_ports) = (ports(old), ports(new));
        let gone = old.0.addresses.keys().filter(|vip| !new.0.addresses.contains_key(*vip));
        self.vips.extend(gone.map(|vip| (*vip, self.order)));
        self.vips.retain(|vip, _| !new.0.addresses.contains_key(vip));
        self.ports.extend(old_ports.difference(&new_ports).map(|port| (*port, self.order)));
        self.ports.retain(|port, _| !new_ports.contains(port));
        bound(&mut self.vips);
        bound(&mut self.ports);
    }

    /// Lets go what nothing uses, unless it has been back since.
    pub(super) fn forget(
        &mut self,
        vips: impl Iterator<Item = (F::Addr, u64)>,
        ports: impl Iterator<Item = ((Transport, u16), u64)>,
    ) {
        forget(&mut self.vips, vips);
        forget(&mut self.ports, ports);
    }
}

fn forget<K: Ord>(departed: &mut BTreeMap<K, u64>, unused: impl Iterator<Item = (K, u64)>) {
    for (key, order) in unused {
        if departed.get(&key) == Some(&order) {
            departed.remove(&key);
        }
    }
}

fn bound<K: Ord + Copy>(departed: &mut BTreeMap<K, u64>) {
    while departed.len() > MOST_DEPARTED
        && let Some(key) = departed.iter().min_by_key(|(_, order)| **order).map(|(key, _)| *key)
    {
        departed.remove(&key);
    }
}

impl<F: Family> FamilyTables<F> {
    /// Puts another index in place.
    pub(super) fn replace_index(&mut self, index: VipIndex<F>, node_tuples: Ports, shared: &mut Shared) {
        if index != *self.index || node_tuples != self.node_tuples {
            self.departed.note((&self.index, &self.node_tuples), (&index, &node_tuples));
            self.recapture(&index, &node_tuples, &mut shared.captured);
        }
        if index != *self.index {
            self.index = Arc::new(index);
        }
        self.node_tuples = node_tuples;
    }

    /// Replaces what is captured because of the index by what is because of this one.
    fn recapture(&self, index: &VipIndex<F>, node_tuples: &Ports, captured: &mut Captured) {
        for vip in self.index.addresses.keys().filter(|vip| !index.addresses.contains_key(*vip)) {
            captured.vips.remove(&F::to_ip(*vip));
        }
        for vip in index.addresses.keys().filter(|vip| !self.index.addresses.contains_key(*vip)) {
            captured.vips.insert(F::to_ip(*vip));
        }
        let has = |index: &VipIndex<F>, tuples: &Ports, port| {
            index.node_ports.contains_key(port) || tuples.contains(port)
        };
        let old = self.index.node_ports.keys().chain(&self.node_tuples);
        for port in old.filter(|port| !has(index, node_tuples, port)) {
            captured.node_ports.remove(&of_family::<F>(port));
        }
        let new = index.node_ports.keys().chain(node_tuples);
        for port in new.filter(|port| !has(&self.index, &self.node_tuples, port)) {
            captured.node_ports.insert(of_family::<F>(port));
        }
    }

    /// Tells the path whose flows are still to be found. An address of the node itself is not captured whole.
    pub(super) fn mark_departed(&mut self) {
        let departed: BTreeSet<_> =
            self.departed.vips.keys().filter(|vip| !self.host.contains(vip)).copied().collect();
        if departed.len() != self.index.departed.len()
            || !departed.iter().all(|vip| self.index.departed.contains(vip))
        {
            let mut index = VipIndex::clone(&self.index);
            index.departed = departed.into_iter().collect();
            self.index = Arc::new(index);
        }
    }

    /// Adds what the classifier should still capture.
    pub(super) fn captured_departed(&self, captured: &mut Captured) {
        captured.departed_vips.extend(self.index.departed.iter().map(|vip| F::to_ip(*vip)));
        captured.departed_ports.extend(self.departed.ports.keys().map(of_family::<F>));
    }
}
