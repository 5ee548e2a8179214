use std::time::Instant;

use super::super::facts::{Via, Vlan};
use super::super::view::{Unresolved, Way, WayLink};
use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: IfIndex, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        mac: Some(MAC),
        mtu: 1500,
        running: true,
        vlan: None,
        master: None,
        rx_queues: 1,
        tx_queues: 1,
    }
}

fn via(interface: IfIndex, next_hop: &str) -> Answer {
    Answer::Via(Via { interface, next_hop: ip(next_hop), source: Some(ip("10.0.0.1")), mtu: None })
}

fn neighbour(interface: IfIndex, address: &str, state: NeighbourState, mac: Option<[u8; 6]>) -> Event {
    let key = NeighbourKey { interface, address: ip(address) };
    Event::Neighbour(key, Neighbour { mac, state, managed: true })
}

fn address(interface: IfIndex, address: &str, facts: AddressFacts) -> Event {
    Event::Address(AddressKey { interface, address: ip(address), prefix_len: 24 }, facts)
}

const USABLE: AddressFacts = AddressFacts { global: true, unusable: false, deprecated: false };

/// eth0 as port 0 and eth1 as port 1, and a target that is looked up to be behind `answer`.
fn world(target: &str, answer: Answer) -> State {
    let mut state = State::new(vec![(0, "eth0".into()), (1, "eth1".into())]);
    state.restart(vec![Event::Link(link(2, "eth0")), Event::Link(link(3, "eth1"))]);
    state.set_targets(&OrdSet::from_iter([ip(target)]));
    assert_eq!(state.take_doubtful(), BTreeSet::from([ip(target)]));
    state.answered(ip(target), answer);
    state
}

fn way(state: &mut State, target: &str) -> Way {
    Way::clone(&state.view().ways[&ip(target)])
}

fn reason(state: &mut State, target: &str) -> String {
    way(state, target).link.unwrap_err().to_string()
}

#[test]
fn a_target_on_the_link_is_reached_by_its_own_mac() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    assert_eq!(reason(&mut state, "10.0.0.9"), "waiting for neighbour 10.0.0.9 on eth0 to answer");
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    let link = WayLink { port: 0, source_mac: MAC, dest_mac: PEER, vlan: None };
    assert_eq!(way(&mut state, "10.0.0.9"), Way { link: Ok(link), source: Some(ip("10.0.0.1")), mtu: 1500 });
}

#[test]
fn a_gateway_is_a_neighbour_of_its_own_interface_only() {
    let mut state = world("192.0.2.1", via(3, "10.0.0.254"));
    state.apply(neighbour(2, "10.0.0.254", NeighbourState::Valid, Some(PEER)));
    assert!(way(&mut state, "192.0.2.1").link.is_err());
    state.apply(neighbour(3, "10.0.0.254", NeighbourState::Stale, Some(PEER)));
    assert_eq!(way(&mut state, "192.0.2.1").link.unwrap().port, 1);
}

#[test]
fn the_smallest_mtu_on_the_way_counts() {
    let narrow = Answer::Via(Via { interface: 2, next_hop: ip("10.0.0.9"), source: None, mtu: Some(1400) });
    let mut state = world("10.0.0.9", narrow);
    assert_eq!(way(&mut state, "10.0.0.9").mtu, 1400);
    state.apply(Event::Link(Link { mtu: 1300, ..link(2, "eth0") }));
    assert_eq!(way(&mut state, "10.0.0.9").mtu, 1300);
    state.answered(ip("10.0.0.9"), via(2, "10.0.0.9"));
    state.apply(Event::Link(Link { mtu: 1 << 20, ..link(2, "eth0") }));
    assert_eq!(way(&mut state, "10.0.0.9").mtu, u16::MAX);
}

#[test]
fn a_vlan_of_a_port_sends_tagged_with_its_own_mac_by_that_port() {
    let mut state = world("10.0.0.9", via(7, "10.0.0.9"));
    let vlan = Some(Vlan { lower: 3, id: 100, service_tag: false });
    let own = [2, 9, 9, 9, 9, 9];
    state.apply(Event::Link(Link { vlan, mac: Some(own), ..link(7, "eth1.100") }));
    state.apply(neighbour(7, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    let link_layer = way(&mut state, "10.0.0.9").link.unwrap();
    assert_eq!(link_layer, WayLink { port: 1, source_mac: own, dest_mac: PEER, vlan: Some(100) });
    // The tag is gone with the lower interface's carrier.
    state.apply(Event::Link(Link { running: false, ..link(3, "eth1") }));
    assert_eq!(reason(&mut state, "10.0.0.9"), "eth1.100 is down");
}

#[test]
fn tag_stacks_are_refused_by_name() {
    let mut state = world("10.0.0.9", via(8, "10.0.0.9"));
    let vlan = |lower, service_tag| Some(Vlan { lower, id: 5, service_tag });
    state.apply(Event::Link(Link { vlan: vlan(2, false), ..link(7, "eth0.5") }));
    state.apply(Event::Link(Link { vlan: vlan(7, false), ..link(8, "eth0.5.5") }));
    assert!(reason(&mut state, "10.0.0.9").starts_with("eth0.5.5 adds an 802.1ad tag or a second tag"));
    state.apply(Event::Link(Link { vlan: vlan(2, true), ..link(8, "svc") }));
    assert!(reason(&mut state, "10.0.0.9").starts_with("svc adds"));
}

#[test]
fn a_foreign_interface_is_named_with_the_likely_mistake() {
    let mut state = world("10.0.0.9", via(4, "10.0.0.9"));
    state.apply(Event::Link(link(4, "br0")));
    let foreign = "its route leaves by br0, which is not among the configured interfaces";
    assert_eq!(reason(&mut state, "10.0.0.9"), foreign);
    state.apply(Event::Link(Link { master: Some(4), ..link(2, "eth0") }));
    assert_eq!(
        reason(&mut state, "10.0.0.9"),
        format!("{foreign}; eth0 is enslaved to it: take the addresses off the master")
    );
}

#[test]
fn a_down_or_non_ethernet_interface_has_no_way() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    state.apply(Event::Link(Link { mac: None, ..link(2, "eth0") }));
    assert_eq!(reason(&mut state, "10.0.0.9"), "eth0 is not an Ethernet interface");
    state.apply(Event::Link(Link { running: false, ..link(2, "eth0") }));
    assert_eq!(reason(&mut state, "10.0.0.9"), "eth0 is down");
}

#[test]
fn a_silent_neighbour_stays_silent_while_it_is_asked_again() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Failed, None));
    let silent = "neighbour 10.0.0.9 on eth0 does not answer";
    assert_eq!(reason(&mut state, "10.0.0.9"), silent);
    let before = state.view();
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Incomplete, None));
    assert_eq!(state.view(), before, "asking again is no change");
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    assert!(way(&mut state, "10.0.0.9").link.is_ok());
}

#[test]
fn a_refused_ask_is_the_reason_until_it_succeeds() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    let key = state.due_asks(Instant::now())[0].key;
    state.asked(key, Err("table full".into()));
    assert_eq!(
        reason(&mut state, "10.0.0.9"),
        "neighbour 10.0.0.9 on eth0 could not be asked for: table full"
    );
    state.asked(key, Ok(()));
    assert!(matches!(way(&mut state, "10.0.0.9").link, Err(Unresolved::NeighbourPending { .. })));
}

#[test]
fn a_route_change_doubts_the_targets_of_its_prefix_only() {
    let mut state = State::new(vec![(0, "eth0".into())]);
    let targets = ["10.0.0.9", "10.0.1.0", "10.0.1.255", "10.0.2.0", "fd00::1", "fd00:0:0:1::1"];
    state.set_targets(&targets.iter().map(|text| ip(text)).collect());
    let mut doubted = |prefix: &str| {
        state.take_doubtful();
        state.apply(Event::Route(prefix.parse().unwrap()));
        state.take_doubtful().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(doubted("10.0.1.0/24"), [ip("10.0.1.0"), ip("10.0.1.255")]);
    assert_eq!(doubted("0.0.0.0/0").len(), 4);
    assert_eq!(doubted("fd00::/64"), [ip("fd00::1")]);
    assert_eq!(doubted("::/0").len(), 2);
    assert_eq!(doubted("10.0.1.5/32"), Vec::<IpAddr>::new());
}

#[test]
fn what_the_kernel_changes_silently_doubts_every_target() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    let mut doubts = |event: Event| {
        state.take_doubtful();
        state.apply(event);
        state.take_doubtful().len() == 1
    };
    assert!(doubts(Event::Link(Link { running: false, ..link(3, "eth1") })), "a port goes down");
    assert!(!doubts(Event::Link(Link { running: false, ..link(3, "eth1") })), "the same again");
    assert!(doubts(Event::LinkGone(3)), "a port goes");
    assert!(!doubts(Event::LinkGone(3)), "gone already");
    assert!(doubts(address(2, "10.0.0.1", USABLE)), "an address comes");
    assert!(!doubts(address(2, "10.0.0.1", USABLE)), "its lifetime is renewed");
    assert!(doubts(address(2, "10.0.0.1", AddressFacts { deprecated: true, ..USABLE })));
    assert!(doubts(Event::Rule));
    assert!(!doubts(Event::Link(link(9, "veth9"))), "an interface no target leaves by");
    assert!(!doubts(Event::LinkGone(9)));
}

#[test]
fn a_foreign_interface_doubts_what_leaves_by_it() {
    let mut state = world("10.0.0.9", via(9, "10.0.0.9"));
    state.apply(Event::Link(link(9, "veth9")));
    state.take_doubtful();
    state.apply(Event::LinkGone(9));
    assert_eq!(state.take_doubtful().len(), 1);
}

#[test]
fn addresses_are_listed_once_proven_with_the_port_they_arrive_on() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    state.apply(Event::Link(link(1, "lo")));
    state.apply(address(2, "10.0.0.1", USABLE));
    state.apply(address(1, "192.0.2.7", USABLE));
    state.apply(address(1, "127.0.0.1", AddressFacts { global: false, ..USABLE }));
    state.apply(address(2, "fd00::1", AddressFacts { unusable: true, ..USABLE }));
    let listed = |state: &mut State| {
        let addresses = state.view().addresses.into_iter();
        addresses.map(|a| (a.interface, a.port, a.address, a.deprecated)).collect::<Vec<_>>()
    };
    let eth0 = ("eth0".to_owned(), Some(0), ip("10.0.0.1"), false);
    let lo = ("lo".to_owned(), None, ip("192.0.2.7"), false);
    assert_eq!(listed(&mut state), [eth0.clone(), lo.clone()]);
    state.apply(address(2, "fd00::1", AddressFacts { deprecated: true, ..USABLE }));
    assert_eq!(listed(&mut state), [eth0, ("eth0".to_owned(), Some(0), ip("fd00::1"), true), lo.clone()]);
    state.apply(Event::LinkGone(2));
    assert_eq!(listed(&mut state), [lo]);
}

#[test]
fn an_interface_that_returns_under_its_name_is_the_port_again() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    state.apply(Event::LinkGone(2));
    assert_eq!(state.view().interfaces[0].link, None);
    assert!(way(&mut state, "10.0.0.9").link.is_err());
    state.apply(Event::Link(link(12, "eth0")));
    state.answered(ip("10.0.0.9"), via(12, "10.0.0.9"));
    state.apply(neighbour(12, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    assert_eq!(state.view().interfaces[0].link.unwrap().index, 12);
    assert!(way(&mut state, "10.0.0.9").link.is_ok());
}

#[test]
fn a_full_reading_forgets_what_is_gone() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    state.apply(neighbour(2, "10.0.0.9", NeighbourState::Valid, Some(PEER)));
    state.apply(address(2, "10.0.0.1", USABLE));
    state.restart(vec![Event::Link(link(2, "eth0"))]);
    assert_eq!(state.take_doubtful().len(), 1);
    assert!(state.view().addresses.is_empty());
    assert!(way(&mut state, "10.0.0.9").link.is_err());
}

#[test]
fn news_of_no_consequence_does_not_touch_the_view() {
    let mut state = world("10.0.0.9", via(2, "10.0.0.9"));
    assert!(state.take_touched());
    state.answered(ip("10.0.0.9"), via(2, "10.0.0.9"));
    state.apply(Event::Link(link(2, "eth0")));
    state.apply(Event::Route("0.0.0.0/0".parse().unwrap()));
    state.answered(ip("10.9.9.9"), via(2, "10.0.0.9"));
    assert!(!state.take_touched());
    state.set_targets(&OrdSet::new());
    assert!(state.take_touched());
}

proptest::proptest! {
    /// Whatever comes in whatever order, nothing panics, and the view has one way per target.
    #[test]
    fn any_news_leaves_one_way_per_target(
        steps in proptest::collection::vec((0_u8..9, 0_u32..5, 0_u8..6, 0_u8..4), 0..60)
    ) {
        let mut state = State::new(vec![(0, "eth0".into()), (1, "eth1".into())]);
        state.set_targets(&(0..4).map(|n| IpAddr::from([10, 0, 0, n])).collect());
        let now = Instant::now();
        for (what, index, kind, host) in steps {
            let host_ip = IpAddr::from([10, 0, 0, host]);
            let key = NeighbourKey { interface: index, address: host_ip };
            let vlan = (kind > 2).then_some(Vlan { lower: kind.into(), id: 1, service_tag: kind == 5 });
            match what {
                0 => state.apply(Event::Link(Link { vlan, ..link(index, &format!("eth{host}")) })),
                1 => state.apply(Event::LinkGone(index)),
                2 => state.apply(neighbour(index, "10.0.0.2", NeighbourState::Stale, Some(PEER))),
                3 => state.apply(Event::NeighbourGone(key)),
                4 => state.answered(host_ip, via(index, "10.0.0.2")),
                5 => state.answered(host_ip, Answer::Refused(Unresolved::NoRoute)),
                6 => { state.due_asks(now); }
                7 => { state.take_released(); }
                _ => state.restart(vec![Event::Link(link(index, "eth0"))]),
            }
            let view = state.view();
            proptest::prop_assert_eq!(&view, &state.view_anew());
            proptest::prop_assert_eq!(view.ways.len(), 4);
            proptest::prop_assert_eq!(view.interfaces.len(), 2);
        }
    }
}
