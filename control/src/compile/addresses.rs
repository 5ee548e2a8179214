//! The addresses of backends of both families, as others follow them: kept up to date, never made anew.
//!
//! Routes are asked for the ways to all of them; the classifier is told of those whose answers are addressed to clients.
//! Both take a copy, which costs nothing, and find what has changed by what two copies share.

use imbl::OrdSet;
use std::{collections::BTreeMap, net::IpAddr};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Of backends, and of gone backends that flows may still use.
    wanted: OrdSet<IpAddr>,
    /// Those that see clients' addresses even where all cluster-IP traffic is masqueraded, and how many say so.
    keepers: BTreeMap<IpAddr, u32>,
    kept: OrdSet<IpAddr>,
}

impl Addresses {
    pub(super) fn want(&mut self, address: IpAddr) {
        self.wanted.insert(address);
    }

    pub(super) fn unwant(&mut self, address: IpAddr) {
        self.wanted.remove(&address);
    }

    pub(super) fn wanted(&self) -> &OrdSet<IpAddr> {
        &self.wanted
    }

    /// One more reason that clients' addresses are kept.
    pub(super) fn keep(&mut self, address: IpAddr) {
        let reasons = self.keepers.entry(address).or_default();
        *reasons += 1;
        if *reasons == 1 {
            self.kept.insert(address);
        }
    }

    /// One less.
    pub(super) fn unkeep(&mut self, address: IpAddr) {
        let Some(reasons) = self.keepers.get_mut(&address) else { return };
        *reasons -= 1;
        if *reasons == 0 {
            self.keepers.remove(&address);
            self.kept.remove(&address);
        }
    }

    /// The backends that the classifier is to know.
    pub(super) fn seeing_clients(&self, masquerade_all: bool) -> &OrdSet<IpAddr> {
        // Cluster-IP traffic of pods, or of everybody without a detector, keeps its source (§3.7).
        if masquerade_all { &self.kept } else { &self.wanted }
    }
}
