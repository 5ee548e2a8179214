//! The announcer against real kernels, in the namespaces of [`netns_lab`](super::netns_lab).
//!
//! When exactly something is said is tested where time is a number: in [`burst`](super::burst), [`claim`](super::claim)
//! and [`claims`](super::claims). Here the machine may take the processor away for seconds at any moment, so what is
//! tested is what is said, in which order, not too often, and that kernels take it.

use std::time::{Duration, Instant};

use penstock_dataplane::wire::{Arp, ArpOperation, EtherAddr, EtherType, Ethernet};

use super::frame::{Claimed, Heard, MAX_LEN};
use super::netns_lab::{GATEWAY, GATEWAY_1, Lab, PATIENCE, PEER, Speaker, inside, until};
use super::socket::{self, Protocol};
use super::*;

const V4: &str = "192.0.2.10";
const V6: &str = "2001:db8::10";
const BOTH: &str = "192.0.2.10 2001:db8::10";
const GONE: Before = Before::OneThatIsGone;

/// How often something is tried that a machine which stalls at the wrong moment spoils.
const TRIES: u32 = 6;

// S-189, S-190, S-191
#[test]
fn netns_the_kernel_of_a_client_learns_the_announcer_until_it_stops() {
    let Some(lab) = Lab::build("learn") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0", "client1"], None);
    gateway.set(BOTH, &["client0"], GONE);
    gateway.settle(2);
    for address in [V4, V6] {
        lab.expect(address, Some(GATEWAY));
        // Whether it is still there is asked by unicast, for as long as a question by broadcast.
        until("REACHABLE", || {
            let shown = || lab.client.ip(&format!("neigh show {address}")).unwrap();
            if !shown().contains("PROBE") {
                let probed = format!("neigh replace {address} dev eth0 lladdr {GATEWAY} nud probe");
                lab.client.ip(&probed).unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
            shown().contains("REACHABLE")
        });
    }
    lab.expect("192.0.2.11", None);
    let groups = || lab.gateway.ip("maddress show dev client0").unwrap();
    assert!(groups().contains("ff02::1:ff00:10") && groups().contains("33:33:ff:00:00:10"), "{}", groups());

    gateway.set(V6, &["client0"], GONE);
    lab.expect(V4, None);
    lab.expect(V6, Some(GATEWAY));
    gateway.set("", &[], GONE);
    lab.expect(V6, None);
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
    lab.expect("198.51.100.10", Some(GATEWAY_1));
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

/// Whether these are several rounds, more than a second apart, for which Linux would ignore them: a machine that stalls
/// makes them fewer, and one that is late closer to the next.
fn are_apart(times: &[Duration]) -> bool {
    let (Some(first), Some(last), apart @ 1..) = (times.first(), times.last(), times.len().saturating_sub(1))
    else {
        return false;
    };
    (*last - *first).as_millis() >= 1000 * apart as u128
}

// S-188
#[test]
fn netns_a_burst_has_several_rounds_that_kernels_heed_and_never_more_than_five() {
    let Some(lab) = Lab::build("burst") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    let mut heard = Vec::new();
    for _ in 0..TRIES {
        heard = burst(&lab, &mut gateway);
        assert!(heard.iter().all(|times| (1..=5).contains(&times.len())), "{heard:?}");
        if heard.iter().all(|times| are_apart(times)) {
            return;
        }
        gateway.set("", &[], GONE);
        lab.expect(V4, None);
        lab.expect(V6, None);
    }
    panic!("not apart, {TRIES} times; at last {heard:?}");
}

/// When the rounds of a burst were heard: as requests, as replies, and as neighbour advertisements.
fn burst(lab: &Lab, gateway: &mut Speaker) -> Vec<Vec<Duration>> {
    let lasts = Duration::from_millis(7500);
    let (arp, nd) = (listen(lab, Protocol::Arp, lasts), listen(lab, Protocol::Nd, lasts));
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
    vec![requests, replies, advertisements]
}

// S-191
#[test]
fn netns_a_burst_ends_when_the_address_is_lost() {
    let Some(lab) = Lab::build("lost") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    gateway.set("", &[], GONE);
    // It has heard of it when it has left the group.
    until("the group is left", || {
        !lab.gateway.ip("maddress show dev client0").unwrap().contains("ff02::1:ff00:10")
    });
    let lasts = Duration::from_millis(2500);
    let (arp, nd) = (listen(&lab, Protocol::Arp, lasts), listen(&lab, Protocol::Nd, lasts));
    assert_eq!((arp.join().unwrap().len(), nd.join().unwrap().len()), (0, 0));
}

// S-230
#[test]
fn netns_everything_owned_is_announced_periodically_if_asked_for() {
    let Some(lab) = Lab::build("again") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0"], Some(Duration::from_millis(200)));
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    // The burst is over by then: by itself, each would not be heard again.
    std::thread::sleep(Duration::from_secs(6));
    let (begin, mut arp, mut nd) = (Instant::now(), 0, 0);
    while arp < 10 || nd < 5 {
        let lasts = Duration::from_millis(500);
        let heard = (listen(&lab, Protocol::Arp, lasts), listen(&lab, Protocol::Nd, lasts));
        arp += heard.0.join().unwrap().len();
        nd += heard.1.join().unwrap().len();
        assert!(begin.elapsed() < PATIENCE, "{arp} ARP, {nd} ND");
    }
    // A request and a reply every 200 ms; never more, however late one is.
    let rounds = begin.elapsed().as_millis() as usize / 200 + 2;
    assert!(arp <= 2 * rounds && nd <= rounds, "{arp} ARP, {nd} ND in {:?}", begin.elapsed());
}

#[test]
fn netns_an_address_is_taken_over_from_a_gateway_that_is_there() {
    let Some(lab) = Lab::build("takeover") else { return };
    let mut old = Speaker::start(&lab.peer, &["client0"], None);
    let mut new = Speaker::start(&lab.gateway, &["client0"], None);
    for (speaker, other) in [(&old, GATEWAY), (&new, PEER)] {
        speaker.announcer.set_peers([other].into());
    }
    let is_found = (0..TRIES).any(|_| {
        old.set(BOTH, &[], GONE);
        old.settle(2);
        for address in [V4, V6] {
            lab.expect(address, Some(PEER));
        }
        // The old one has lost its API server, and does not know of it.
        old.announcer.set_defending(false);
        new.set(BOTH, &[], GONE);
        let events = [new.event(), new.event()];
        if events.iter().all(|event| matches!(event, L2Event::TakingOver { mac: PEER, .. })) {
            return true;
        }
        // One that gets no core while it waits for an answer takes it for silence.
        for speaker in [&mut old, &mut new] {
            speaker.set("", &[], GONE);
        }
        for address in [V4, V6] {
            lab.expect(address, None);
        }
        for speaker in [&mut old, &mut new] {
            while speaker.has_event().is_some() {}
        }
        old.announcer.set_defending(true);
        false
    });
    assert!(is_found, "the former owner was not found, {TRIES} times");
    new.announcer.proceed([V4, V6].map(|address| address.parse().unwrap()).into());
    new.settle(2);
    for _ in 0..2 {
        let event = old.event();
        assert!(matches!(event, L2Event::Yielded { mac: GATEWAY, .. }), "{event}");
    }
    for address in [V4, V6] {
        until("the client follows", || lab.knows(address) == Some(GATEWAY));
        lab.expect(address, Some(GATEWAY));
    }
    // It is connected again, and still believes that the addresses are its own.
    old.announcer.set_defending(true);
    until("the other is found, or not in time", || {
        old.has_event().is_some_and(|event| {
            matches!(event, L2Event::TakingOver { mac: GATEWAY, .. } | L2Event::Announced { .. })
        })
    });
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
        // One that gets no core while it waits for an answer takes it for silence.
        let is_held_back = (0..TRIES).any(|_| {
            gateway.set("", &[], GONE);
            lab.expect(V4, Some(PEER));
            while gateway.has_event().is_some() {}
            gateway.set(BOTH, &[], before);
            let events = [gateway.event(), gateway.event()];
            let is_conflict =
                |event: &L2Event| matches!(event, L2Event::Conflict { mac: PEER, announced: false, .. });
            events.iter().all(is_conflict)
        });
        assert!(is_held_back, "{before:?}");
        for address in [V4, V6] {
            lab.expect(address, Some(PEER));
        }
    }
    lab.peer.ip("address flush dev client0").unwrap();
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    for address in [V4, V6] {
        lab.expect(address, Some(GATEWAY));
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
    let addresses = || lab.peer.ip("address show dev client0").unwrap();
    let is_refused = (0..TRIES).any(|_| {
        lab.peer.ip("address replace 2001:db8::10/64 dev client0").unwrap();
        // It asks once and waits for a second, in which the gateway may get no core.
        until("an end of the check", || {
            !addresses().contains("tentative") || addresses().contains("dadfailed")
        });
        let is_refused = addresses().contains("dadfailed");
        lab.peer.ip("address del 2001:db8::10/64 dev client0").unwrap();
        is_refused
    });
    assert!(is_refused, "{TRIES} times: {}", addresses());
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
    for address in [V4, V6] {
        lab.expect(address, Some(GATEWAY));
    }
}

#[test]
fn netns_interfaces_are_followed() {
    let Some(lab) = Lab::build("links") else { return };
    let mut gateway = Speaker::start(&lab.gateway, &["client0", "later0"], None);
    gateway.set(BOTH, &[], GONE);
    gateway.settle(2);
    lab.expect(V4, Some(GATEWAY));

    let moved = EtherAddr([2, 0, 0, 0, 0, 0x77]);
    std::thread::sleep(Duration::from_millis(1100));
    lab.gateway.ip(&format!("link set client0 address {moved}")).unwrap();
    for address in [V4, V6] {
        lab.expect(address, Some(moved));
    }

    lab.gateway.ip("link set client0 down").unwrap();
    lab.gateway.ip("link set client0 up").unwrap();
    gateway.settle(2);
    for address in [V4, V6] {
        lab.expect(address, Some(moved));
    }

    lab.gateway.ip("link delete client0").unwrap();
    lab.expect(V4, None);
    lab.plug("to-gateway", (&lab.gateway, "client0", GATEWAY));
    gateway.settle(2);
    for address in [V4, V6] {
        lab.expect(address, Some(GATEWAY));
    }

    lab.plug("to-later", (&lab.gateway, "later0", EtherAddr([2, 0, 0, 0, 0, 0x88])));
    // Two interfaces on one wire do not take each other for somebody else.
    gateway.settle(2);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(gateway.has_event(), None);
}
