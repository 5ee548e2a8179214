//! Who has which address, and who gets which next (§5.3, §5.4).
//!
//! In: pools, namespaces' labels, and requests, each with the addresses that the Service's status has. Out: the addresses
//! it is to have. An address is kept as long as it may be; a Service that may not keep its own gets another at once. What
//! is taken is known by the Services that were settled, so a pass over all of them begins with those that have addresses.

use super::{
    error::{Listed, Pending},
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
}

/// See the module.
#[derive(Debug, Default)]
pub struct Allocator {
    pools: Pools,
    namespaces: BTreeMap<String, Labels>,
    held: BTreeMap<ObjectKey, Held>,
    users: BTreeMap<IpAddr, BTreeSet<ObjectKey>>,
}

#[derive(Debug)]
struct Held {
    addresses: Vec<IpAddr>,
    sharing: Sharing,
}

impl Allocator {
    /// Other pools. Every Service is to be settled again.
    pub fn set_pools(&mut self, pools: Pools) {
        self.pools = pools;
    }

    /// The pools.
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Other labels of namespaces. Every Service is to be settled again.
    pub fn set_namespaces(&mut self, namespaces: BTreeMap<String, Labels>) {
        self.namespaces = namespaces;
    }

    /// Settles all: those that have addresses before those that have none.
    pub fn settle_all(&mut self, requests: &[(Request, Vec<IpAddr>)]) -> BTreeMap<ObjectKey, Settled> {
        let (have, lack): (Vec<_>, Vec<_>) = requests.iter().partition(|(_, present)| !present.is_empty());
        let all = have.into_iter().chain(lack);
        all.map(|(request, present)| (request.service.clone(), self.settle(request, present))).collect()
    }

    /// Settles one, whose status has the addresses `present`.
    pub fn settle(&mut self, request: &Request, present: &[IpAddr]) -> Settled {
        self.release(&request.service);
        let mut settled = Settled::default();
        if !present.is_empty() {
            match self.keep(request, present) {
                Ok(pool) => (settled.addresses, settled.pool) = (present.to_vec(), Some(pool.name.clone())),
                Err(refused) => settled.cleared = Some(refused),
            }
        }
        if settled.addresses.is_empty() {
            match self.allocate(request) {
                Ok((pool, addresses)) => {
                    (settled.addresses, settled.pool) = (addresses, Some(pool.name.clone()))
                }
                Err(pending) => settled.pending = Some(pending),
            }
        }
        self.add_second(request, &mut settled);
        self.hold(request, &settled.addresses);
        settled
    }

    /// The Service is gone, or asks for nothing any more. Whether that freed an address, so that others are to be
    /// settled again.
    pub fn release(&mut self, service: &ObjectKey) -> bool {
        let Some(held) = self.held.remove(service) else { return false };
        for address in &held.addresses {
            if let Some(users) = self.users.get_mut(address) {
                users.remove(service);
                if users.is_empty() {
                    self.users.remove(address);
                }
            }
        }
        !held.addresses.is_empty()
    }

    /// How much of a pool is used.
    pub fn usage(&self, pool: &Pool) -> Usage {
        let mut usage = Usage::default();
        for (place, of) in [IpFamily::V4, IpFamily::V6].into_iter().enumerate() {
            let used =
                self.users.keys().filter(|address| IpFamily::of(**address) == of && pool.contains(**address));
            usage.assigned[place] = used.count() as i64;
            usage.available[place] = match pool.capacity(of) {
                i64::MAX => i64::MAX,
                capacity => capacity - usage.assigned[place],
            };
        }
        usage
    }

    fn hold(&mut self, request: &Request, addresses: &[IpAddr]) {
        for address in addresses {
            self.users.entry(*address).or_default().insert(request.service.clone());
        }
        let held = Held { addresses: addresses.to_vec(), sharing: request.sharing.clone() };
        self.held.insert(request.service.clone(), held);
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
        self.pool_of(request, present)
    }

    /// The pool that all of these addresses are in, if the Service may have them.
    fn pool_of(&self, request: &Request, wanted: &[IpAddr]) -> Result<&Pool, Pending> {
        let addresses = || Listed(wanted.to_vec());
        let pool = self.pools.with(wanted).ok_or_else(|| Pending::Unknown { addresses: addresses() })?;
        if let Some(asked) = request.pool.as_ref().filter(|asked| **asked != pool.name) {
            return Err(Pending::OtherPool { addresses: addresses(), pool: asked.clone() });
        }
        self.require_admission(request, pool)?;
        wanted.iter().try_for_each(|address| self.require_free(request, *address))?;
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
            return Ok((self.pool_of(request, &request.addresses)?, request.addresses.clone()));
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
        let one =
            |of: IpFamily| pools.iter().find_map(|pool| Some((*pool, vec![self.free(request, pool, of)?])));
        let both = || {
            pools.iter().find_map(|pool| {
                let v4 = self.free(request, pool, IpFamily::V4)?;
                Some((*pool, vec![v4, self.free(request, pool, IpFamily::V6)?]))
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
        match self.free(request, pool, other(IpFamily::of(*only))) {
            Some(second) => settled.addresses.push(second),
            None => settled.lacks_second = true,
        }
    }

    fn free(&self, request: &Request, pool: &Pool, of: IpFamily) -> Option<IpAddr> {
        pool.addresses(of).find(|address| self.require_free(request, *address).is_ok())
    }

    fn admits(&self, request: &Request, pool: &Pool) -> bool {
        let none = Labels::new();
        let namespace = &request.service.namespace;
        pool.admits(namespace, self.namespaces.get(namespace).unwrap_or(&none), &request.labels)
    }

    fn require_admission(&self, request: &Request, pool: &Pool) -> Result<(), Pending> {
        if self.admits(request, pool) { Ok(()) } else { Err(Pending::NotAdmitted(pool.name.clone())) }
    }

    /// Nobody has the address, or all who have it share it with this Service.
    fn require_free(&self, request: &Request, address: IpAddr) -> Result<(), Pending> {
        let Some(users) = self.users.get(&address) else { return Ok(()) };
        let others = users.iter().filter_map(|user| Some((user, &self.held.get(user)?.sharing)));
        let mine = &request.sharing;
        for (_, theirs) in others.clone() {
            let shared = !mine.key.is_empty() && mine.key == theirs.key;
            if !shared || (mine.is_local, &mine.backend) != (theirs.is_local, &theirs.backend) {
                let names: Vec<_> = users.iter().map(ToString::to_string).collect();
                return Err(Pending::Held { service: request.service.clone(), others: names.join(",") });
            }
        }
        let clash = others.flat_map(|(_, theirs)| theirs.ports.intersection(&mine.ports)).next();
        match clash {
            Some(&(transport, port)) => Err(Pending::Port { transport, port, address }),
            None => Ok(()),
        }
    }
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
