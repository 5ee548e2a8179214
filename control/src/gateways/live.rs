//! Which gateways are alive, by their Leases.
//!
//! In: every gateway's Lease, and when each was seen to change. Out: who may announce addresses, and whose flows may be
//! relayed. No two machines' clocks are compared, and none is asked: a Lease has run out when it has not changed while
//! this gateway's own Lease, seen through the same watch, went on changing for longer than the first one's duration. So
//! a gateway that is cut off from the API server sees nobody die, and keeps what it has; the others see it die.

use penstock_dataplane::wire::EtherAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// What the names of gateways' Leases begin with; the node's name follows.
pub const LEASE_PREFIX: &str = "penstock-gateway-";
/// The annotation of a Lease that has the MACs of the gateway's interfaces, with commas between.
pub const MACS: &str = "penstock.dev/macs";
/// The annotation of the Lease of a gateway that hands over its addresses and goes on with its flows for a while.
pub const LEAVING: &str = "penstock.dev/leaving";

/// A gateway's Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// How long it is good for.
    pub duration: Duration,
    /// When it was seen to change.
    pub changed: Instant,
    /// See [`MACS`].
    pub macs: BTreeSet<EtherAddr>,
    /// See [`LEAVING`].
    pub leaving: bool,
}

impl Beat {
    /// Of a Lease with these annotations. MACs that cannot be read are left out.
    pub fn new(duration: Duration, changed: Instant, annotations: &BTreeMap<String, String>) -> Self {
        let macs = annotations.get(MACS).map_or("", String::as_str);
        let macs = macs.split(',').filter_map(|mac| mac.trim().parse().ok()).collect();
        Self { duration, changed, macs, leaving: annotations.contains_key(LEAVING) }
    }

    /// When it runs out, if renewals have been seen since `since`.
    fn ends(&self, since: Instant) -> Instant {
        self.changed.max(since) + self.duration
    }
}

/// Since when our own renewals have been seen without a gap as long as the Lease is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steady {
    last: Option<Instant>,
    since: Option<Instant>,
}

impl Steady {
    /// Our own Lease, as it is seen now.
    pub fn seen(&mut self, own: Option<&Beat>) {
        let Some(own) = own else { return *self = Self::default() };
        if self.last.is_none_or(|last| own.changed > last + own.duration) {
            self.since = Some(own.changed);
        }
        self.last = Some(own.changed);
    }
}

/// The gateways.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gateways {
    /// Those that may announce, by the names of their nodes.
    pub live: BTreeSet<String>,
    /// The names of the others that are there, those that are leaving among them.
    pub others: BTreeSet<String>,
    /// Their MACs.
    pub peers: BTreeSet<EtherAddr>,
    /// When the first of the others will have run out: our own Lease is to be renewed then, to see whether it has.
    pub doubtful: Option<Instant>,
}

impl Gateways {
    /// Judges the Leases, of which one may be our own. As long as it is not there, nobody is dead.
    pub fn read(beats: &BTreeMap<String, Beat>, own: &str, steady: &Steady) -> Self {
        let mut gateways = Self::default();
        for (node, beat) in beats {
            let is_own = node == own;
            let ends = steady.since.map(|since| beat.ends(since));
            if !is_own && steady.last.zip(ends).is_some_and(|(seen, ends)| seen > ends) {
                continue;
            }
            if !beat.leaving {
                gateways.live.insert(node.clone());
            }
            if !is_own {
                gateways.others.insert(node.clone());
                gateways.peers.extend(&beat.macs);
                gateways.doubtful = gateways.doubtful.into_iter().chain(ends).min();
            }
        }
        gateways
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(4);

    /// What this gateway has seen, at moments in milliseconds.
    struct World {
        start: Instant,
        beats: BTreeMap<String, Beat>,
        steady: Steady,
    }

    impl World {
        fn new() -> Self {
            Self { start: Instant::now(), beats: BTreeMap::new(), steady: Steady::default() }
        }

        fn renewed(&mut self, node: &str, ms: u64) -> &mut Self {
            let changed = self.start + Duration::from_millis(ms);
            self.beats.insert(node.to_owned(), Beat::new(LEASE, changed, &BTreeMap::new()));
            self.steady.seen(self.beats.get("me"));
            self
        }

        fn gateways(&self) -> Gateways {
            Gateways::read(&self.beats, "me", &self.steady)
        }

        fn live(&self) -> Vec<String> {
            self.gateways().live.into_iter().collect()
        }
    }

    #[test]
    fn who_does_not_renew_while_we_do_is_dead() {
        let mut world = World::new();
        world.renewed("me", 0).renewed("you", 100).renewed("me", 1000).renewed("me", 3000);
        assert_eq!(world.renewed("me", 4100).live(), ["me", "you"]);
        assert_eq!(world.renewed("me", 4101).live(), ["me"]);
        assert_eq!(world.renewed("you", 5000).live(), ["me", "you"]);
    }

    #[test]
    fn who_hears_nothing_sees_nobody_die() {
        let mut world = World::new();
        // The API server has been away since 1000: no Lease changes, whatever the time is.
        assert_eq!(world.renewed("me", 1000).renewed("you", 900).live(), ["me", "you"]);
        // It is back, and we are the first to renew: the others have as long as ever.
        assert_eq!(world.renewed("me", 60_000).live(), ["me", "you"]);
        assert_eq!(world.renewed("me", 62_000).renewed("me", 64_000).live(), ["me", "you"]);
        assert_eq!(world.renewed("me", 64_001).live(), ["me"]);
    }

    #[test]
    fn without_a_lease_of_our_own_nobody_is_judged() {
        let mut world = World::new();
        world.renewed("me", 0).renewed("you", 0).renewed("me", 3000);
        world.beats.remove("me");
        world.steady.seen(None);
        assert_eq!(world.live(), ["you"], "and nothing is ours to announce");
        assert_eq!(world.gateways().doubtful, None);
    }

    #[test]
    fn the_first_to_run_out_is_looked_at_in_time() {
        let mut world = World::new();
        world.renewed("me", 0).renewed("she", 1000).renewed("you", 2000).renewed("me", 3000);
        assert_eq!(world.gateways().doubtful, Some(world.start + Duration::from_millis(5000)));
        let mut alone = World::new();
        assert_eq!(alone.renewed("me", 0).gateways().doubtful, None);
    }

    #[test]
    fn who_is_leaving_is_no_candidate_but_still_there() {
        let mac: EtherAddr = "02:00:00:00:00:07".parse().unwrap();
        let annotations =
            [(MACS.to_owned(), format!("{mac}, nonsense")), (LEAVING.to_owned(), "true".to_owned())];
        let mut world = World::new();
        world.renewed("me", 0);
        world.beats.insert("you".to_owned(), Beat::new(LEASE, world.start, &annotations.into()));
        assert_eq!((world.live(), world.gateways().peers), (vec!["me".to_owned()], [mac].into()));
        assert_eq!(world.gateways().others, ["you".to_owned()].into());
    }
}
