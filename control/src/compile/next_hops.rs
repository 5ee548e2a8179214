//! The table of ways: one record for every address of a backend, present or recent.
//!
//! Established flows outlive their backend's place in the slices, so its way stays in the table, and is kept
//! resolved, until [`NextHops::forget`] hears that no flow uses it. At most [`MOST_LINGERING`] ways linger.

use super::{
    environment::{Environment, Reachability},
    ids::IdPool,
};
use penstock_dataplane::{
    table::{NextHop, NextHopId},
    wire::Family,
};
use std::{collections::BTreeMap, sync::Arc};

/// Ways kept for flows of backends that are gone. Beyond it the longest gone are let go.
const MOST_LINGERING: usize = 65536;

#[derive(Debug)]
pub(super) struct NextHops<F: Family> {
    ids: IdPool<F::Addr>,
    users: BTreeMap<F::Addr, Users>,
    /// Addresses that only flows may still want, in the order their backends went.
    lingering: BTreeMap<u64, F::Addr>,
    order: u64,
    table: Arc<Vec<NextHop<F>>>,
    /// What the table was made of.
    ways: Arc<Reachability>,
    /// Numbers whose address is another one since.
    touched: Vec<(u32, Option<F::Addr>)>,
}

#[derive(Debug, Clone, Copy)]
enum Users {
    /// Backends with this address.
    Backends(u32),
    /// The place in `lingering`.
    Lingering(u64),
}

impl<F: Family> Default for NextHops<F> {
    fn default() -> Self {
        Self {
            ids: IdPool::default(),
            users: BTreeMap::new(),
            lingering: BTreeMap::new(),
            order: 0,
            table: Arc::default(),
            ways: Arc::default(),
            touched: Vec::new(),
        }
    }
}

impl<F: Family> NextHops<F> {
    /// One more backend has this address.
    pub(super) fn hold(&mut self, address: F::Addr) {
        match self.users.entry(address).or_insert(Users::Backends(0)) {
            Users::Backends(0) => {
                let (id, _) = self.ids.hold(address);
                self.touched.push((id, Some(address)));
            }
            Users::Backends(_) => {}
            Users::Lingering(place) => drop(self.lingering.remove(place)),
        }
        let count = match self.users.get(&address) {
            Some(Users::Backends(count)) => *count,
            _ => 0,
        };
        self.users.insert(address, Users::Backends(count + 1));
    }

    /// One backend less has it.
    pub(super) fn drop(&mut self, address: F::Addr) {
        match self.users.get_mut(&address) {
            Some(users @ Users::Backends(1)) => {
                *users = Users::Lingering(self.order);
                self.lingering.insert(self.order, address);
                self.order += 1;
            }
            Some(Users::Backends(count)) => *count -= 1,
            Some(Users::Lingering(_)) | None => {}
        }
        if self.lingering.len() > MOST_LINGERING
            && let Some((_, address)) = self.lingering.pop_first()
        {
            self.let_go(address);
        }
    }

    /// Lets go the ways of gone backends that no flow uses, unless they have been back since.
    pub(super) fn forget(&mut self, unused: impl Iterator<Item = (F::Addr, u64)>) {
        for (address, place) in unused {
            if self.lingering.get(&place) == Some(&address) {
                self.lingering.remove(&place);
                self.let_go(address);
            }
        }
    }

    fn let_go(&mut self, address: F::Addr) {
        self.users.remove(&address);
        if let Some(id) = self.ids.drop(&address) {
            self.touched.push((id, None));
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

    /// All addresses whose ways are wanted.
    pub(super) fn addresses(&self) -> impl Iterator<Item = F::Addr> {
        self.users.keys().copied()
    }

    /// The addresses that only flows may still want, and their places in the order of going.
    pub(super) fn lingering(&self) -> impl Iterator<Item = (F::Addr, u64)> {
        self.lingering.iter().map(|(place, address)| (*address, *place))
    }

    /// The table, the same one as before if nothing has changed.
    pub(super) fn table(&mut self, environment: &Environment) -> Arc<Vec<NextHop<F>>> {
        let touched = std::mem::take(&mut self.touched);
        let other_ways = !Arc::ptr_eq(&self.ways, &environment.ways) && self.ways != environment.ways;
        self.ways = Arc::clone(&environment.ways);
        if other_ways || !touched.is_empty() {
            let mut table = Vec::clone(&self.table);
            table.resize(self.ids.bound(), NextHop::UNRESOLVED);
            let mut set = |id: u32, address: Option<F::Addr>| {
                table[id as usize] =
                    address.map_or(NextHop::UNRESOLVED, |address| environment.next_hop(address));
            };
            touched.into_iter().for_each(|(id, address)| set(id, address));
            if other_ways {
                self.ids.iter().for_each(|(address, id)| set(id, Some(*address)));
            }
            if table != *self.table {
                self.table = Arc::new(table);
            }
        }
        Arc::clone(&self.table)
    }
}
