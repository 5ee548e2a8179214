//! One site for all tests of the program, which take turns.
//!
//! Whoever has a test to do holds on to it, so it is built by the first, and taken down by the last of the tests that
//! wait or run. One that fails may leave anything behind: the next begins with a new site.
//!
//! Handovers are promised within fractions of a second, and Leases run out after one: a machine that takes the processor
//! away from everybody for a while breaks such promises, not the gateways. So a test that fails while it did is tried
//! again; one that fails without such a stall, or every time, has failed.

use std::{
    cell::OnceCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use penstock::netns::Owner;
use penstock_tests::{
    Stalls,
    site::{Site, SiteOptions, objects},
};

use crate::say;

/// A stall that no test need bear: a quarter of the shortest time that is promised.
const STALL: Duration = Duration::from_millis(50);

/// How often a test is tried on a machine that stalls.
const TRIES: u32 = 4;

/// Gateways: one that has an address, and one that takes it over.
pub const GATEWAYS: u8 = 2;

/// Machines: three Pods, as many of another version, and what drains in between.
const MACHINES: u8 = 8;

type Place = Mutex<Option<Site>>;

static SHARED: Mutex<Weak<Place>> = Mutex::new(Weak::new());

/// Does `test` on the site, with the Kubernetes namespace `namespace` for its objects.
pub fn on_site(namespace: &str, test: impl Fn(&mut Site)) {
    let place = hold();
    for tried in 1.. {
        let stalls = OnceCell::new();
        let once = AssertUnwindSafe(|| once(&place, namespace, &test, &stalls));
        let Err(panic) = catch_unwind(once) else { return };
        let longest = stalls.get().map(Stalls::longest).unwrap_or_default();
        if tried == TRIES || longest < STALL {
            resume_unwind(panic);
        }
        say(&format!("{namespace}: the machine stalled for {longest:?} meanwhile: tried again"));
    }
}

/// Does it when it is its turn; `stalls` are those of the time since.
fn once(place: &Place, namespace: &str, test: impl Fn(&mut Site), stalls: &OnceCell<Stalls>) {
    let mut turn = place.lock().unwrap_or_else(|poisoned| {
        let mut turn = poisoned.into_inner();
        *turn = None;
        place.clear_poison();
        turn
    });
    let site = turn.get_or_insert_with(|| {
        let owner = Owner::new("psk-site");
        Site::build(&SiteOptions { owner, gateways: GATEWAYS, machines: MACHINES }).unwrap()
    });
    stalls.get_or_init(Stalls::watch);
    // Addresses are given again: what the client remembers of an earlier test would lead it to a gateway that serves the
    // address and does not announce it, until the one that does is heard.
    site.client().ip("neigh flush dev eth0").unwrap();
    site.cluster.apply(&[objects::namespace(namespace)]).unwrap();
    test(site);
    site.clear(namespace);
}

fn hold() -> Arc<Place> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let place = Arc::new(Mutex::new(None));
        *shared = Arc::downgrade(&place);
        place
    })
}
