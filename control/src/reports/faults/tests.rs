//! Who is told what is wrong, how often, and what becomes of it.

use super::*;
use crate::{fault::Fault, objects::ObjectKey, reports::testing::Table, watch::Level};
use serde_json::json;

/// A table with the Services `web` and `api`, and who tells.
struct World {
    table: Table,
    faults: Faults,
    problems: Vec<Problem>,
}

impl World {
    fn new(faults: Faults) -> Self {
        let table = Table::new();
        table.service("web", json!({}), json!({}));
        table.service("api", json!({}), json!({}));
        table.pool("p", json!({"addresses": ["192.0.2.1/32"]}));
        Self { table, faults, problems: Vec::new() }
    }

    fn wrong(&mut self, subject: Subject, severity: Severity, path: &str) {
        let fault = Fault { path: path.to_owned(), message: "Required value".to_owned() };
        self.problems.push(Problem { severity, origin: None, object: Some(subject), fault });
    }

    /// Tells until there is nothing left to tell: events, and how many other changes there were.
    fn sync(&mut self) -> (Vec<String>, usize) {
        self.table.log();
        for _ in 0..10 {
            let found = Found { objects: self.table.objects(), problems: self.problems.clone().into() };
            let mut writes = self.faults.update(&found);
            if writes.is_empty() {
                let events = self.table.events();
                let others = self.table.log().len() - events.len();
                return (events, others);
            }
            while let Some(write) = writes.pop() {
                assert!(write.notices().all(|notice| notice.level == Level::Warning));
                write.changes.iter().for_each(|change| self.table.apply(&write.about, change));
                writes.extend(self.faults.finished(&write, write.changes.len()));
            }
        }
        panic!("no end");
    }

    fn valid(&self, name: &str) -> Option<(bool, String)> {
        let condition = self.table.condition(name, VALID)?;
        Some((condition.status == ConditionStatus::True, condition.reason.into_owned()))
    }
}

fn service(name: &str) -> Subject {
    Subject::service(&ObjectKey::new("default", name))
}

fn pool() -> Subject {
    Subject { kind: ObjectKind::IpAddressPool, key: ObjectKey::new("pools", "p") }
}

#[test]
fn a_service_is_told_once_what_is_wrong_and_once_that_it_is_right() {
    let mut world = World::new(Faults::of_cluster());
    world.wrong(service("web"), Severity::Error, "spec.ports");
    world.wrong(service("web"), Severity::Warning, "spec.clusterIP");
    let note = "spec.ports: Required value; spec.clusterIP: Required value (its last good version, if there was one, stays \
        in use)";
    assert_eq!(world.sync(), (vec![format!("web InvalidService: {note}")], 1));
    let condition = world.table.condition("web", VALID).unwrap();
    assert_eq!((condition.status, condition.message.as_str()), (ConditionStatus::False, note));
    assert_eq!(world.valid("api"), None, "nothing was ever wrong with it");
    // Other changes of it, and another gateway.
    world.table.service("web", json!({}), json!({"labels": {"x": "y"}}));
    assert_eq!(world.sync(), (vec![], 0));
    world.faults = Faults::of_cluster();
    assert_eq!(world.sync(), (vec![], 0));
    // Somebody takes the condition away.
    world.table.edit_service("web", |service| service.status = None);
    assert_eq!(world.sync(), (vec![], 1));
    world.problems.remove(0);
    assert_eq!(world.sync(), (vec!["web DoubtfulService: spec.clusterIP: Required value".to_owned()], 1));
    // It is mended while nobody looks.
    world.problems.clear();
    world.faults = Faults::of_cluster();
    assert_eq!(world.sync(), (vec![], 1));
    assert_eq!(world.valid("web"), Some((true, "Valid".to_owned())));
    assert_eq!(world.sync(), (vec![], 0));
}

#[test]
fn other_objects_have_events_alone() {
    let mut world = World::new(Faults::of_cluster());
    world.wrong(pool(), Severity::Error, "spec.addresses[0]");
    world.wrong(
        Subject { kind: ObjectKind::Node, key: ObjectKey::new("", "gone") },
        Severity::Error,
        "status",
    );
    world.problems.push(Problem { object: None, ..world.problems[0].clone() });
    let (events, others) = world.sync();
    assert!(events.len() == 1 && events[0].starts_with("p InvalidIPAddressPool: spec.addresses[0]: "));
    assert_eq!((others, world.sync()), (0, (vec![], 0)));
    // Mended, and wrong again: that is news.
    let problems = std::mem::take(&mut world.problems);
    assert_eq!(world.sync(), (vec![], 0));
    world.problems = problems;
    assert_eq!(world.sync().0.len(), 1);
}

#[test]
fn what_one_gateway_finds_alone_it_tells_with_its_name() {
    let mut world = World::new(Faults::of_node("gw-a"));
    world.wrong(service("web"), Severity::Warning, "spec.healthCheckNodePort");
    let event = "web DoubtfulService: spec.healthCheckNodePort: Required value (on node gw-a)";
    assert_eq!(world.sync(), (vec![event.to_owned()], 0));
    assert_eq!((world.valid("web"), world.sync()), (None, (vec![], 0)));
}

#[test]
fn a_new_object_of_the_name_is_told_too_and_one_that_is_gone_is_not() {
    let mut world = World::new(Faults::of_cluster());
    world.wrong(service("web"), Severity::Error, "spec.ports");
    assert_eq!(world.sync().0.len(), 1);
    world.table.delete("web");
    assert_eq!(world.sync(), (vec![], 0));
    world.table.service("web", json!({}), json!({"uid": "another"}));
    assert_eq!(world.sync().0.len(), 1);
    // Before all is listed, nobody knows.
    world.problems.clear();
    world.table.edit(|objects| objects.pending = true);
    assert_eq!(world.sync(), (vec![], 0));
}

#[test]
fn a_long_list_is_cut() {
    let mut world = World::new(Faults::of_cluster());
    for index in 0..200 {
        world.wrong(service("web"), Severity::Error, &format!("spec.ports[{index}].name"));
    }
    let (events, _) = world.sync();
    assert!(events[0].len() < 1024 && events[0].contains("; and 1"), "{}", events[0]);
}
