//! The table of ways: one record for every address of a backend, present or recent.
//!
//! Established flows outlive their backend's place in the slices, so its way stays in the table, and is kept
//! resolved, until [`NextHops::forget`] hears that no flow uses it. At most [`MOST_LINGERING`] ways linger. A change of
//! addresses or ways costs what changes.

use super::{addresses::Addresses, environment::Environment, ids::IdPool};
use crate::routes::Ways;
use imbl::ordmap::DiffItem;
use penstock_dataplane::{
    table::{NextHop, NextHopId, Pages},
    wire::Family,
};
use std::collections::{BTreeMap, HashMap};

/// Ways kept for flows of backends that are gone. Beyond it the longest gone are let go.
const MOST_LINGERING: usize = 65536;

#[derive(Debug)]
pub(super) struct NextHops<F: Family> {
    /// Held once by every backend with the address, or once because it lingers.
    ids: IdPool<F::Addr>,
    /// Addresses that only flows may still want, in the order their backends went, and the other way round.
    lingering: BTreeMap<u64, F::Addr>,
    places: HashMap<F::Addr, u64>,
    order: u64,
    table: Pages<NextHop<F>>,
    /// What the table was made of.
    ways: Ways,
    /// Numbers whose address is another one since.
    touched: HashMap<u32, Option<F::Addr>>,
}

impl<F: Family> Default for NextHops<F> {
    fn default() -> Self {
        Self {
            ids: IdPool::default(),
            lingering: BTreeMap::new(),
            places: HashMap::new(),
            order: 0,
            table: Pages::default(),
            ways: Ways::new(),
            touched: HashMap::new(),
        }
    }
}

impl<F: Family> NextHops<F> {
    /// One more backend has this address.
    pub(super) fn hold(&mut self, address: F::Addr, addresses: &mut Addresses) {
        if let Some(place) = self.places.remove(&address) {
            // It goes on by the hold that it lingered by.
            self.lingering.remove(&place);
            addresses.unkeep(F::to_ip(address));
            return;
        }
        if let (id, true) = self.ids.hold(address) {
            self.touched.insert(id, Some(address));
            addresses.want(F::to_ip(address));
        }
    }

    /// One backend less has it.
    pub(super) fn drop(&mut self, address: F::Addr, addresses: &mut Addresses) {
        match self.ids.holders(&address) {
            0 => return,
            1 => {
                self.places.insert(address, self.order);
                self.lingering.insert(self.order, address);
                self.order += 1;
                addresses.keep(F::to_ip(address));
            }
            _ => drop(self.ids.drop(&address)),
        }
        if self.lingering.len() > MOST_LINGERING
            && let Some((_, address)) = self.lingering.pop_first()
        {
            self.let_go(address, addresses);
        }
    }

    /// Lets go the ways of gone backends that no flow uses, unless they have been back since.
    pub(super) fn forget(&mut self, unused: impl Iterator<Item = (F::Addr, u64)>, addresses: &mut Addresses) {
        for (address, place) in unused {
            if self.lingering.get(&place) == Some(&address) {
                self.lingering.remove(&place);
                self.let_go(address, addresses);
            }
        }
    }

    fn let_go(&mut self, address: F::Addr, addresses: &mut Addresses) {
        self.places.remove(&address);
        addresses.unkeep(F::to_ip(address));
        if let Some(id) = self.ids.drop(&address) {
            self.touched.insert(id, None);
            addresses.unwant(F::to_ip(address));
        }
    }

    pub(super) fn published(&mut self, generation: u64) {
        self.ids.published(generation);
    }

    pub(super) fn release(&mut self, oldest_in_use: u64) {
        self.ids.release(oldest_in_use);
    }

    /// The number of an address that is held.
    pub(super) fn id(&self, address: F::Addr) -> Option<NextHopId> {
        self.ids.get(&address).map(NextHopId)
    }

    /// The addresses that only flows may still want, and their places in the order of going.
    pub(super) fn lingering(&self) -> impl Iterator<Item = (F::Addr, u64)> {
        self.lingering.iter().map(|(place, address)| (*address, *place))
    }

    /// The table, the same one as before if nothing has changed.
    pub(super) fn table(&mut self, environment: &Environment) -> Pages<NextHop<F>> {
        let mut touched = std::mem::take(&mut self.touched);
        let before = std::mem::replace(&mut self.ways, environment.ways.clone());
        for item in before.diff(&self.ways) {
            let (DiffItem::Add(address, _)
            | DiffItem::Remove(address, _)
            | DiffItem::Update { new: (address, _), .. }) = item;
            let held = F::from_ip(*address).and_then(|address| Some((self.ids.get(&address)?, address)));
            if let Some((id, address)) = held {
                touched.insert(id, Some(address));
            }
        }
        let rows = touched.into_iter().map(|(id, address)| {
            let way = address.map_or(NextHop::UNRESOLVED, |address| environment.next_hop(address));
            (id as usize, way)
        });
        let rows: Vec<_> = rows.filter(|(id, way)| self.table.get(*id) != Some(way)).collect();
        self.table.set(rows, &NextHop::UNRESOLVED);
        self.table.clone()
    }
}
