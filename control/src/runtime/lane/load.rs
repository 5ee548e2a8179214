//! Loading the classifier, with the lane or without.
//!
//! In: the configuration, and whether there is to be a lane. Out: a classifier that is attached nowhere yet, and, if there is a
//! lane, what workers and control need of it. A lane that a former process has pinned goes on, if it is as this one would be.

use crate::{
    config::{Config, FastLaneMode},
    doctor,
    lane::{self, Decision, Expected, Netdev},
    routes::Interface,
};
use penstock_dataplane::{
    io::PortId,
    lane::{LaneSettings, Lanes},
    xdp::{Classifier, ClassifierError, LaneMaps, LaneSize, detach_pinned},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

/// Next hops of a family that flows of the lane may take: 8 MiB for those of both.
const NEXT_HOPS: u32 = 1 << 16;

/// What was loaded, and what is to be of the lane.
#[derive(Debug)]
pub(in crate::runtime) struct Loaded {
    pub(in crate::runtime) decision: Decision,
    pub(in crate::runtime) maps: Option<LaneMaps>,
}

impl Loaded {
    /// Whether a former process's lane goes on, by a classifier that is attached still.
    pub(in crate::runtime) fn goes_on(&self) -> bool {
        self.maps.as_ref().is_some_and(|maps| maps.adopted)
    }

    /// A worker's part of it.
    pub(in crate::runtime) fn lanes(&self, config: &Config, worker: u16) -> Option<Lanes> {
        let maps = self.maps.as_ref()?;
        let settings = LaneSettings { promote_after: config.fast_lane.promote_after };
        Some(Lanes { v4: maps.worker_v4(worker), v6: maps.worker_v6(worker), settings })
    }
}

/// Loads the classifier, with the lane if there is to be one.
pub(in crate::runtime) fn load(
    config: &Config,
    decision: Decision,
) -> Result<(Classifier, Loaded), ClassifierError> {
    if !(config.persist && decision.is_on()) {
        take_off(&config.pin_path);
    }
    if !decision.is_on() {
        return Ok((Classifier::load()?, Loaded { decision, maps: None }));
    }
    match Classifier::load_with_lane(&size(config)) {
        Ok((classifier, maps)) => Ok((classifier, Loaded { decision, maps: Some(maps) })),
        // Nobody has asked for it, and all works without.
        Err(error) if config.fast_lane.mode == FastLaneMode::Auto && !config.persist => {
            tracing::warn!(%error, "the fast lane can't be had: workers forward everything");
            Ok((Classifier::load()?, Loaded { decision: Decision::Refused, maps: None }))
        }
        Err(error) => Err(error),
    }
}

/// What will be decided about the lane when sockets are bound, as far as interfaces tell; or as it was decided before, where a
/// former process has left a lane: to take that off for what drivers promise would end its flows.
pub(in crate::runtime) fn expect(config: &Config, interfaces: &[Interface]) -> Decision {
    if config.persist && config.pin_path.exists() {
        return lane::decide(config.fast_lane.mode, false);
    }
    let netdev = Netdev::open();
    let drivers: Vec<_> = config.interfaces.iter().map(|interface| doctor::driver(&interface.name)).collect();
    let expected = config.interfaces.iter().enumerate().map(|(port, interface)| {
        let link = Interface::link_of(interfaces, PortId(port as u8));
        let features = link.and_then(|link| netdev.as_ref()?.features(link.index).ok()?);
        Expected { interface, features, driver: drivers[port].as_deref() }
    });
    lane::expect(config.fast_lane.mode, expected)
}

/// The room that the lane is to have. A later process goes on with it only if whatever flows and ports mean is the same.
fn size(config: &Config) -> LaneSize {
    let mut hasher = DefaultHasher::new();
    config.interfaces.iter().for_each(|interface| interface.name.hash(&mut hasher));
    (&config.snat.ports, &config.snat.addresses).hash(&mut hasher);
    LaneSize {
        workers: config.workers.count as u16,
        v4_pairs: config.fast_lane.flows,
        v6_pairs: config.fast_lane.v6_flows(),
        next_hops: NEXT_HOPS,
        pin: config.persist.then(|| config.pin_path.clone()),
        fingerprint: hasher.finish(),
    }
}

/// What a former process has left that was to persist is in the way of one that is not to.
fn take_off(folder: &Path) {
    match detach_pinned(folder) {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => tracing::info!(?removed, "what a former process had left is taken off"),
        Err(error) => tracing::warn!(%error, "what a former process may have left stays"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_former_process_has_left_counts_for_more_than_promises() {
        let folder = tempfile::tempdir().unwrap();
        let text = |further: &str| {
            let place = folder.path().display();
            format!("interfaces: [{{name: psk-none, zeroCopy: on}}]\npinPath: {place}\n{further}")
        };
        let expected =
            |further: &str| expect(&Config::from_yaml(&text(further), "test.yaml", "node").unwrap(), &[]);
        assert_eq!(expected("persist: true"), Decision::Copying);
        assert_eq!(expected("persist: true\nfastLane: on"), Decision::Wanted);
        assert_eq!(expected(""), Decision::ZeroCopy);
        std::fs::remove_dir(folder.path()).unwrap();
        assert_eq!(expected("persist: true"), Decision::ZeroCopy);
    }
}
