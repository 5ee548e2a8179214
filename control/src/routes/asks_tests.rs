use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::facts::{Answer, Event, Link, Neighbour, Via};
use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn host(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    IpAddr::from([10, 0, high, low])
}

fn key(n: u16) -> NeighbourKey {
    NeighbourKey { interface: 2, address: host(n) }
}

fn entry(n: u16, state: NeighbourState, managed: bool) -> Event {
    let mac = matches!(state, NeighbourState::Valid | NeighbourState::Stale).then_some(MAC);
    Event::Neighbour(key(n), Neighbour { mac, state, managed })
}

/// eth0, with so many targets on the link.
fn world(hosts: u16) -> State {
    let mut state = State::new(vec![(0, "eth0".into())]);
    state.apply(Event::Link(Link {
        index: 2,
        name: "eth0".into(),
        mac: Some(MAC),
        mtu: 1500,
        running: true,
        vlan: None,
        master: None,
        rx_queues: 1,
        tx_queues: 1,
    }));
    state.set_targets(&(0..hosts).map(host).collect());
    for n in 0..hosts {
        let via = Via { interface: 2, next_hop: host(n), source: None, mtu: None };
        state.answered(host(n), Answer::Via(via));
    }
    state
}

fn asked(state: &mut State, now: Instant) -> Vec<NeighbourKey> {
    state.due_asks(now).into_iter().map(|ask| ask.key).collect()
}

#[test]
fn an_unknown_neighbour_is_asked_at_once_and_again_each_second() {
    let (mut state, start) = (world(1), Instant::now());
    assert_eq!(state.due_asks(start), [Ask { key: key(0), create: true }]);
    assert!(asked(&mut state, start + Duration::from_millis(999)).is_empty());
    state.apply(entry(0, NeighbourState::Incomplete, true));
    assert_eq!(state.due_asks(start + Duration::from_secs(1)), [Ask { key: key(0), create: false }]);
    state.apply(entry(0, NeighbourState::Failed, true));
    assert_eq!(asked(&mut state, start + Duration::from_secs(2)), [key(0)]);
    state.apply(entry(0, NeighbourState::Valid, true));
    assert!(asked(&mut state, start + Duration::from_secs(100)).is_empty());
}

#[test]
fn an_entry_the_kernel_already_has_is_taken_into_its_care_once() {
    let (mut state, start) = (world(1), Instant::now());
    state.apply(entry(0, NeighbourState::Valid, false));
    assert_eq!(asked(&mut state, start), [key(0)]);
    state.apply(entry(0, NeighbourState::Stale, true));
    assert!(asked(&mut state, start + Duration::from_secs(100)).is_empty());
}

#[test]
fn where_the_kernel_does_not_keep_it_fresh_a_stale_one_is_asked_every_15_s() {
    let (mut state, start) = (world(1), Instant::now());
    state.apply(entry(0, NeighbourState::Stale, false));
    assert_eq!(asked(&mut state, start), [key(0)]);
    assert!(asked(&mut state, start + Duration::from_secs(14)).is_empty());
    assert_eq!(asked(&mut state, start + Duration::from_secs(15)), [key(0)]);
}

#[test]
fn a_neighbour_set_by_hand_is_left_alone() {
    let (mut state, start) = (world(1), Instant::now());
    state.apply(entry(0, NeighbourState::Fixed, false));
    assert!(asked(&mut state, start).is_empty());
    assert!(state.take_released().is_empty());
}

#[test]
fn repeats_are_bounded_and_everyone_has_a_turn() {
    let (mut state, start) = (world(600), Instant::now());
    assert_eq!(asked(&mut state, start).len(), 600, "first asks are not held back");
    let mut turns = BTreeSet::new();
    for second in 1..=3 {
        let round = asked(&mut state, start + Duration::from_secs(second));
        assert!(round.len() <= MOST_REPEATS);
        turns.extend(round);
    }
    assert_eq!(turns.len(), 600);
}

#[test]
fn what_no_target_needs_is_released_once() {
    let (mut state, start) = (world(2), Instant::now());
    asked(&mut state, start);
    state.apply(entry(0, NeighbourState::Valid, true));
    state.apply(entry(1, NeighbourState::Valid, true));
    assert!(state.take_released().is_empty());
    state.set_targets(&imbl::OrdSet::from_iter([host(1)]));
    assert_eq!(state.take_released(), [key(0)]);
    assert!(state.take_released().is_empty());
}

#[test]
fn an_interface_that_is_down_is_asked_as_soon_as_it_is_up() {
    let (mut state, start) = (world(1), Instant::now());
    let up = state.links[&2].clone();
    assert_eq!(asked(&mut state, start), [key(0)]);
    state.apply(Event::Link(Link { running: false, ..up.clone() }));
    state.take_released();
    assert!(asked(&mut state, start + Duration::from_secs(5)).is_empty());
    state.apply(Event::Link(up));
    assert_eq!(asked(&mut state, start + Duration::from_secs(5)), [key(0)]);
}
