//! Who has which addresses, and who else may have them too (§5.4).
//!
//! A *guest* is a Service that somebody else gives addresses to, such as a MetalLB that is still there: what it has is given
//! to nobody, but a Service of ours that has it already is not made to give it up.

use super::{
    error::Pending,
    pool::Pool,
    request::{Request, Sharing},
    runs::Runs,
};
use crate::{model::IpFamily, objects::ObjectKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    held: BTreeMap<ObjectKey, Held>,
    users: BTreeMap<IpAddr, BTreeSet<ObjectKey>>,
    taken: Runs,
    /// The Services of each sharing key.
    sharers: BTreeMap<String, BTreeSet<ObjectKey>>,
}

/// What one Service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) sharing: Sharing,
    pub(super) is_guest: bool,
}

/// Whether a Service asks for an address or has it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody else may have it, or only those who share it.
    New,
    /// The same, but a guest does not count.
    Kept,
}

impl Holdings {
    /// A Service has these from now on, which had none.
    pub(super) fn hold(&mut self, service: &ObjectKey, held: Held) {
        for address in &held.addresses {
            let users = self.users.entry(*address).or_default();
            if users.is_empty() {
                self.taken.insert(*address);
            }
            users.insert(service.clone());
        }
        if !held.sharing.key.is_empty() {
            self.sharers.entry(held.sharing.key.clone()).or_default().insert(service.clone());
        }
        self.held.insert(service.clone(), held);
    }

    /// A Service has nothing any more. What it had.
    pub(super) fn release(&mut self, service: &ObjectKey) -> Option<Held> {
        let held = self.held.remove(service)?;
        for address in &held.addresses {
            if remove(&mut self.users, address, service) {
                self.taken.remove(*address);
            }
        }
        remove(&mut self.sharers, &held.sharing.key, service);
        Some(held)
    }

    /// What a Service has.
    pub(super) fn addresses(&self, service: &ObjectKey) -> &[IpAddr] {
        self.held.get(service).map_or(&[], |held| &held.addresses)
    }

    /// Who has an address.
    pub(super) fn users(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> + Clone {
        self.users.get(&address).into_iter().flatten()
    }

    /// All addresses that somebody has.
    pub(super) fn taken(&self) -> impl Iterator<Item = IpAddr> {
        self.users.keys().copied()
    }

    /// The guests that have an address.
    pub(super) fn guests(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.users(address).filter(|user| self.held.get(user).is_some_and(|held| held.is_guest))
    }

    /// Nobody has the address, or all who have it share it with this Service, which has nothing yet.
    pub(super) fn require_free(
        &self,
        request: &Request,
        address: IpAddr,
        claim: Claim,
    ) -> Result<(), Pending> {
        let counts = |held: &&Held| claim == Claim::New || !held.is_guest;
        let others = self.users(address).filter_map(|user| self.held.get(user)).filter(counts);
        let mine = &request.sharing;
        for Held { sharing: theirs, .. } in others.clone() {
            let shared = !mine.key.is_empty() && mine.key == theirs.key;
            if !shared || (mine.is_local, &mine.backend) != (theirs.is_local, &theirs.backend) {
                let names: Vec<_> = self.users(address).map(ToString::to_string).collect();
                return Err(Pending::Held { service: request.service.clone(), others: names.join(",") });
            }
        }
        let clash = others.flat_map(|theirs| theirs.sharing.ports.intersection(&mine.ports)).next();
        match clash {
            Some(&(transport, port)) => Err(Pending::Port { transport, port, address }),
            None => Ok(()),
        }
    }

    /// The first address of a pool, in the order of allocation, that nobody has or that is shared with this Service.
    pub(super) fn first_free(&self, request: &Request, pool: &Pool, of: IpFamily) -> Option<IpAddr> {
        let unused = pool.prefixes_of(of).find_map(|(place, prefix)| {
            let address = self.taken.first_missing(prefix, |address| pool.contains(address))?;
            Some((place, address))
        });
        let sharers = self.sharers.get(&request.sharing.key).into_iter().flatten();
        let shared = sharers
            .filter_map(|sharer| self.held.get(sharer))
            .flat_map(|held| &held.addresses)
            .filter(|address| IpFamily::of(**address) == of && pool.contains(**address))
            .filter(|address| self.require_free(request, **address, Claim::New).is_ok())
            .filter_map(|address| Some((pool.place(*address)?, *address)));
        unused.into_iter().chain(shared).min().map(|(_, address)| address)
    }
}

/// Whether nobody is left there.
fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<ObjectKey>>, at: &K, service: &ObjectKey) -> bool {
    let Some(services) = map.get_mut(at) else { return false };
    services.remove(service);
    let is_empty = services.is_empty();
    if is_empty {
        map.remove(at);
    }
    is_empty
}
