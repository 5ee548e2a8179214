//! All pools: read together, since no two may have an address in common.

use super::{error::PoolError, pool::Pool};
use crate::metallb::PoolSpec;
use std::{collections::BTreeMap, net::IpAddr};

/// The pools, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools(BTreeMap<String, Pool>);

impl Pools {
    /// Reads all pools, or says what is wrong with the first that is.
    pub fn read<'a>(specs: impl IntoIterator<Item = (&'a str, &'a PoolSpec)>) -> Result<Self, PoolError> {
        let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
        for (name, spec) in specs {
            if pools.contains_key(name) {
                return Err(PoolError::DuplicateName { pool: name.to_owned() });
            }
            let pool = Pool::read(name, spec)?;
            let mut before: Vec<_> = pools.values().flat_map(|pool| &pool.prefixes).collect();
            for prefix in &pool.prefixes {
                if let Some(other) =
                    before.iter().find(|other| other.contains(prefix) || prefix.contains(**other))
                {
                    let (cidr, other) = (prefix.to_string(), other.to_string());
                    return Err(PoolError::Overlap { pool: name.to_owned(), cidr, other });
                }
                before.push(prefix);
            }
            pools.insert(name.to_owned(), pool);
        }
        Ok(Self(pools))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.0.values()
    }

    /// The pool with this name.
    pub fn get(&self, name: &str) -> Option<&Pool> {
        self.0.get(name)
    }

    /// The pool that has all of these addresses to give.
    pub fn with(&self, addresses: &[IpAddr]) -> Option<&Pool> {
        self.0.values().find(|pool| addresses.iter().all(|address| pool.contains(*address)))
    }

    /// Those for Services that ask for nothing: first the restricted ones by priority, then, as the second list, the
    /// others; where nothing else decides, by name.
    pub(super) fn automatic(&self) -> [Vec<&Pool>; 2] {
        let automatic = self.0.values().filter(|pool| pool.auto_assign);
        let (mut restricted, open): (Vec<_>, Vec<_>) = automatic.partition(|pool| pool.is_restricted());
        restricted.sort_by_key(|pool| pool.order());
        [restricted, open]
    }
}
