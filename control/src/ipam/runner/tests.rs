//! The whole task against a table of objects, with time that passes by itself.

use super::*;
use crate::{
    objects::ObjectKey,
    reports::{Change, testing::Table},
};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

/// A table with a pool, a lock, and the task.
struct World {
    table: Table,
    held: watch::Sender<bool>,
}

impl World {
    fn new(pool: &str) -> Self {
        let (table, held) = (Table::new(), watch::Sender::new(false));
        table.pool("p", json!({"addresses": [pool]}));
        let ours = crate::ipam::tests::ours(false);
        tokio::spawn(run(ours, table.subscribe(), held.subscribe(), table.clone()));
        Self { table, held }
    }

    fn services(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let names: Vec<_> = names.into_iter().collect();
        names.iter().for_each(|name| self.table.service(name, json!({}), json!({})));
        names
    }

    /// Those that have an address, and how many different ones there are.
    fn assigned(&self, names: &[String]) -> (usize, usize) {
        let addresses: Vec<_> =
            names.iter().map(|name| self.table.addresses(name)).filter(|text| !text.is_empty()).collect();
        (addresses.len(), addresses.iter().collect::<BTreeSet<_>>().len())
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

// S-180
#[tokio::test(start_paused = true)]
async fn only_who_has_the_lock_writes_and_a_new_one_keeps_every_address() {
    let world = World::new("192.0.2.0/24");
    let names = world.services((0..100).map(|index| format!("s{index}")));
    seconds(5).await;
    assert_eq!(world.assigned(&names), (0, 0));
    // Each change takes a moment: the lock is lost in the midst of them.
    world.table.delay(Duration::from_millis(100));
    world.held.send_replace(true);
    sleep(Duration::from_millis(1_050)).await;
    world.held.send_replace(false);
    tokio::task::yield_now().await;
    let log = world.table.log();
    let (count, different) = world.assigned(&names);
    assert!(count == different && count > 16 && count < 100, "{count} {different}");
    assert!(log.iter().any(|(_, change)| matches!(change, Change::Event(_))));
    seconds(60).await;
    assert_eq!(world.table.log(), [], "not one write after that");
    let before: Vec<_> = names.iter().map(|name| world.table.addresses(name)).collect();
    // Somebody else has it, and gives it back.
    world.held.send_replace(true);
    seconds(60).await;
    assert_eq!(world.assigned(&names), (100, 100));
    for (name, before) in names.iter().zip(before) {
        assert!(before.is_empty() || before == world.table.addresses(name), "{name} had {before}");
    }
    world.table.log();
    world.held.send_replace(false);
    seconds(1).await;
    world.held.send_replace(true);
    seconds(60).await;
    let log = world.table.log();
    assert!(log.iter().all(|(_, change)| matches!(change, Change::Usage(_))), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_made_again_and_holds_up_nobody() {
    let world = World::new("192.0.2.0/24");
    let names = world.services((0..50).map(|index| format!("s{index}")));
    world.table.fail(&ObjectKey::new("default", "s7"), 6);
    world.table.fail(&ObjectKey::new("pools", "p"), 2);
    world.held.send_replace(true);
    seconds(1).await;
    assert_eq!(world.assigned(&names), (49, 49));
    // What it is to have by then is what is written.
    world.table.service("s7", json!({"loadBalancerIP": "192.0.2.200"}), json!({}));
    seconds(60).await;
    assert_eq!(world.table.addresses("s7"), "192.0.2.200");
    assert_eq!(world.assigned(&names), (50, 50));
    let log = world.table.log();
    let of_s7 = log.iter().filter(|(about, _)| about.subject.key.name == "s7");
    let addresses = of_s7.clone().filter(|(_, change)| matches!(change, Change::Addresses(_)));
    assert_eq!(addresses.count(), 1, "what failed left no trace");
    assert!(log.iter().any(|(about, _)| about.subject.key.name == "p"));
}

#[tokio::test(start_paused = true)]
async fn events_that_cannot_be_told_hold_up_nothing_for_ever() {
    let world = World::new("192.0.2.0/24");
    world.table.refuse_events();
    world.services(["web".to_owned()]);
    world.held.send_replace(true);
    seconds(60).await;
    assert_eq!(world.table.addresses("web"), "192.0.2.0");
    assert_eq!(world.table.refused_events(), 5);
    assert!(world.table.condition("web", crate::ipam::ADDRESS_ASSIGNED).is_some());
    world.table.service("web", json!({"loadBalancerIP": "192.0.2.9"}), json!({}));
    seconds(1).await;
    assert_eq!(world.table.addresses("web"), "192.0.2.9");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_is_given_up_and_tried_again() {
    let world = World::new("192.0.2.0/24");
    let names = world.services((0..3).map(|index| format!("s{index}")));
    world.table.delay(Duration::from_secs(3_600));
    world.held.send_replace(true);
    seconds(5).await;
    world.table.delay(Duration::from_millis(1));
    seconds(30).await;
    assert_eq!(world.assigned(&names), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_at_once_are_written_a_few_at_a_time_and_each_once() {
    const COUNT: usize = 10_000;
    let world = World::new("10.0.0.0/16");
    let names = world.services((0..COUNT).map(|index| format!("s{index}")));
    world.table.delay(Duration::from_millis(5));
    world.held.send_replace(true);
    let begun = Instant::now();
    while world.assigned(&names[COUNT - 20..]).0 < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", world.assigned(&names));
        sleep(Duration::from_millis(500)).await;
    }
    seconds(10).await;
    assert_eq!(world.assigned(&names), (COUNT, COUNT));
    assert_eq!(world.table.most_at_once(), 16);
    let log = world.table.log();
    let of_services = log.iter().filter(|(_, change)| !matches!(change, Change::Usage(_))).count();
    assert_eq!(of_services, 4 * COUNT, "addresses, the pool's name, the condition and an event");
    // One more waits for nobody.
    let begun = Instant::now();
    world.services(["late".to_owned()]);
    while world.table.addresses("late").is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
}
