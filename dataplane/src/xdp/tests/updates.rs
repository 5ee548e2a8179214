//! Growing and shrinking: what is added shows, what is removed goes, and nothing is removed by growing.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::packets::*;
use super::*;

#[test]
fn root_growing_only_adds_and_shrinking_only_removes() {
    let Some(mut bench) = Bench::with(&state()) else { return };
    let mut next = state();
    next.addresses.remove(&address(false, VIP));
    next.addresses.insert(address(false, OTHER), AddressFlags::VIP);
    next.node_ports.remove(&FamilyPort { v6: false, protocol: TCP, port: 30080 });
    next.node_ports.insert(FamilyPort { v6: false, protocol: TCP, port: 30081 });
    next.snat_ports = 50000..=62000;
    let to = |last, port| plain(&ip(ends(false, CLIENT, last), TCP, &ports(1, port)));
    let all = [to(VIP, 1), to(OTHER, 1), to(NODE, 30080), to(NODE, 30081), to(NODE, 50000), to(NODE, 65535)];

    let ours = |bench: &mut Bench| all.each_ref().map(|packet| bench.is_ours(packet));
    assert_eq!(ours(&mut bench), [true, false, true, false, false, true]);
    bench.classifier.grow(&next).unwrap();
    assert_eq!(ours(&mut bench), [true; 6]);
    bench.classifier.shrink(&next).unwrap();
    assert_eq!(ours(&mut bench), [false, true, false, true, true, false]);
    assert_eq!(bench.classifier.state(), &next);
}

#[test]
fn root_a_node_port_needs_a_protocol_with_ports() {
    let Some(mut bench) = Bench::with(&ClassifierState::default()) else { return };
    let mut wrong = ClassifierState::default();
    wrong.node_ports.insert(FamilyPort { v6: false, protocol: 1, port: 30080 });
    let said = bench.classifier.grow(&wrong).unwrap_err().to_string();
    assert!(said.contains("IP protocol 1"), "{said}");
}

#[test]
fn root_a_classifier_without_state_passes_everything() {
    let Some(mut bench) = Bench::with(&ClassifierState::default()) else { return };
    assert!(!bench.is_ours(&plain(&ip(ends(false, CLIENT, VIP), TCP, &ports(1, 0)))));
}

fn any_state() -> impl Strategy<Value = ClassifierState> {
    let roles = prop::sample::select(vec![
        AddressFlags::VIP,
        AddressFlags::NODE,
        AddressFlags::SNAT,
        AddressFlags::NODE | AddressFlags::SNAT,
        AddressFlags::BACKEND | AddressFlags::VIP,
    ]);
    let addresses = prop::collection::btree_map(
        (any::<bool>(), 0u8..8).prop_map(|(v6, last)| address(v6, last)),
        roles,
        0..8,
    );
    let port = (any::<bool>(), prop::sample::select(vec![TCP, UDP, SCTP]), 100u16..200)
        .prop_map(|(v6, protocol, port)| FamilyPort { v6, protocol, port });
    let ports = prop::collection::btree_set(port, 0..20);
    let interfaces = prop::collection::btree_map(1u32..5, (0u8..4, any::<bool>()), 0..4);
    let ranges = prop::collection::btree_set(
        (any::<bool>(), 0u8..8, 8u8..32).prop_map(|(v6, last, length)| (address(v6, last), length)),
        0..4,
    );
    (addresses, ranges, ports, interfaces, 1000u16..2000, 0u16..100).prop_map(
        |(addresses, ranges, node_ports, interfaces, first, length)| ClassifierState {
            addresses: addresses.into_iter().collect(),
            ranges,
            node_ports: node_ports.iter().copied().collect(),
            backend_ports: node_ports.into_iter().collect(),
            snat_ports: first..=first + length,
            interfaces: interfaces
                .into_iter()
                .map(|(index, (port, backend))| (index, InterfaceEntry { port: PortId(port), backend }))
                .collect(),
        },
    )
}

/// Whatever the way there, growing then shrinking to a state leads to that state.
#[test]
fn root_any_sequence_of_states_ends_in_the_last() {
    let Some(bench) = Bench::with(&ClassifierState::default()) else { return };
    let bench = RefCell::new(bench);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let states = prop::collection::vec(any_state(), 1..4);
    runner
        .run(&states, |states| {
            let classifier = &mut bench.borrow_mut().classifier;
            for state in &states {
                classifier.grow(state).unwrap();
                classifier.shrink(state).unwrap();
                prop_assert_eq!(classifier.state(), state);
            }
            Ok(())
        })
        .unwrap();
}
