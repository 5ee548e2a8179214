//! What all workers have in common.

use crate::config::Config;
use penstock_dataplane::{
    io::Tun,
    state::{AffinityTable, Fragments, Millis},
};
use std::{sync::Arc, time::Instant};

/// What all workers have in common.
#[derive(Debug)]
pub struct Common {
    /// The records of ClientIP affinity.
    pub affinity: Arc<AffinityTable>,
    /// The ports of datagrams that come in fragments.
    pub fragments: Arc<Fragments>,
    /// When their clock began.
    pub start: Instant,
    /// The way back to the kernel, for packets that are not ours after all.
    pub kernel: Option<Arc<Tun>>,
}

impl Common {
    /// With empty tables.
    pub(in crate::runtime) fn new(config: &Config) -> Self {
        let affinity = Arc::new(AffinityTable::new(config.tables.affinity, random_seed()));
        let kernel = match Tun::open() {
            Ok(tun) => {
                tracing::info!(device = tun.name(), "packets that are not ours go back to the kernel");
                Some(Arc::new(tun))
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "there is no way to give packets back to the kernel, so answers to clients whose address was kept \
                     are not captured: Services with externalTrafficPolicy Local do not work"
                );
                None
            }
        };
        let fragments = Arc::new(Fragments::new(random_seed()));
        Self { affinity, fragments, start: Instant::now(), kernel }
    }

    /// The moment, as the workers count time.
    pub fn now(&self) -> Millis {
        Millis(self.start.elapsed().as_millis() as u32)
    }
}

/// A number that nobody outside can guess: the standard library keys its own hash tables with it.
pub(super) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
