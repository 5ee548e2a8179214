//! The announcer against real kernels, in the namespaces of [`netns_lab`](super::netns_lab).

use std::time::{Duration, Instant};

use penstock_dataplane::wire::{Arp, ArpOperation, EtherAddr, EtherType, Ethernet};

use super::frame::{Claimed, Heard, MAX_LEN};
use super::netns_lab::{GATEWAY, GATEWAY_1, Lab, PEER, Speaker, inside, until};
use super::socket::{self, Protocol};
use super::*;

const V4: &str = "192.0.2.10";
const V6: &str = "2001:db8::10";
const BOTH: &str = "192.0.2.10 2001:db8::10";
const GONE: Before = Before::OneThatIsGone;

// S-189, S-190, S-191
#[test]
fn netns_the_kernel_of_a_client_learns_the_announcer_until_it_stops() {
    let Some(lab) = Lab::build("learn") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0", "client1"], None);
    gateway.set(BOTH, &["client0"], GONE);
    gateway.settle(2);
    for address in [V4, V6] {
        assert_eq!(lab.resolves(address), Some(GATEWAY), "{address}");
        // Whether it is still there is asked by unicast.
        lab.client.ip(&format!("neigh replace {address} dev eth0 lladdr {GATEWAY} nud probe")).unwrap();
        until("REACHABLE", || lab.client.ip(&format!("neigh show {address}")).unwrap().contains("REACHABLE"));
    }
    assert_eq!(lab.resolves("192.0.2.11"), None, "not ours");
    let groups = || lab.gateway.ip("maddress show dev client0").unwrap();
    assert!(groups().contains("ff02::1:ff00:10") && groups().contains("33:33:ff:00:00:10"), "{}", groups());

    gateway.set(V6, &["client0"], GONE);
    assert_eq!((lab.resolves(V4), lab.resolves(V6)), (None, Some(GATEWAY)));
    gateway.set("", &[], GONE);
    assert_eq!(lab.resolves(V6), None);
    until("the group is left", || !groups().contains("ff00:10"));
    assert_eq!(gateway.has_event(), None);
}

// S-189
#[test]
fn netns_questions_on_another_interface_are_not_answered() {
    let Some(lab) = Lab::build("only") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0", "client1"], None);
    gateway.set("198.51.100.10", &["client0"], GONE);
    gateway.settle(1);
    // The client asks on eth1, which is another wire.
    assert_eq!(lab.resolves("198.51.100.10"), None);
    gateway.set("198.51.100.10", &[], GONE);
    gateway.settle(1);
    until("an answer on client1", || lab.resolves("198.51.100.10") == Some(GATEWAY_1));
}

/// What a client hears of an address for so long: when, and what.
fn listen(
    lab: &Lab,
    protocol: Protocol,
    lasts: Duration,
) -> std::thread::JoinHandle<Vec<(Duration, Vec<u8>)>> {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let thread = inside(&lab.client, async move || {
        let index = nix::net::if_::if_nametoindex("eth0").unwrap();
        let socket = socket::open(protocol, index).unwrap();
        ready.send(()).unwrap();
        let (start, mut heard) = (Instant::now(), Vec::new());
        let mut buffer = [0; MAX_LEN];
        while let Ok(guard) = tokio::time::timeout_at((start + lasts).into(), socket.readable()).await {
            let received = guard.unwrap().try_io(|socket| socket::receive(socket.get_ref(), &mut buffer));
            if let Ok(Ok(Some(length))) = received {
                heard.push((start.elapsed(), buffer[..length].to_vec()));
            }
        }
        heard
    });
    is_ready.recv().unwrap();
    thread
}

/// Whether these came at once and then every so often, five times.
#[track_caller]
fn assert_rounds(times: &[Duration]) {
    assert_eq!(times.len(), 5, "{times:?}");
    for pair in times.windows(2) {
        let apart = (pair[1] - pair[0]).as_millis();
        assert!((1090..1400).contains(&apart), "{times:?}");
    }
}

// S-188
#[test]
fn netns_a_burst_has_five_rounds_1100_ms_apart() {
    let Some(lab) = Lab::build("burst") else { return };
    let lasts = Duration::from_millis(7500);
    let (arp, nd) = (listen(&lab, Protocol::Arp, lasts), listen(&lab, Protocol::Nd, lasts));
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);

    let (mut requests, mut replies, mut probes) = (Vec::new(), Vec::new(), 0);
    for (time, frame) in arp.join().unwrap() {
        let ethernet = Ethernet::parse(&frame).unwrap();
        let packet = Arp::parse(ethernet.payload()).unwrap();
        if packet.sender.is_unspecified() {
            probes += 1;
            continue;
        }
        assert_eq!((ethernet.destination(), packet.sender_ether), (EtherAddr::BROADCAST, GATEWAY));
        assert_eq!((packet.sender.to_string(), packet.sender), (V4.to_owned(), packet.target));
        match packet.operation {
            ArpOperation::Request => requests.push(time),
            ArpOperation::Reply => replies.push(time),
        }
    }
    assert_eq!(probes, 1);
    assert_rounds(&requests);
    assert_rounds(&replies);

    let all_nodes = EtherAddr([0x33, 0x33, 0, 0, 0, 1]);
    let mut advertisements = Vec::new();
    for (time, frame) in nd.join().unwrap() {
        let ethernet = Ethernet::parse(&frame).unwrap();
        assert_eq!(ethernet.ether_type(), EtherType::IPV6);
        if ethernet.destination() == all_nodes {
            // What is read as an unasked claim has the right hop limit, checksum and flags.
            let claimed = Claimed { address: V6.parse().unwrap(), ether: GATEWAY, is_answer: false };
            assert_eq!(Heard::read(&frame, PEER).claimed, Some(claimed));
            advertisements.push(time);
        }
    }
    assert_rounds(&advertisements);
}

// S-191
#[test]
fn netns_a_burst_ends_when_the_address_is_lost() {
    let Some(lab) = Lab::build("lost") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    let arp = listen(&lab, Protocol::Arp, Duration::from_millis(2500));
    let nd = listen(&lab, Protocol::Nd, Duration::from_millis(2500));
    std::thread::sleep(Duration::from_millis(50));
    gateway.set("", &[], GONE);
    let late = |(time, _): &&(Duration, Vec<u8>)| *time > Duration::from_millis(200);
    assert_eq!(arp.join().unwrap().iter().filter(late).count(), 0);
    assert_eq!(nd.join().unwrap().iter().filter(late).count(), 0);
}

// S-230
#[test]
fn netns_everything_owned_is_announced_periodically_if_asked_for() {
    let Some(lab) = Lab::build("again") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], Some(Duration::from_millis(200)));
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    std::thread::sleep(Duration::from_secs(5));
    let lasts = Duration::from_millis(1100);
    let (arp, nd) = (listen(&lab, Protocol::Arp, lasts), listen(&lab, Protocol::Nd, lasts));
    let (arp, nd) = (arp.join().unwrap().len(), nd.join().unwrap().len());
    assert!((8..=12).contains(&arp) && (4..=6).contains(&nd), "{arp} ARP, {nd} ND");
}

#[test]
fn netns_an_address_is_taken_over_from_a_gateway_that_is_there() {
    let Some(lab) = Lab::build("takeover") else { return };
    let mut old = Speaker::start(&lab.peer, &["client0"], None);
    let mut new = Speaker::start(&lab.gateway, &["client0"], None);
    for (speaker, other) in [(&old, GATEWAY), (&new, PEER)] {
        speaker.announcer.set_peers([other].into());
    }
    old.set(BOTH, &[], GONE);
    old.settle(2);
    for address in [V4, V6] {
        assert_eq!(lab.resolves(address), Some(PEER));
    }
    // The old one has lost its API server, and does not know of it.
    old.announcer.set_defending(false);
    let begin = Instant::now();
    new.set(BOTH, &[], GONE);
    for _ in 0..2 {
        let event = new.event();
        assert!(matches!(event, L2Event::TakingOver { mac: PEER, .. }), "{event}");
    }
    new.announcer.proceed([V4, V6].map(|address| address.parse().unwrap()).into());
    new.settle(2);
    assert!(begin.elapsed() < Duration::from_millis(150), "{:?}", begin.elapsed());
    for _ in 0..2 {
        let event = old.event();
        assert!(matches!(event, L2Event::Yielded { mac: GATEWAY, .. }), "{event}");
    }
    for address in [V4, V6] {
        until("the client follows", || lab.knows(address) == Some(GATEWAY));
        assert_eq!(lab.resolves(address), Some(GATEWAY));
    }
    // It is connected again, and still believes that the addresses are its own.
    old.announcer.set_defending(true);
    let event = old.event();
    assert!(matches!(event, L2Event::TakingOver { mac: GATEWAY, .. }), "{event}");
    let contested = |event| matches!(event, L2Event::Contested { .. });
    until("the other notices", || new.has_event().is_some_and(contested));
}

#[test]
fn netns_what_a_host_has_is_not_announced_until_it_has_it_no_more() {
    let Some(lab) = Lab::build("conflict") else { return };
    lab.peer.ip("address add 192.0.2.10/24 dev client0").unwrap();
    lab.peer.ip("address add 2001:db8::10/64 dev client0 nodad").unwrap();
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    for before in [Before::Nobody, GONE] {
        gateway.set("", &[], GONE);
        gateway.set(BOTH, &[], before);
        for _ in 0..2 {
            let event = gateway.event();
            assert!(matches!(event, L2Event::Conflict { mac: PEER, announced: false, .. }), "{event}");
        }
        for address in [V4, V6] {
            assert_eq!(lab.resolves(address), Some(PEER));
        }
    }
    lab.peer.ip("address flush dev client0").unwrap();
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    for address in [V4, V6] {
        assert_eq!(lab.resolves(address), Some(GATEWAY));
    }
}

#[test]
fn netns_a_host_that_takes_an_announced_address_is_noticed() {
    let Some(lab) = Lab::build("thief") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    // Duplicate address detection of a kernel is told that the address is in use.
    lab.peer.sysctl("net/ipv6/conf/client0/accept_dad", "1").unwrap();
    lab.peer.ip("address add 2001:db8::10/64 dev client0").unwrap();
    until("dadfailed", || lab.peer.ip("address show dev client0").unwrap().contains("dadfailed"));
    // It takes the IPv4 address without asking, and speaks to the client from it.
    lab.peer.ip("address add 192.0.2.10/24 dev client0").unwrap();
    lab.peer
        .enter(|| std::net::UdpSocket::bind("192.0.2.10:0").unwrap().send_to(b"?", "192.0.2.1:9").unwrap())
        .unwrap();
    let event = gateway.event();
    assert!(matches!(event, L2Event::Conflict { mac: PEER, announced: true, .. }), "{event}");
}

#[test]
fn netns_a_gateway_whose_kernel_has_no_ipv6_announces_it_all_the_same() {
    let Some(lab) = Lab::build("noipv6") else { return };
    lab.gateway.sysctl("net/ipv6/conf/client0/disable_ipv6", "1").unwrap();
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    assert_eq!((lab.resolves(V4), lab.resolves(V6)), (Some(GATEWAY), Some(GATEWAY)));
}

#[test]
fn netns_interfaces_are_followed() {
    let Some(lab) = Lab::build("links") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0", "later0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    assert_eq!(lab.resolves(V4), Some(GATEWAY));

    let moved = EtherAddr([2, 0, 0, 0, 0, 0x77]);
    std::thread::sleep(Duration::from_millis(1100));
    lab.gateway.ip(&format!("link set client0 address {moved}")).unwrap();
    for address in [V4, V6] {
        until("the new MAC", || lab.resolves(address) == Some(moved));
    }

    lab.gateway.ip("link set client0 down").unwrap();
    lab.gateway.ip("link set client0 up").unwrap();
    gateway.settle(2);
    assert_eq!((lab.resolves(V4), lab.resolves(V6)), (Some(moved), Some(moved)));

    lab.gateway.ip("link delete client0").unwrap();
    assert_eq!(lab.resolves(V4), None);
    lab.plug("to-gateway", (&lab.gateway, "client0", GATEWAY));
    gateway.settle(2);
    assert_eq!((lab.resolves(V4), lab.resolves(V6)), (Some(GATEWAY), Some(GATEWAY)));

    lab.plug("to-later", (&lab.gateway, "later0", EtherAddr([2, 0, 0, 0, 0, 0x88])));
    // Two interfaces on one wire do not take each other for somebody else.
    gateway.settle(2);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(gateway.has_event(), None);
}
