//! The shipped RBAC is what Penstock needs, no less and no more: the API server's audit log is the witness.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use penstock_tests::{
    cluster::{Audit, Permission},
    require_cluster,
    site::{GatewayOptions, Site, objects},
};
use serde_json::json;

use crate::{shared::on_site, steps};

#[test]
fn what_the_service_account_may_do_is_what_it_does() {
    require_cluster!();
    let namespace = "permissions";
    on_site(namespace, |site| {
        let mark = site.cluster.audit_mark();
        // Everything that is ever asked of the API server: addresses given and refused, announced, moved, released; an
        // event that repeats; gateways that come, die, go.
        let mut gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        steps::serve(site, namespace, "web", 1);
        let owner = steps::owner(site, namespace, "web");
        refuse_twice(site, namespace);
        let leaving = gateways.iter_mut().find(|gateway| gateway.number == owner).unwrap();
        leaving.ask_to_end();
        leaving.wait_until_it_ends().unwrap();
        steps::wait_for_owner(site, namespace, "web", 3 - owner);
        // A lock is renewed, and a Lease asked after, in its own time.
        let deadline = Instant::now() + steps::PATIENCE;
        let (audit, granted) = loop {
            let audit = site.cluster.audit(&Site::account(), mark).unwrap();
            let granted = site.cluster.granted(&Site::account()).unwrap();
            if unused(&granted, &audit).is_empty() || Instant::now() > deadline {
                break (audit, granted);
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        assert_eq!(list(audit.forbidden.iter()), Vec::<String>::new(), "refused by the shipped RBAC");
        assert_eq!(
            unused(&granted, &audit),
            Vec::<String>::new(),
            "granted by the shipped RBAC and never used"
        );
        let uncovered = audit.used.iter().filter(|used| !granted.iter().any(|grant| grant.covers(used)));
        let discovery = uncovered.filter(|used| !used.resource.is_empty());
        assert_eq!(list(discovery), Vec::<String>::new(), "used and granted by something else");
        assert!(granted.len() > 10 && audit.used.len() > 10, "{granted:?}, {audit:?}");
    });
}

/// What is granted and was not used.
fn unused(granted: &BTreeSet<Permission>, audit: &Audit) -> Vec<String> {
    list(granted.iter().filter(|grant| !audit.used.iter().any(|used| grant.covers(used))))
}

/// A Service that is refused an address, gets one, and is refused the first again, which is the same event.
fn refuse_twice(site: &Site, namespace: &str) {
    let path = steps::service_path(namespace, "refused");
    let request = |addresses: Option<&str>| {
        let annotations = json!({"metallb.io/loadBalancerIPs": addresses});
        site.cluster.api().patch(&path, &json!({"metadata": {"annotations": annotations}})).unwrap();
    };
    site.cluster.apply(&[objects::service(namespace, "refused")]).unwrap();
    let events = format!(
        "/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3Drefused,reason%3DAllocationFailed"
    );
    for times in 1..=2 {
        steps::addresses(site, namespace, "refused");
        request(Some("192.0.2.9,2001:db8::9"));
        site.wait_for("it is refused again", &events, |list| list["items"][0]["count"] == times).unwrap();
        request(None);
    }
    site.cluster.api().delete(&path).unwrap();
}

fn list<'p>(permissions: impl Iterator<Item = &'p Permission>) -> Vec<String> {
    permissions.map(Permission::to_string).collect::<BTreeSet<_>>().into_iter().collect()
}
