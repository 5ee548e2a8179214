//! One site for all tests of the program, which take turns.
//!
//! Whoever has a test to do holds on to it, so it is built by the first, and taken down by the last of the tests that
//! wait or run. One that fails may leave anything behind: the next begins with a new site.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use penstock::netns::Owner;
use penstock_tests::site::{Site, SiteOptions, objects};

/// Gateways: one that has an address, and one that takes it over.
pub const GATEWAYS: u8 = 2;

/// Machines: three Pods, as many of another version, and what drains in between.
const MACHINES: u8 = 8;

type Place = Mutex<Option<Site>>;

static SHARED: Mutex<Weak<Place>> = Mutex::new(Weak::new());

/// Does `test` on the site, with the Kubernetes namespace `namespace` for its objects.
pub fn on_site(namespace: &str, test: impl FnOnce(&mut Site)) {
    let place = hold();
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
