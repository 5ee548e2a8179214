//! The affinity table against a model, and its bounds.

use crate::{
    state::{AffinityTable, Millis},
    table::{PinId, ServiceId},
    wire::{V4, V6},
};
use proptest::prelude::*;
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const SERVICE: ServiceId = ServiceId(7);

fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

fn pins(table: &AffinityTable, service: ServiceId, number: u32) -> Vec<(u64, u32)> {
    let mut pins = Vec::new();
    table.visit::<V4>(service, client(number), |pin, used| pins.push((pin.0, used.0)));
    pins.sort_unstable();
    pins
}

fn note(table: &AffinityTable, number: u32, pin: u64, now: u32) {
    table.note::<V4>(SERVICE, client(number), PinId(pin), Millis(now), |_, _| true);
}

#[test]
fn records_are_of_one_service_client_and_family() {
    let table = AffinityTable::new(100, 1);
    note(&table, 1, 10, 5);
    note(&table, 1, 11, 6);
    assert_eq!(pins(&table, SERVICE, 1), [(10, 5), (11, 6)]);
    assert_eq!(pins(&table, ServiceId(8), 1), []);
    assert_eq!(pins(&table, SERVICE, 2), []);
    // The same words as an IPv6 address are another client.
    let same = Ipv6Addr::from(u128::from(u32::from(client(1))) << 64);
    table.visit::<V6>(SERVICE, same, |pin, _| panic!("{pin:?}"));
    note(&table, 1, 10, 9);
    assert_eq!(pins(&table, SERVICE, 1), [(10, 9), (11, 6)], "a use is noted");
}

#[test]
fn a_dead_record_is_used_again() {
    let table = AffinityTable::new(100, 1);
    note(&table, 1, 10, 5);
    table.note::<V4>(SERVICE, client(1), PinId(11), Millis(6), |pin, _| pin != PinId(10));
    assert_eq!((pins(&table, SERVICE, 1), table.len()), (vec![(11, 6)], 1));
}

// S-139
#[test]
fn the_oldest_used_record_goes_first() {
    let table = AffinityTable::new(1000, 1);
    (0..1000).for_each(|number| note(&table, number, 1, number));
    assert_eq!((table.len(), table.capacity()), (1000, 1000));
    note(&table, 0, 1, 1000);
    note(&table, 5000, 1, 1001);
    assert_eq!(table.len(), 1000);
    assert_eq!(pins(&table, SERVICE, 0).len(), 1, "used since");
    assert_eq!(pins(&table, SERVICE, 1).len(), 0, "the oldest-used");
    assert_eq!(pins(&table, SERVICE, 2).len(), 1);
}

// S-139
#[test]
fn a_full_table_of_many_shards_stays_full() {
    let table = AffinityTable::new(1 << 14, 3);
    (0..1 << 16).for_each(|number| note(&table, number, 1, number));
    assert_eq!(table.len(), table.capacity());
    let newest = (1 << 16) - 1000;
    assert!((newest..1 << 16).all(|number| pins(&table, SERVICE, number).len() == 1), "the newest are there");
}

#[test]
fn sweeps_take_out_what_nobody_can_want() {
    let table = AffinityTable::new(10_000, 1);
    (0..100).for_each(|number| note(&table, number, 1, 0));
    let day = Millis(0).after(Duration::from_secs(86_400));
    (0..1000).for_each(|_| table.sweep(Millis(day.0 - 1)));
    assert_eq!(table.len(), 100);
    note(&table, 7, 1, 1);
    (0..1000).for_each(|_| table.sweep(day));
    assert_eq!((table.len(), pins(&table, SERVICE, 7)), (1, vec![(1, 1)]));
}

#[test]
fn workers_share_it() {
    let table = AffinityTable::new(4096, 9);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let table = &table;
            scope.spawn(move || (0..2000).for_each(|number| note(table, number, worker, number)));
        }
    });
    assert_eq!(table.len(), table.capacity());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A small table holds exactly the records last used, with the times of their last use.
    #[test]
    fn it_holds_the_records_last_used(uses in prop::collection::vec((0u32..40, 0u64..3), 0..400), capacity in 1usize..40) {
        let table = AffinityTable::new(capacity, 5);
        let mut model: HashMap<(u32, u64), u32> = HashMap::new();
        for (now, (number, pin)) in (0..).zip(uses) {
            note(&table, number, pin, now);
            model.insert((number, pin), now);
            if model.len() > capacity {
                let oldest = *model.iter().min_by_key(|(_, used)| **used).unwrap().0;
                model.remove(&oldest);
            }
        }
        prop_assert_eq!(table.len(), model.len());
        for number in 0..40 {
            let mut expected: Vec<_> =
                model.iter().filter(|((of, _), _)| *of == number).map(|((_, pin), used)| (*pin, *used)).collect();
            expected.sort_unstable();
            prop_assert_eq!(pins(&table, SERVICE, number), expected);
        }
    }
}
