//! What the controller says to a table of objects, and what it leaves alone.

use super::*;
use crate::{
    reports::testing::Table,
    watch::{ConditionStatus, Level},
};
use serde_json::json;

const POOL_OF: &str = "metallb.io/ip-allocated-from-pool";

/// A table, and a controller that follows it.
struct World {
    table: Table,
    controller: Controller,
}

impl std::ops::Deref for World {
    type Target = Table;
    fn deref(&self) -> &Table {
        &self.table
    }
}

impl World {
    /// One pool of two addresses.
    fn new() -> Self {
        let table = Table::new();
        table.pool("p", json!({"addresses": ["192.0.2.1-192.0.2.2"]}));
        Self { table, controller: controller(false) }
    }

    /// Lets the controller see what there is, makes what it says until there is nothing left to say. Returns the changes
    /// of Services, without events, as `name: change`.
    fn sync(&mut self) -> Vec<String> {
        let mut changes = Vec::new();
        for _ in 0..10 {
            let writes = self.controller.update(&self.table.objects());
            if writes.is_empty() {
                return changes;
            }
            self.make(writes, &mut changes);
        }
        panic!("no end: {changes:?}");
    }

    fn make(&mut self, mut writes: Vec<Write>, changes: &mut Vec<String>) {
        while let Some(write) = writes.pop() {
            for change in &write.changes {
                self.table.apply(&write.about, change);
                if !matches!(change, Change::Event(_) | Change::Usage(_)) {
                    changes.push(format!("{}: {change:?}", write.about.subject.key));
                }
            }
            writes.extend(self.controller.finished(&write, write.changes.len()));
        }
    }

    fn restart(&mut self) {
        self.controller = controller(self.controller.ours.classless);
    }

    /// The events since the last call, oldest first.
    fn told(&self) -> Vec<String> {
        let events = self.table.events();
        self.table.log();
        events
    }

    #[track_caller]
    fn has(&self, name: &str, addresses: &str) {
        assert_eq!(self.table.addresses(name), addresses, "{name}");
    }

    /// Status, reason and message of the condition.
    fn why(&self, name: &str) -> (bool, String, String) {
        let condition = self.table.condition(name, ours::ADDRESS_ASSIGNED).unwrap();
        (condition.status == ConditionStatus::True, condition.reason.into_owned(), condition.message)
    }

    fn usage(&self) -> Vec<crate::ipam::Usage> {
        let log = self.table.log();
        log.into_iter()
            .filter_map(|(_, change)| if let Change::Usage(usage) = change { Some(usage) } else { None })
            .collect()
    }
}

fn controller(classless: bool) -> Controller {
    Controller::new(super::super::tests::ours(classless))
}

fn plain(table: &Table, name: &str) {
    table.service(name, json!({}), json!({}));
}

fn asking(table: &Table, name: &str, annotation: &str, value: &str) {
    table.service(name, json!({}), json!({"annotations": {annotation: value}}));
}

#[test]
fn an_address_is_given_written_and_told_once() {
    let mut world = World::new();
    plain(&world, "web");
    world.sync();
    world.has("web", "192.0.2.1");
    assert_eq!(world.annotation("web", POOL_OF).as_deref(), Some("p"));
    assert_eq!(world.why("web"), (true, "Assigned".to_owned(), "192.0.2.1 of IPAddressPool p".to_owned()));
    assert_eq!(world.told(), ["web IPAllocated: Assigned IP [\"192.0.2.1\"]"]);
    // Other changes of the Service, and a restart.
    world.service("web", json!({"ports": [{"port": 81}]}), json!({}));
    assert_eq!(world.sync(), [] as [&str; 0]);
    world.restart();
    assert_eq!(world.sync(), [] as [&str; 0]);
    assert_eq!(world.told(), [] as [&str; 0]);
}

#[test]
fn what_is_read_late_is_no_news() {
    let mut world = World::new();
    plain(&world, "web");
    let writes = world.controller.update(&world.objects());
    let [service, ..] = writes.as_slice() else { panic!("{writes:?}") };
    let stale = world.objects();
    // While it is being written, and after, it is seen as it was before.
    world.service("web", json!({"ports": [{"port": 81}]}), json!({}));
    assert!(world.controller.update(&world.objects()).is_empty());
    assert!(world.controller.finished(service, service.changes.len()).is_none());
    assert!(world.controller.update(&stale).iter().all(|write| write.about.subject != service.about.subject));
    // Then its writes come back one by one.
    for change in &service.changes {
        world.table.apply(&service.about, change);
        let again = world.controller.update(&world.objects());
        assert!(again.iter().all(|write| write.about.subject != service.about.subject), "{again:?}");
    }
    // Somebody empties the status: that is news.
    world.told();
    world.edit_service("web", |service| service.status = None);
    assert_eq!(world.sync().len(), 2, "addresses and condition");
    world.has("web", "192.0.2.1");
    assert_eq!(world.told(), [] as [&str; 0]);
    // Nor is it lost where the news never came.
    let unread = world.objects();
    world.controller.update(&unread);
    world.edit_service("web", |service| service.metadata.annotations = None);
    world.sync();
    assert!(world.controller.review().is_empty(), "all as it was read");
}

// S-181
#[test]
fn only_our_class_is_ours_and_the_classless_if_we_are_told() {
    let other = json!({"loadBalancerClass": "example.com/other"});
    let none = json!({"loadBalancerClass": null});
    for classless in [false, true] {
        let mut world = World::new();
        world.controller = controller(classless);
        world.service("other", other.clone(), json!({"annotations": {POOL_OF: "theirs"}}));
        world.status("other", "198.51.100.9");
        world.service("none", none.clone(), json!({}));
        world.status("none", "198.51.100.8");
        plain(&world, "ours");
        let changed = world.sync();
        assert!(changed.iter().all(|change| !change.starts_with("default/other")), "{changed:?}");
        world.has("other", "198.51.100.9");
        assert_eq!(world.annotation("other", POOL_OF).as_deref(), Some("theirs"));
        assert!(!world.addresses("ours").is_empty());
        let is_left = changed.iter().all(|change| !change.starts_with("default/none"));
        assert_eq!(is_left, !classless, "{changed:?}");
        // Without pools, and of another type, theirs stays as it is too.
        world.delete_pool("p");
        world.service("none", json!({"type": "ClusterIP", "loadBalancerClass": null}), json!({}));
        world.sync();
        world.has("other", "198.51.100.9");
        world.has("none", if classless { "" } else { "198.51.100.8" });
        world.has("ours", "");
    }
}

#[test]
fn what_others_gave_is_given_to_nobody() {
    let mut world = World::new();
    let theirs = json!({"loadBalancerClass": "example.com/metallb"});
    world.service("theirs", theirs.clone(), json!({}));
    world.status("theirs", "192.0.2.1");
    plain(&world, "a");
    asking(&world, "b", "metallb.io/loadBalancerIPs", "192.0.2.1");
    world.sync();
    world.has("a", "192.0.2.2");
    world.has("b", "");
    let told = "b AllocationFailed: Failed to allocate IP for \"default/b\": can't change sharing key for \
        \"default/b\", address also in use by default/theirs";
    assert!(world.told().contains(&told.to_owned()));
    // They give it up.
    world.status("theirs", "");
    world.sync();
    world.has("b", "192.0.2.1");
    // They give away what is ours: it stays, also after a restart, and both are told of.
    world.status("theirs", "192.0.2.2");
    world.told();
    world.sync();
    world.has("a", "192.0.2.2");
    assert_eq!(world.why("a").1, "AddressConflict");
    let conflict = "a AddressConflict: somebody else gave 192.0.2.2 to Service default/theirs too";
    assert_eq!(world.told(), [conflict]);
    world.restart();
    assert_eq!(world.sync(), [] as [&str; 0]);
    world.delete("theirs");
    world.sync();
    assert_eq!(world.why("a").1, "Assigned");
}

// S-227
#[test]
fn without_pools_there_are_no_addresses() {
    let mut world = World::new();
    plain(&world, "web");
    world.sync();
    world.told();
    world.delete_pool("p");
    world.sync();
    world.has("web", "");
    assert_eq!(world.annotation("web", POOL_OF), None);
    let (holds, reason, message) = world.why("web");
    assert_eq!((holds, reason.as_str()), (false, "NoPools"));
    assert!(message.contains("create an IPAddressPool"), "{message}");
    assert_eq!(world.told(), [] as [&str; 0]);
    world.pool("q", json!({"addresses": ["198.51.100.1/32"]}));
    world.sync();
    world.has("web", "198.51.100.1");
}

#[test]
fn a_service_of_another_type_gives_back_what_it_had() {
    let mut world = World::new();
    plain(&world, "web");
    world.sync();
    world.restart();
    world.service("web", json!({"type": "ClusterIP", "loadBalancerClass": null}), json!({}));
    world.service("never", json!({"type": "ClusterIP", "loadBalancerClass": null}), json!({}));
    world.status("never", "203.0.113.1");
    let changed = world.sync();
    assert!(changed.iter().all(|change| change.starts_with("default/web")), "{changed:?}");
    world.has("web", "");
    assert_eq!(world.annotation("web", POOL_OF), None);
    assert_eq!(world.why("web").1, "NotLoadBalancer");
    plain(&world, "web");
    world.sync();
    world.has("web", "192.0.2.1");
}

// S-180, S-227
#[test]
fn a_restart_keeps_every_address_and_the_older_ones_come_first() {
    let mut world = World::new();
    // What comes first by name has nothing yet.
    plain(&world, "a");
    plain(&world, "b");
    world.status("b", "192.0.2.1");
    world.sync();
    world.has("b", "192.0.2.1");
    world.has("a", "192.0.2.2");
    world.told();
    // Two have the same: the older keeps it.
    let mut world = World::new();
    world.service("c", json!({}), json!({"creationTimestamp": "2026-01-02T00:00:00Z"}));
    world.service("d", json!({}), json!({"creationTimestamp": "2026-01-01T00:00:00Z"}));
    world.status("c", "192.0.2.1");
    world.status("d", "192.0.2.1");
    world.sync();
    world.has("d", "192.0.2.1");
    world.has("c", "192.0.2.2");
    let cleared = "c ClearAssignment: current IP for \"default/c\" not allowed by config, will attempt for new IP \
        assignment: can't change sharing key for \"default/c\", address also in use by default/d";
    assert_eq!(world.told(), [cleared, "c IPAllocated: Assigned IP [\"192.0.2.2\"]"]);
}

#[test]
fn before_all_is_listed_nothing_is_touched() {
    let mut world = World::new();
    plain(&world, "web");
    world.edit(|objects| objects.pending = true);
    assert!(world.controller.update(&world.objects()).is_empty());
    world.edit(|objects| objects.pending = false);
    world.sync();
    world.has("web", "192.0.2.1");
}

#[test]
fn wrong_pools_leave_the_last_good_ones() {
    let mut world = World::new();
    plain(&world, "a");
    world.sync();
    world.told();
    world.pool("q", json!({"addresses": ["192.0.2.9-192.0.2.3"]}));
    plain(&world, "b");
    world.sync();
    world.has("a", "192.0.2.1");
    world.has("b", "192.0.2.2");
    let told = world.told();
    let warning = "q InvalidIPAddressPool: parsing address pool q: invalid IP range \"192.0.2.9-192.0.2.3\": start IP \
        \"192.0.2.9\" is after the end IP \"192.0.2.3\"; all pools stay in use as they were until this is corrected";
    assert_eq!(told.iter().filter(|event| event.starts_with("q ")).collect::<Vec<_>>(), [warning]);
    // Of two pools with the same address the later one is named.
    world.pool("q", json!({"addresses": ["192.0.2.2/32"]}));
    world.sync();
    assert!(world.told().iter().any(|event| event.starts_with("q InvalidIPAddressPool: CIDR")));
    world.sync();
    assert_eq!(world.told(), [] as [&str; 0]);
    world.pool("q", json!({"addresses": ["192.0.2.3/32"]}));
    plain(&world, "c");
    world.sync();
    world.has("c", "192.0.2.3");
    // Wrong from the start: nothing is given, nothing is taken.
    world.restart();
    world.pool("q", json!({"addresses": []}));
    plain(&world, "d");
    world.sync();
    world.has("a", "192.0.2.1");
    world.has("d", "");
    assert_eq!(world.why("d").1, "InvalidPools");
    assert!(world.why("d").2.contains("pool has no prefixes defined"), "{:?}", world.why("d"));
}

// S-178
#[test]
fn a_wish_that_cannot_be_read_takes_nothing_away() {
    let mut world = World::new();
    plain(&world, "web");
    world.sync();
    world.told();
    let both = json!({"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.2"}});
    world.service("web", json!({"loadBalancerIP": "192.0.2.2"}), both.clone());
    world.sync();
    world.has("web", "192.0.2.1");
    let fault = "service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP";
    assert_eq!(
        world.told(),
        [format!("web LoadBalancerFailed: invalid requested loadbalancer IPs: {fault}")]
    );
    let (holds, reason, message) = world.why("web");
    assert_eq!((holds, reason.as_str()), (true, "InvalidRequest"));
    assert!(message.contains(fault) && message.contains("not in both"), "{message}");
    world.restart();
    assert_eq!(world.sync(), [] as [&str; 0]);
    assert_eq!(world.told(), [] as [&str; 0]);
    // Nobody else gets it meanwhile; and who has nothing gets nothing.
    plain(&world, "other");
    world.service("new", json!({"loadBalancerIP": "192.0.2.2"}), both);
    world.sync();
    world.has("other", "192.0.2.2");
    world.has("new", "");
    assert!(
        world
            .told()
            .contains(&format!("new AllocationFailed: Failed to allocate IP for \"default/new\": {fault}"))
    );
}

// S-179
#[test]
fn who_waits_is_told_once_and_gets_what_is_freed() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        plain(&world, name);
    }
    world.sync();
    let failed = "Failed to allocate IP for \"default/c\": no available IPs";
    let told = world.told();
    assert!(told.contains(&format!("c AllocationFailed: {failed}")), "{told:?}");
    let (holds, reason, message) = world.why("c");
    assert_eq!((holds, reason.as_str()), (false, "NoAvailableAddress"));
    assert!(message.contains("add addresses, or delete Services"), "{message}");
    // Other changes, and a restart, are no reason to tell it again.
    world.service("c", json!({}), json!({"labels": {"x": "y"}}));
    world.sync();
    world.restart();
    world.sync();
    assert_eq!(world.told(), [] as [&str; 0]);
    world.delete("a");
    world.sync();
    world.has("c", "192.0.2.1");
    assert_eq!(world.told(), ["c IPAllocated: Assigned IP [\"192.0.2.1\"]"]);
    // One of the same name is another one; who waits was first.
    world.service("b", json!({}), json!({"uid": "other"}));
    world.edit_service("b", |service| service.status = None);
    world.sync();
    assert_eq!([world.addresses("b"), world.addresses("d")], ["192.0.2.2", ""]);
    // So does a wish for another address.
    world.pool("q", json!({"addresses": ["198.51.100.1/32"], "autoAssign": false}));
    asking(&world, "b", "metallb.io/address-pool", "q");
    world.sync();
    world.has("b", "198.51.100.1");
    world.has("d", "192.0.2.2");
    // And a pool that grows.
    plain(&world, "e");
    world.sync();
    world.has("e", "");
    world.pool("p", json!({"addresses": ["192.0.2.1-192.0.2.3"]}));
    world.sync();
    world.has("e", "192.0.2.3");
    // Out of the pool: another one at once.
    world.told();
    world.pool("p", json!({"addresses": ["192.0.2.2-192.0.2.4"]}));
    world.sync();
    world.has("c", "192.0.2.4");
    let cleared = "c ClearAssignment: current IP for \"default/c\" not allowed by config, will attempt for new IP \
        assignment: [\"192.0.2.1\"] is not allowed in config";
    assert_eq!(world.told(), [cleared, "c IPAllocated: Assigned IP [\"192.0.2.4\"]"]);
}

// S-177
#[test]
fn labels_of_namespaces_decide_again_when_they_change() {
    let mut world = World::new();
    world.pool(
        "p",
        json!({"addresses": ["192.0.2.1/32"],
        "serviceAllocation": {"namespaceSelectors": [{"matchLabels": {"team": "x"}}]}}),
    );
    plain(&world, "web");
    world.namespace("default", json!({}));
    world.sync();
    world.has("web", "");
    world.namespace("default", json!({"team": "x"}));
    world.sync();
    world.has("web", "192.0.2.1");
    world.namespace("default", json!({"team": "y"}));
    world.sync();
    world.has("web", "");
}

// S-182
#[test]
fn who_changes_what_it_shares_lets_others_in() {
    const KEY: &str = "metallb.io/allow-shared-ip";
    let mut world = World::new();
    let sharing = |table: &Table, name: &str, port: u16, key: &str| {
        let annotations = json!({"annotations": {KEY: key, "metallb.io/loadBalancerIPs": "192.0.2.1"}});
        table.service(name, json!({"ports": [{"port": port}]}), annotations);
    };
    sharing(&world, "a", 80, "k");
    sharing(&world, "b", 80, "k");
    world.sync();
    world.has("a", "192.0.2.1");
    let (_, reason, message) = world.why("b");
    assert_eq!(reason, "PortInUse");
    assert!(message.starts_with("port TCP/80 is already in use on \"192.0.2.1\": "), "{message}");
    // The port is given up, then the key agreed on.
    sharing(&world, "a", 81, "k");
    world.sync();
    world.has("b", "192.0.2.1");
    sharing(&world, "c", 82, "other");
    world.sync();
    assert_eq!(world.why("c").1, "AddressInUse");
    world.delete("a");
    sharing(&world, "b", 80, "other");
    world.sync();
    assert_eq!([world.addresses("b"), world.addresses("c")], ["192.0.2.1", "192.0.2.1"]);
    assert_eq!(world.usage().last().unwrap().assigned, [1, 0], "a shared one counts once");
}

// S-183, S-225
#[test]
fn two_families_are_asked_for_and_told_of() {
    let mut world = World::new();
    let both = json!({"clusterIPs": ["10.96.0.1", "fd00::1"], "ipFamilyPolicy": "PreferDualStack"});
    world.service("web", both, json!({}));
    world.service(
        "must",
        json!({"ipFamilyPolicy": "RequireDualStack", "clusterIPs": ["10.96.0.2"]}),
        json!({}),
    );
    world.sync();
    world.has("web", "192.0.2.1");
    assert_eq!(world.why("web").1, "SecondFamilyMissing");
    let told = world.told();
    for event in [
        "must not enough clusterips: Service requires dual stack but not enough clusterips [10.96.0.2]",
        "web IPAllocated: Assigned IP [\"192.0.2.1\"]",
        "web AdditionalAssignFailed: cannot assign additional IP in PreferDualStack: no available IPs in pool \"p\"",
    ] {
        assert!(told.contains(&event.to_owned()), "{told:?}");
    }
    assert_eq!(told.len(), 3);
    world.pool("p", json!({"addresses": ["192.0.2.1-192.0.2.2", "2001:db8::1/128"]}));
    world.sync();
    world.has("web", "192.0.2.1 2001:db8::1");
    assert_eq!(world.told(), ["web IPAllocated: Assigned additional IP \"2001:db8::1\""]);
    // Addresses that cannot be one Service's.
    world.restart();
    world.status("web", "192.0.2.1 192.0.2.2");
    world.sync();
    let fault = "IPFamilyForAddresses: same address family [\"192.0.2.1\" \"192.0.2.2\"]";
    let told = world.told();
    let expected = format!(
        "web nolbIPsIPFamily: Failed to retrieve LBIPs IPFamily for [\"192.0.2.1\" \"192.0.2.2\"]: {fault}"
    );
    assert_eq!(told[0], expected);
    world.has("web", "192.0.2.1 2001:db8::1");
}

#[test]
fn old_annotations_are_told_of_once() {
    let mut world = World::new();
    let old = "metallb.universe.tf/address-pool";
    world.service(
        "web",
        json!({}),
        json!({"annotations": {old: "p", "metallb.universe.tf/ip-allocated-from-pool": "p"}}),
    );
    world.sync();
    assert_eq!(world.annotation("web", "metallb.universe.tf/ip-allocated-from-pool"), None);
    let event = format!("web deprecatedAnnotation: Service uses deprecated annotation {old}");
    assert_eq!(world.told(), ["web IPAllocated: Assigned IP [\"192.0.2.1\"]".to_owned(), event]);
    world.restart();
    world.sync();
    assert_eq!(world.told(), [] as [&str; 0]);
}

#[test]
fn a_write_that_failed_is_asked_for_again_as_it_is_by_then() {
    let mut world = World::new();
    plain(&world, "web");
    let writes = world.controller.update(&world.objects());
    let write = writes.iter().find(|write| write.addresses().is_some()).unwrap();
    let again = world.controller.finished(write, 1).unwrap();
    assert_eq!(again.changes, write.changes[1..], "what was made is not made again");
    assert_eq!(again.notices().count(), 1);
    assert!(again.notices().all(|notice| notice.level == Level::Normal));
    // Meanwhile the pool is another one.
    world.delete_pool("p");
    world.pool("q", json!({"addresses": ["198.51.100.1/32"]}));
    let meanwhile = world.controller.update(&world.objects());
    assert!(meanwhile.iter().all(|write| write.about.subject != again.about.subject), "one at a time");
    let last = world.controller.finished(&again, 0).unwrap();
    assert_eq!(last.addresses(), Some(vec!["198.51.100.1".parse().unwrap()]));
    assert!(world.controller.finished(write, 3).is_none(), "what is over counts for nothing");
}

#[test]
fn a_change_costs_what_differs() {
    let mut world = World::new();
    world.pool("p", json!({"addresses": ["10.0.0.0/16"]}));
    for index in 0..10_000 {
        plain(&world, &format!("s{index}"));
    }
    let begun = std::time::Instant::now();
    let writes = world.controller.update(&world.objects());
    assert_eq!(writes.len(), 10_001, "each of them and the pool");
    let all = begun.elapsed();
    let given: BTreeSet<_> = writes.iter().filter_map(Write::addresses).flatten().collect();
    assert_eq!(given.len(), 10_000);
    let mut changes = Vec::new();
    world.make(writes, &mut changes);
    world.controller.update(&world.objects());
    // The quickest of many: the machine may have other things to do now and then.
    let one = (1..200).map(|port| {
        world.service("s77", json!({"ports": [{"port": port}]}), json!({}));
        let objects = world.objects();
        let begun = std::time::Instant::now();
        assert!(world.controller.update(&objects).is_empty());
        begun.elapsed()
    });
    let one = one.min().unwrap();
    assert!(one * 100 < all, "one takes {one:?}, ten thousand take {all:?}");
}
