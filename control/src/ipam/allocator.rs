//! Who has which address, and who gets which next (§5.3, §5.4).
//!
//! In: pools, namespaces' labels, and requests, each with the addresses that the Service's status has. Out: the addresses
//! it is to have. An address is kept as long as it may be; a Service that may not keep its own gets another at once. What
//! is taken is known by the Services that were settled, so whoever settles all begins with those that have addresses.

use super::{
    error::{Listed, Pending, RequestError},
    holdings::{Claim, Held, Holdings},
    pool::{Pool, Usage},
    pools::Pools,
    request::{Families, Request, Sharing},
};
use crate::{model::IpFamily, objects::ObjectKey, selector::Labels};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What a Service is to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Its addresses, in the order that its status is to list them.
    pub addresses: Vec<IpAddr>,
    /// The pool they are from.
    pub pool: Option<String>,
    /// Why it may not keep an address that it had.
    pub cleared: Option<Pending>,
    /// Why it has none.
    pub pending: Option<Pending>,
    /// It would have an address of the second family too, if its pool had one.
    pub lacks_second: bool,
    /// One of its addresses that a Service which is not ours has too.
    pub guest: Option<(IpAddr, ObjectKey)>,
    /// Others may have what it had before, so that those who wait are to be settled again.
    pub freed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Allocator {
    pools: Pools,
    namespaces: BTreeMap<String, Labels>,
    holdings: Holdings,
    /// Whether the usage of pools may be another than when it was asked for last.
    is_usage_stale: bool,
}

impl Allocator {
    /// Other pools. Every Service is to be settled again.
    pub fn set_pools(&mut self, pools: Pools) {
        self.pools = pools;
        self.is_usage_stale = true;
    }

    /// The pools.
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// The labels of namespaces. Whether they are others, so that every Service is to be settled again.
    pub fn set_namespaces(&mut self, namespaces: BTreeMap<String, Labels>) -> bool {
        let differ = self.namespaces != namespaces;
        self.namespaces = namespaces;
        differ
    }

    /// Settles one, whose status has the addresses `present`.
    pub fn settle(&mut self, request: &Request, present: &[IpAddr]) -> Settled {
        let before = self.holdings.release(&request.service);
        let mut settled = self.kept(request, present);
        if settled.addresses.is_empty() {
            match self.allocate(request) {
                Ok((pool, addresses)) => {
                    (settled.addresses, settled.pool) = (addresses, Some(pool.name.clone()))
                }
                Err(pending) => settled.pending = Some(pending),
            }
        }
        self.add_second(request, &mut settled);
        self.hold(request, before, settled)
    }

    /// Lets a Service keep what it has, if it may; it gets nothing else, since what it asks for cannot be read.
    pub fn retain(&mut self, request: &Request, present: &[IpAddr], fault: RequestError) -> Settled {
        let before = self.holdings.release(&request.service);
        let settled = Settled { pending: Some(Pending::Request(fault)), ..self.kept(request, present) };
        self.hold(request, before, settled)
    }

    /// Somebody else has given these addresses to a Service that has none here: nobody gets them.
    pub fn reserve(&mut self, service: &ObjectKey, addresses: &[IpAddr]) {
        if !addresses.is_empty() {
            self.is_usage_stale = true;
            let sharing = Sharing::default();
            self.holdings.hold(service, Held { addresses: addresses.to_vec(), sharing, is_guest: true });
        }
    }

    /// The Service is gone, or asks for nothing any more. Whether that freed an address, so that others are to be
    /// settled again.
    pub fn release(&mut self, service: &ObjectKey) -> bool {
        let freed = self.holdings.release(service).is_some_and(|held| !held.addresses.is_empty());
        self.is_usage_stale |= freed;
        freed
    }

    /// What a Service has.
    pub fn addresses(&self, service: &ObjectKey) -> &[IpAddr] {
        self.holdings.addresses(service)
    }

    /// Who has an address.
    pub fn users(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.holdings.users(address)
    }

    /// How much of each pool is used, if that may have changed since this was asked last.
    pub fn changed_usage(&mut self) -> Option<BTreeMap<&str, Usage>> {
        std::mem::take(&mut self.is_usage_stale).then(|| self.usage())
    }

    /// How much of each pool is used, by name.
    pub fn usage(&self) -> BTreeMap<&str, Usage> {
        let families = [IpFamily::V4, IpFamily::V6];
        let fresh = |pool: &Pool| Usage { assigned: [0; 2], available: families.map(|of| pool.capacity(of)) };
        let mut all: BTreeMap<_, _> =
            self.pools.iter().map(|pool| (pool.name.as_str(), fresh(pool))).collect();
        for address in self.holdings.taken() {
            let Some(usage) = self.pools.with(&[address]).and_then(|pool| all.get_mut(pool.name.as_str()))
            else {
                continue;
            };
            let place = usize::from(address.is_ipv6());
            usage.assigned[place] += 1;
            if usage.available[place] < i64::MAX {
                usage.available[place] -= 1;
            }
        }
        all
    }

    fn hold(&mut self, request: &Request, before: Option<Held>, mut settled: Settled) -> Settled {
        let addresses = settled.addresses.clone();
        settled.guest = addresses
            .iter()
            .find_map(|address| Some((*address, self.holdings.guests(*address).next()?.clone())));
        let held = Held { addresses, sharing: request.sharing.clone(), is_guest: false };
        self.is_usage_stale |= before.as_ref().map_or(&[][..], |before| &before.addresses) != held.addresses;
        settled.freed = has_freed(before, &held);
        if !held.addresses.is_empty() {
            self.holdings.hold(&request.service, held);
        }
        settled
    }

    /// What a Service may keep of what it has: all or nothing.
    fn kept(&self, request: &Request, present: &[IpAddr]) -> Settled {
        let mut settled = Settled::default();
        if !present.is_empty() {
            match self.keep(request, present) {
                Ok(pool) => (settled.addresses, settled.pool) = (present.to_vec(), Some(pool.name.clone())),
                Err(refused) => settled.cleared = Some(refused),
            }
        }
        settled
    }

    /// The pool of addresses that a Service has, if it may keep them.
    fn keep(&self, request: &Request, present: &[IpAddr]) -> Result<&Pool, Pending> {
        let addresses = || Listed(present.to_vec());
        let wanted: BTreeSet<_> = request.addresses.iter().collect();
        let fits = match request.families {
            // Of two families one may be missing.
            Families::Prefer(_) if wanted.is_empty() => present.len() <= 2 && is_one_of_each(present),
            families => is_exactly(families, present),
        };
        if !fits || !wanted.is_empty() && wanted != present.iter().collect() {
            return Err(Pending::Families { addresses: addresses() });
        }
        self.pool_of(request, present, Claim::Kept)
    }

    /// The pool that all of these addresses are in, if the Service may have them.
    fn pool_of(&self, request: &Request, wanted: &[IpAddr], claim: Claim) -> Result<&Pool, Pending> {
        let addresses = || Listed(wanted.to_vec());
        let pool = self.pools.with(wanted).ok_or_else(|| Pending::Unknown { addresses: addresses() })?;
        if let Some(asked) = request.pool.as_ref().filter(|asked| **asked != pool.name) {
            return Err(Pending::OtherPool { addresses: addresses(), pool: asked.clone() });
        }
        self.require_admission(request, pool)?;
        wanted.iter().try_for_each(|address| self.holdings.require_free(request, *address, claim))?;
        Ok(pool)
    }

    fn allocate(&self, request: &Request) -> Result<(&Pool, Vec<IpAddr>), Pending> {
        if request.families == Families::Impossible {
            return Err(Pending::ClusterIps);
        }
        if self.pools.is_empty() {
            return Err(Pending::NoPools);
        }
        if !request.addresses.is_empty() {
            if !is_exactly(request.families, &request.addresses) {
                return Err(Pending::Families { addresses: Listed(request.addresses.clone()) });
            }
            return Ok((self.pool_of(request, &request.addresses, Claim::New)?, request.addresses.clone()));
        }
        if let Some(name) = &request.pool {
            let pool = self.pools.get(name).ok_or_else(|| Pending::UnknownPool(name.clone()))?;
            self.require_admission(request, pool)?;
            return self.first(request, &[pool]).ok_or_else(|| Pending::PoolUsedUp(name.clone()));
        }
        let lists = self.pools.automatic();
        let admitting =
            lists.map(|list| list.into_iter().filter(|pool| self.admits(request, pool)).collect::<Vec<_>>());
        admitting.iter().find_map(|list| self.first(request, list)).ok_or(Pending::UsedUp)
    }

    /// The first of these pools that serves the Service best, and its addresses.
    fn first<'p>(&self, request: &Request, pools: &[&'p Pool]) -> Option<(&'p Pool, Vec<IpAddr>)> {
        let one = |of: IpFamily| {
            pools.iter().find_map(|pool| Some((*pool, vec![self.holdings.first_free(request, pool, of)?])))
        };
        let both = || {
            pools.iter().find_map(|pool| {
                let v4 = self.holdings.first_free(request, pool, IpFamily::V4)?;
                Some((*pool, vec![v4, self.holdings.first_free(request, pool, IpFamily::V6)?]))
            })
        };
        match request.families {
            Families::One(of) => one(of),
            Families::Both => both(),
            Families::Prefer(primary) => both().or_else(|| one(primary)).or_else(|| one(other(primary))),
            Families::Impossible => None,
        }
    }

    /// Where both families are preferred and only one was to be had: the other, of the same pool.
    fn add_second(&self, request: &Request, settled: &mut Settled) {
        let (Families::Prefer(_), [only], Some(pool)) = (
            request.families,
            settled.addresses.as_slice(),
            settled.pool.as_deref().and_then(|name| self.pools.get(name)),
        ) else {
            return;
        };
        match self.holdings.first_free(request, pool, other(IpFamily::of(*only))) {
            Some(second) => settled.addresses.push(second),
            None => settled.lacks_second = true,
        }
    }

    fn admits(&self, request: &Request, pool: &Pool) -> bool {
        let none = Labels::new();
        let namespace = &request.service.namespace;
        pool.admits(namespace, self.namespaces.get(namespace).unwrap_or(&none), &request.labels)
    }

    fn require_admission(&self, request: &Request, pool: &Pool) -> Result<(), Pending> {
        if self.admits(request, pool) { Ok(()) } else { Err(Pending::NotAdmitted(pool.name.clone())) }
    }
}

/// Whether somebody else may now have what was held before: an address, a port of it, or a share of it.
fn has_freed(before: Option<Held>, now: &Held) -> bool {
    let Some(before) = before else { return false };
    let all_kept = before.addresses.iter().all(|address| now.addresses.contains(address));
    !all_kept || before.sharing != now.sharing && !before.addresses.is_empty()
}

fn other(of: IpFamily) -> IpFamily {
    match of {
        IpFamily::V4 => IpFamily::V6,
        IpFamily::V6 => IpFamily::V4,
    }
}

fn is_one_of_each(addresses: &[IpAddr]) -> bool {
    let families: BTreeSet<_> = addresses.iter().map(IpAddr::is_ipv4).collect();
    families.len() == addresses.len()
}

/// Whether these addresses are all that a Service of these families has.
fn is_exactly(families: Families, addresses: &[IpAddr]) -> bool {
    match (families, addresses) {
        (Families::One(of), [address]) => IpFamily::of(*address) == of,
        (Families::Both | Families::Prefer(_), [_, _]) => is_one_of_each(addresses),
        _ => false,
    }
}
