//! The whole folder against a real kernel, in the namespaces of [`netns_lab`](super::netns_lab).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::netns_lab::{GW_MAC, GW_MAC_1, PEER_MAC, PEER_MAC_1, in_lab};
use super::*;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open() -> Routes {
    Routes::open(vec![(0, "eth0".into()), (1, "eth1".into())]).await.unwrap()
}

async fn follow(targets: &[&str]) -> Routes {
    let mut routes = open().await;
    routes.set_targets(targets.iter().map(|target| ip(target)).collect());
    assert!(routes.settled(PATIENCE).await, "{:#?}", routes.view());
    routes
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Waits until the view is as it should be, and only by being told of changes.
async fn until(routes: &mut Routes, what: &str, holds: impl Fn(&View) -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds(&routes.view()) {
        if tokio::time::timeout_at(deadline, routes.changed()).await.is_err() {
            panic!("not seen: {what}: {:#?}", routes.view());
        }
    }
}

fn link_of(view: &View, target: &str) -> Option<WayLink> {
    view.ways.get(&ip(target))?.link.as_ref().ok().copied()
}

fn reason_of(view: &View, target: &str) -> Option<Unresolved> {
    view.ways.get(&ip(target))?.link.as_ref().err().cloned()
}

fn plain(port: u8, source_mac: Mac, dest_mac: Mac) -> Option<WayLink> {
    Some(WayLink { port, source_mac, dest_mac, vlan: None })
}

#[test]
fn netns_neighbours_are_resolved_and_kept_fresh_ahead_of_traffic() {
    in_lab(async |lab| {
        let routes = follow(&["10.77.0.2", "fd77:1::2"]).await;
        let link = Ok(plain(0, GW_MAC, PEER_MAC).unwrap());
        let view = routes.view();
        assert_eq!(*view.ways[&ip("10.77.0.2")], Way { link, source: Some(ip("10.77.0.1")), mtu: 1500 });
        let link = Ok(plain(1, GW_MAC_1, PEER_MAC_1).unwrap());
        assert_eq!(*view.ways[&ip("fd77:1::2")], Way { link, source: Some(ip("fd77:1::1")), mtu: 1500 });
        // The kernel has been asked to keep them fresh, and is relieved of it at the end.
        let managed =
            || ["10.77.0.2", "fd77:1::2"].map(|ip| lab.show(&format!("neigh show {ip}")).contains("managed"));
        assert_eq!(managed(), [true, true]);
        routes.close().await;
        assert_eq!(managed(), [false, false]);
    });
}

#[test]
fn netns_a_target_that_is_given_up_is_released_and_forgotten() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.2", "10.77.1.2"]).await;
        routes.set_targets([ip("10.77.1.2")].into_iter().collect());
        until(&mut routes, "one way", |view| view.ways.len() == 1).await;
        assert!(!lab.show("neigh show 10.77.0.2").contains("managed"));
        assert!(lab.show("neigh show 10.77.1.2").contains("managed"));
    });
}

#[test]
fn netns_a_neighbours_new_mac_is_followed() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.2", "fd77::2"]).await;
        lab.announce_new_macs();
        // The kernel ignores an announcement within a second of the last change (locktime).
        tokio::time::sleep(Duration::from_millis(1100)).await;
        lab.peer("link set p0 address 02:00:00:00:00:77");
        let moved = plain(0, GW_MAC, [2, 0, 0, 0, 0, 0x77]);
        until(&mut routes, "the new MAC", |view| {
            link_of(view, "10.77.0.2") == moved && link_of(view, "fd77::2") == moved
        })
        .await;
    });
}

#[test]
fn netns_our_own_new_mac_and_mtu_are_followed() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.2"]).await;
        lab.gw("link set eth0 address 02:00:00:00:00:99 mtu 1400");
        until(&mut routes, "MAC and MTU", |view| {
            link_of(view, "10.77.0.2") == plain(0, [2, 0, 0, 0, 0, 0x99], PEER_MAC)
                && view.ways[&ip("10.77.0.2")].mtu == 1400
        })
        .await;
    });
}

#[test]
fn netns_a_moved_route_is_followed() {
    in_lab(async |lab| {
        lab.gw("route add 192.0.2.0/24 via 10.77.0.2\nroute add 2001:db8::/32 via fd77::2");
        let mut routes = follow(&["192.0.2.9", "2001:db8::9"]).await;
        for target in ["192.0.2.9", "2001:db8::9"] {
            assert_eq!(link_of(&routes.view(), target), plain(0, GW_MAC, PEER_MAC));
        }
        lab.gw("route replace 192.0.2.0/24 via 10.77.1.2 mtu 1280\nroute add 2001:db8::9/128 via fd77:1::2");
        until(&mut routes, "the other gateway", |view| {
            ["192.0.2.9", "2001:db8::9"]
                .iter()
                .all(|target| link_of(view, target) == plain(1, GW_MAC_1, PEER_MAC_1))
        })
        .await;
        let view = routes.view();
        assert_eq!(view.ways[&ip("192.0.2.9")].source, Some(ip("10.77.1.1")));
        assert_eq!(view.ways[&ip("192.0.2.9")].mtu, 1280);
        assert_eq!(view.ways[&ip("2001:db8::9")].source, Some(ip("fd77:1::1")));
    });
}

#[test]
fn netns_routes_that_lead_nowhere_say_why() {
    in_lab(async |lab| {
        lab.pair(2);
        let mut routes =
            follow(&["192.0.2.9", "2001:db8::9", "10.77.2.2", "10.77.0.1", "fd77::1", "10.77.0.255"]).await;
        let view = routes.view();
        let reason = |target| reason_of(&view, target).unwrap();
        assert_eq!(reason("192.0.2.9"), Unresolved::NoRoute);
        assert_eq!(reason("2001:db8::9"), Unresolved::NoRoute);
        assert_eq!(reason("10.77.0.1"), Unresolved::Local);
        assert_eq!(reason("fd77::1"), Unresolved::Local);
        assert_eq!(reason("10.77.0.255"), Unresolved::NotUnicast);
        let foreign = Unresolved::ForeignInterface { interface: "eth2".into(), ports: vec![] };
        assert_eq!(reason("10.77.2.2"), foreign);
        for (kind, reason) in [
            ("blackhole", Unresolved::Blackhole),
            ("unreachable", Unresolved::Unreachable),
            ("prohibit", Unresolved::Prohibited),
        ] {
            lab.gw(&format!(
                "route replace {kind} 192.0.2.0/24\n\
                 route replace {kind} 2001:db8::/32"
            ));
            until(&mut routes, kind, |view| {
                ["192.0.2.9", "2001:db8::9"]
                    .iter()
                    .all(|target| reason_of(view, target) == Some(reason.clone()))
            })
            .await;
        }
        lab.gw(
            "rule add to 192.0.2.0/24 priority 10 table 77\nroute add 192.0.2.0/24 via 10.77.0.2 table 77",
        );
        until(&mut routes, "the rule", |view| link_of(view, "192.0.2.9").is_some()).await;
    });
}

#[test]
fn netns_addresses_come_and_go() {
    in_lab(async |lab| {
        let mut routes = open().await;
        let addresses = |view: &View| {
            view.addresses.iter().map(|a| (a.interface.clone(), a.port, a.address)).collect::<BTreeSet<_>>()
        };
        let both = [
            ("eth0", 0, "10.77.0.1"),
            ("eth0", 0, "fd77::1"),
            ("eth1", 1, "10.77.1.1"),
            ("eth1", 1, "fd77:1::1"),
        ]
        .map(|(name, port, address)| (name.to_owned(), Some(port), ip(address)));
        assert_eq!(addresses(&routes.view()), BTreeSet::from(both.clone()), "no loopback, no link-local");
        lab.gw("address add 10.50.0.1/32 dev lo\naddress add fd50::1/64 dev eth0");
        let added = [("lo".to_owned(), None, ip("10.50.0.1")), ("eth0".to_owned(), Some(0), ip("fd50::1"))];
        let more = both.iter().chain(&added).cloned().collect::<BTreeSet<_>>();
        until(&mut routes, "both, the second after its duplicate check", |view| addresses(view) == more)
            .await;
        lab.gw("address change fd50::1/64 dev eth0 preferred_lft 0");
        until(&mut routes, "deprecated", |view| {
            view.addresses.iter().any(|a| a.address == ip("fd50::1") && a.deprecated && a.prefix_len == 64)
        })
        .await;
        lab.gw("address del 10.50.0.1/32 dev lo\naddress del fd50::1/64 dev eth0");
        until(&mut routes, "as before", |view| addresses(view) == BTreeSet::from(both.clone())).await;
    });
}

#[test]
fn netns_a_new_source_address_is_followed() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.2"]).await;
        lab.gw("address add 10.77.0.77/24 dev eth0\naddress del 10.77.0.1/24 dev eth0");
        // A deleted primary address takes its secondaries with it.
        until(&mut routes, "no route", |view| reason_of(view, "10.77.0.2") == Some(Unresolved::NoRoute))
            .await;
        lab.gw("address add 10.77.0.78/24 dev eth0");
        until(&mut routes, "the new source", |view| {
            view.ways[&ip("10.77.0.2")].source == Some(ip("10.77.0.78"))
                && link_of(view, "10.77.0.2").is_some()
        })
        .await;
    });
}

#[test]
fn netns_a_link_that_goes_down_and_up_is_followed() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.2", "10.77.1.2"]).await;
        // The carrier goes: routes stay, neighbours do not.
        lab.peer("link set p0 down");
        let down = Unresolved::InterfaceDown { interface: "eth0".into() };
        until(&mut routes, "no carrier", |view| reason_of(view, "10.77.0.2") == Some(down.clone())).await;
        assert!(!routes.view().interfaces[0].link.unwrap().up);
        assert!(link_of(&routes.view(), "10.77.1.2").is_some());
        lab.peer("link set p0 up");
        until(&mut routes, "the carrier", |view| link_of(view, "10.77.0.2") == plain(0, GW_MAC, PEER_MAC))
            .await;
        // The interface goes down: IPv4 routes vanish without a word.
        lab.gw("link set eth0 down");
        until(&mut routes, "down", |view| reason_of(view, "10.77.0.2") == Some(Unresolved::NoRoute)).await;
        lab.gw("link set eth0 up");
        until(&mut routes, "up", |view| link_of(view, "10.77.0.2") == plain(0, GW_MAC, PEER_MAC)).await;
    });
}

#[test]
fn netns_an_interface_that_is_made_again_is_followed() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.2", "fd77::2"]).await;
        let before = routes.view().interfaces[0].link.unwrap().index;
        while tokio::time::timeout(Duration::from_millis(50), routes.changed()).await.is_ok() {}
        lab.gw("link del eth0");
        let mut events = Vec::new();
        while events.is_empty() {
            events = tokio::time::timeout(PATIENCE, routes.changed()).await.unwrap().unwrap().interfaces;
        }
        assert_eq!(events, [InterfaceEvent::Vanished { port: 0, name: "eth0".into() }]);
        assert_eq!(routes.view().interfaces[0].link, None);
        lab.pair(0);
        until(&mut routes, "the way by the new interface", |view| {
            ["10.77.0.2", "fd77::2"].iter().all(|target| link_of(view, target) == plain(0, GW_MAC, PEER_MAC))
        })
        .await;
        assert_ne!(routes.view().interfaces[0].link.unwrap().index, before);
    });
}

#[test]
fn netns_an_interface_that_is_not_there_yet_is_waited_for() {
    in_lab(async |lab| {
        let mut routes = Routes::open(vec![(4, "eth2".into())]).await.unwrap();
        assert_eq!(routes.view().interfaces[0].link, None);
        lab.pair(2);
        let change = tokio::time::timeout(PATIENCE, routes.changed()).await.unwrap().unwrap();
        assert!(matches!(&change.interfaces[..], [InterfaceEvent::Appeared { port: 4, .. }]), "{change:?}");
        assert!(Routes::open(vec![(0, "eth0".into()), (1, "eth0".into())]).await.is_err());
    });
}

#[test]
fn netns_a_vlan_sub_interface_is_its_port_with_a_tag() {
    in_lab(async |lab| {
        if !lab.can("link add link eth1 name probe type vlan id 4000") {
            eprintln!("skipped: this kernel has no VLAN interfaces (CONFIG_VLAN_8021Q)");
            return;
        }
        lab.gw(
            "link add link eth1 name eth1.100 type vlan id 100\nlink set eth1.100 up mtu 1400\n\
             address add 10.88.0.1/24 dev eth1.100\naddress add fd88::1/64 dev eth1.100 nodad\n\
             link add link eth1.100 name stack type vlan id 5\nlink set stack up\naddress add 10.89.0.1/24 dev stack",
        );
        lab.peer(
            "link add link p1 name p1.100 type vlan id 100\nlink set p1.100 up\n\
             address add 10.88.0.2/24 dev p1.100\naddress add fd88::2/64 dev p1.100 nodad",
        );
        let routes = follow(&["10.88.0.2", "fd88::2", "10.89.0.2"]).await;
        let view = routes.view();
        let tagged = WayLink { port: 1, source_mac: GW_MAC_1, dest_mac: PEER_MAC_1, vlan: Some(100) };
        let way = |source| Way { link: Ok(tagged), source: Some(ip(source)), mtu: 1400 };
        assert_eq!(*view.ways[&ip("10.88.0.2")], way("10.88.0.1"));
        assert_eq!(*view.ways[&ip("fd88::2")], way("fd88::1"));
        assert_eq!(reason_of(&view, "10.89.0.2"), Some(Unresolved::VlanStack { interface: "stack".into() }));
        let address = view.addresses.iter().find(|a| a.address == ip("10.88.0.1")).unwrap();
        assert_eq!((address.port, address.vlan), (Some(1), Some(100)));
    });
}

#[test]
fn netns_an_enslaved_port_is_hinted_at_and_survives_leaving_the_bridge() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.1.2"]).await;
        let index = routes.view().interfaces[1].link.unwrap().index;
        lab.gw("link add br0 type bridge\nlink set eth1 master br0\nlink set br0 up\n\
             address del 10.77.1.1/24 dev eth1\naddress add 10.77.1.1/24 dev br0");
        let hinted = Unresolved::ForeignInterface { interface: "br0".into(), ports: vec!["eth1".into()] };
        until(&mut routes, "the bridge", |view| reason_of(view, "10.77.1.2") == Some(hinted.clone())).await;
        lab.gw("link set eth1 nomaster\nlink del br0\naddress add 10.77.1.1/24 dev eth1");
        until(&mut routes, "as before", |view| link_of(view, "10.77.1.2") == plain(1, GW_MAC_1, PEER_MAC_1))
            .await;
        assert_eq!(routes.view().interfaces[1].link.unwrap().index, index);
    });
}

#[test]
fn netns_a_silent_neighbour_is_found_when_it_wakes() {
    in_lab(async |lab| {
        let mut routes = follow(&["10.77.0.50", "fd77::50"]).await;
        for target in ["10.77.0.50", "fd77::50"] {
            let silent = Unresolved::NeighbourSilent { next_hop: ip(target), interface: "eth0".into() };
            assert_eq!(reason_of(&routes.view(), target), Some(silent));
        }
        lab.peer("address add 10.77.0.50/24 dev p0\naddress add fd77::50/64 dev p0 nodad");
        until(&mut routes, "both", |view| {
            ["10.77.0.50", "fd77::50"].iter().all(|target| link_of(view, target).is_some())
        })
        .await;
    });
}

#[test]
fn netns_neighbours_set_by_hand_are_used_and_stay_permanent() {
    in_lab(async |lab| {
        lab.gw("neigh add 10.77.0.60 lladdr 02:00:00:00:00:60 dev eth0 nud permanent");
        let mut routes = follow(&["10.77.0.60"]).await;
        assert_eq!(link_of(&routes.view(), "10.77.0.60"), plain(0, GW_MAC, [2, 0, 0, 0, 0, 0x60]));
        lab.gw("neigh replace 10.77.0.60 lladdr 02:00:00:00:00:61 dev eth0 nud permanent");
        let moved = plain(0, GW_MAC, [2, 0, 0, 0, 0, 0x61]);
        until(&mut routes, "the other MAC", |view| link_of(view, "10.77.0.60") == moved).await;
        assert!(lab.show("neigh show 10.77.0.60").contains("PERMANENT"));
    });
}

#[test]
fn netns_more_news_than_the_buffer_holds_loses_nothing() {
    in_lab(async |lab| {
        lab.gw("route add 192.0.2.0/24 via 10.77.0.2");
        let mut routes = follow(&["192.0.2.9"]).await;
        let noise = |verb: &str| {
            let lines = (0..40_000_u32).map(|n| {
                format!("route {verb} 172.{}.{}.{}/32 dev lo\n", 16 + (n >> 16), n >> 8 & 255, n & 255)
            });
            lines.collect::<String>()
        };
        // Nothing is read while this runs. The move comes last: it does not fit any more.
        lab.gw(&(noise("add") + "route replace 192.0.2.0/24 via 10.77.1.2\nneigh flush dev eth0\n"));
        until(&mut routes, "the move", |view| link_of(view, "192.0.2.9") == plain(1, GW_MAC_1, PEER_MAC_1))
            .await;
    });
}

#[test]
fn netns_thousands_of_targets_settle_in_seconds() {
    in_lab(async |lab| {
        lab.gw("route add 172.16.0.0/12 via 10.77.0.2");
        let mut routes = open().await;
        let start = Instant::now();
        routes.set_targets((0..5000_u32).map(|n| IpAddr::from((0xac10_0000 + n).to_be_bytes())).collect());
        assert!(routes.settled(PATIENCE).await);
        eprintln!("5000 targets settled in {:?}", start.elapsed());
        let start = Instant::now();
        lab.gw("route replace 172.16.0.0/12 via 10.77.1.2");
        let moved =
            |view: &View| view.ways.values().all(|way| way.link.as_ref().is_ok_and(|link| link.port == 1));
        until(&mut routes, "all moved", moved).await;
        eprintln!("and moved in {:?}", start.elapsed());
    });
}
