//! What is said beside pinned maps, so that a later process knows whether they are as its own would be.

use super::{LaneSize, redirects::namespace, size::Bank};
use crate::lane::HashSecret;
use aya::maps::MapError;

/// Changes whenever `lane.h` does.
const VERSION: u64 = 3;
/// The words of a layout.
pub(in crate::xdp) const LAYOUT_WORDS: usize = FIXED + 2;
/// All but the number of the bank and the seed.
const FIXED: usize = 7;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::xdp) struct Layout {
    /// What must be the same: version, sizes, fingerprint, network namespace.
    fixed: [u64; FIXED],
    /// The hops of the process that uses them.
    bank: Bank,
    /// What the secret of the index comes of.
    seed: u64,
}

/// Where the network namespace is among them.
const NAMESPACE: usize = 6;

impl Layout {
    /// That of new maps of this size, for a process in this thread's network namespace.
    pub(in crate::xdp) fn of(size: &LaneSize) -> Result<Self, MapError> {
        let LaneSize { workers, v4_pairs, v6_pairs, next_hops, fingerprint, pin: _ } = *size;
        let fixed = [
            VERSION,
            workers.into(),
            v4_pairs.into(),
            v6_pairs.into(),
            next_hops.into(),
            fingerprint,
            namespace()?.into(),
        ];
        Ok(Self { fixed, bank: Bank::default(), seed: HashSecret::new_seed() })
    }

    /// That of maps which were found, for the process that goes on with them and uses the other bank; `None`: they are not
    /// as they must be.
    pub(in crate::xdp) fn going_on_with(self, found: &[u64; LAYOUT_WORDS]) -> Option<Self> {
        let bank = Bank::numbered(found[FIXED]).other();
        (found[..FIXED] == self.fixed).then_some(Self { fixed: self.fixed, bank, seed: found[FIXED + 1] })
    }

    /// Whether what was found is another network namespace's.
    pub(in crate::xdp) fn is_elsewhere(&self, found: &[u64; LAYOUT_WORDS]) -> bool {
        found[NAMESPACE] != self.fixed[NAMESPACE]
    }

    /// As it is kept.
    pub(in crate::xdp) fn words(&self) -> [u64; LAYOUT_WORDS] {
        let mut words = [0; LAYOUT_WORDS];
        words[..FIXED].copy_from_slice(&self.fixed);
        words[FIXED] = self.bank.number().into();
        words[FIXED + 1] = self.seed;
        words
    }

    pub(super) fn bank(&self) -> Bank {
        self.bank
    }

    pub(in crate::xdp) fn secret(&self) -> HashSecret {
        HashSecret::of(self.seed)
    }
}
