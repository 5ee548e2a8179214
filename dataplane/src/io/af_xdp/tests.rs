//! AF_XDP on veth pairs in namespaces of their own: the classifier on one end, a packet socket on the other.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::*;
use crate::io::testing::{RawSocket, drop_capabilities, eventually, ifindex, in_namespace, ip, veth};
use crate::xdp::{AddressFlags, AttachPreference, Classifier, ClassifierState, InterfaceEntry, XdpMode};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// Small rings, so that limits are reached quickly.
fn config() -> AfXdpConfig {
    AfXdpConfig { ring_size: 256, ..AfXdpConfig::default() }
}

/// A worker's thread is not the one that opens its sockets.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<AfXdp>();
    is_send::<Classifier>();
};

/// A UDP packet to an address, told apart by its source port and number.
fn packet(to: Ipv4Addr, source_port: u16, number: u32) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([198, 51, 100, 1], to.octets(), 64)
        .udp(source_port, 80);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &number.to_be_bytes()).unwrap();
    bytes
}

/// The classifier on `interfaces` (port 0 the first), with sockets on the first `queues` queues of each.
fn open(interfaces: &[&str], queues: u32) -> (Classifier, AfXdp) {
    let mut classifier = Classifier::load().unwrap();
    let mut state = ClassifierState::default();
    state.addresses.insert(VIP.into(), AddressFlags::VIP);
    let mut ports = Vec::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let port = PortId(index as u8);
        state.interfaces.insert(ifindex(interface), InterfaceEntry { port, backend: false });
        assert_eq!(classifier.attach(interface, AttachPreference::Auto).unwrap(), XdpMode::Native);
        ports.extend((0..queues).map(|queue| (port, *interface, queue)));
    }
    let io = AfXdp::open(&config(), &ports).unwrap();
    for (port, queue, fd) in io.fds() {
        classifier.bind_socket(port, queue, fd).unwrap();
    }
    classifier.grow(&state).unwrap();
    (classifier, io)
}

/// Receives a batch and sends each packet to the port that `to` says; `None` recycles it.
fn forward(io: &mut AfXdp, to: impl Fn(&Frame) -> Option<PortId>) -> usize {
    let mut batch = FrameBatch::new();
    let count = io.receive(&mut batch);
    assert_eq!(io.accounts().outstanding, count);
    for frame in batch {
        match to(&frame) {
            Some(port) => io.transmit(port, frame),
            None => io.recycle(frame),
        }
    }
    io.flush();
    count
}

#[track_caller]
fn assert_balanced(io: &AfXdp) {
    let FrameAccounts { total, free, receiving, sending, outstanding } = io.accounts();
    assert_eq!(free + receiving + sending + outstanding, total);
    assert_eq!(outstanding, 0);
}

#[test]
fn af_xdp_packets_are_received_and_sent_back() {
    in_namespace(|| {
        veth("a", "b", 1);
        let peer = RawSocket::open("b");
        let (classifier, mut io) = open(&["a"], 1);
        assert_eq!(io.bind_mode(PortId(0)), Some(BindMode::Copy));
        assert_eq!(io.bind_mode(PortId(1)), None);
        let (mut sent, mut returned) = (0u32, 0u32);
        // More than all rings and frames hold, so that every frame goes round.
        while returned < 5000 {
            if sent < 5000 && sent - returned < 200 {
                peer.send(&packet(VIP, 1000, sent));
                sent += 1;
            }
            forward(&mut io, |_| Some(PortId(0)));
            while let Some(frame) = peer.receive() {
                assert_eq!(frame, packet(VIP, 1000, returned), "in order and unchanged");
                returned += 1;
            }
        }
        eventually("completion", || {
            io.flush();
            io.accounts().sending == 0
        });
        assert_balanced(&io);
        let bytes = 5000 * packet(VIP, 1000, 0).len() as u64;
        let expected = PortCounters {
            rx_packets: 5000,
            rx_bytes: bytes,
            tx_packets: 5000,
            tx_bytes: bytes,
            ..PortCounters::default()
        };
        assert_eq!(io.counters(PortId(0)), expected);
        assert_eq!(classifier.counters().unwrap().redirect_vip, 5000);
        assert_eq!(io.take_events(), []);
        assert!(ip("-details link show dev a").contains("xdp"));

        drop(io);
        // The kernel takes a closed socket out of its map a moment later, and loses what comes until then.
        eventually("drop without a socket", || {
            peer.send(&packet(VIP, 1000, 0));
            classifier.counters().unwrap().drop_no_socket > 0
        });
        drop(classifier);
        // A link is detached when its descriptor is closed, or a moment later.
        eventually("detaching", || !ip("-details link show dev a").contains("xdp"));
    });
}

#[test]
fn af_xdp_frames_move_between_interfaces() {
    in_namespace(|| {
        veth("a", "b", 1);
        veth("c", "d", 1);
        let (client, backend) = (RawSocket::open("b"), RawSocket::open("d"));
        let (_classifier, mut io) = open(&["a", "c"], 1);
        for number in 0..500 {
            client.send(&packet(VIP, 1000, number));
            let mut seen = None;
            eventually("forwarding", || {
                forward(&mut io, |frame| Some(PortId(1 - frame.port().0)));
                seen = backend.receive();
                seen.is_some()
            });
            assert_eq!(seen.unwrap(), packet(VIP, 1000, number));
        }
        assert_balanced(&io);
        assert_eq!((io.counters(PortId(0)).rx_packets, io.counters(PortId(1)).tx_packets), (500, 500));
    });
}

#[test]
fn af_xdp_every_queue_of_a_port_is_served() {
    in_namespace(|| {
        veth("a", "b", 2);
        let peer = RawSocket::open("b");
        let (_classifier, mut io) = open(&["a"], 2);
        assert_eq!(io.fds().map(|(port, queue, _)| (port.0, queue)).collect::<Vec<_>>(), [(0, 0), (0, 1)]);
        let mut received = 0;
        for number in 0..400 {
            // The sender's queue, and with it the receiver's, follows the flow.
            peer.send(&packet(VIP, 1000 + number as u16, number));
            received += forward(&mut io, |_| None);
        }
        eventually("the last packets", || {
            received += forward(&mut io, |_| None);
            received == 400
        });
        assert!(io.sockets.iter().all(|socket| socket.counters().rx_packets > 0), "{:?}", io.sockets);
        assert_balanced(&io);
    });
}

#[test]
fn af_xdp_other_packets_reach_the_kernel() {
    in_namespace(|| {
        veth("a", "b", 1);
        let peer = RawSocket::open("b");
        // A packet socket sees what the stack is given.
        let stack = RawSocket::open("a");
        let (classifier, mut io) = open(&["a"], 1);
        peer.send(&packet(OTHER, 1, 7));
        peer.send(&packet(VIP, 1, 8));
        let mut seen = None;
        eventually("the kernel's packet", || {
            seen = stack.receive();
            seen.is_some()
        });
        assert_eq!(seen.unwrap(), packet(OTHER, 1, 7));
        eventually("our packet", || forward(&mut io, |_| None) == 1);
        assert_eq!(stack.receive(), None);
        let counters = classifier.counters().unwrap();
        assert_eq!((counters.pass_not_ours, counters.redirect_vip), (1, 1));
    });
}

#[test]
fn af_xdp_what_is_not_received_in_time_is_counted() {
    in_namespace(|| {
        veth("a", "b", 1);
        let peer = RawSocket::open("b");
        let (classifier, mut io) = open(&["a"], 1);
        for number in 0..1000 {
            peer.send(&packet(VIP, 1, number));
        }
        eventually("classification", || classifier.counters().unwrap().redirect_vip == 1000);
        let mut received = 0;
        eventually("reception", || {
            received += forward(&mut io, |_| None) as u64;
            let counters = io.counters(PortId(0));
            counters.rx_packets == received && received + counters.rx_missed == 1000
        });
        assert!(received >= 256, "{received}");
        assert_balanced(&io);
    });
}

#[test]
fn af_xdp_frames_run_out_and_come_back() {
    in_namespace(|| {
        veth("a", "b", 1);
        let peer = RawSocket::open("b");
        let (_classifier, mut io) = open(&["a"], 1);
        let mut frames: Vec<Frame> = std::iter::from_fn(|| io.allocate()).collect();
        assert_eq!(frames.len(), io.accounts().outstanding);
        for frame in &mut frames {
            frame.write(&packet(OTHER, 1, 0)).unwrap();
        }
        let count = frames.len();
        frames.into_iter().for_each(|frame| io.transmit(PortId(0), frame));
        io.flush();
        // The kernel would neither send nor give back an empty packet.
        let empty = io.allocate().expect("some have been sent and are free again");
        io.transmit(PortId(0), empty);
        let mut returned = 0;
        eventually("sending", || {
            io.flush();
            while peer.receive().is_some() {
                returned += 1;
            }
            returned == count && io.accounts().sending == 0
        });
        assert_eq!(io.counters(PortId(0)).tx_dropped, 1);
        assert_balanced(&io);
    });
}

#[test]
fn af_xdp_a_port_that_cannot_send_drops_and_recovers() {
    in_namespace(|| {
        veth("a", "b", 1);
        let peer = RawSocket::open("b");
        let (_classifier, mut io) = open(&["a"], 1);
        ip("link set dev a down");
        let mut tried = 0;
        for _ in 0..600 {
            // What is in the ring stays there, so that frames run short too.
            let Some(mut frame) = io.allocate() else { break };
            frame.write(&packet(OTHER, 1, tried)).unwrap();
            io.transmit(PortId(0), frame);
            io.flush();
            tried += 1;
        }
        let counters = io.counters(PortId(0));
        assert_eq!((counters.tx_packets, counters.tx_dropped), (256, u64::from(tried) - 256));
        assert_eq!(io.accounts().sending, 256);
        assert_balanced(&io);
        ip("link set dev a up");
        let mut returned = 0;
        eventually("sending", || {
            io.flush();
            returned += std::iter::from_fn(|| peer.receive()).count();
            returned == 256 && io.accounts().sending == 0
        });
        assert_balanced(&io);
    });
}

#[test]
fn af_xdp_waiting_ends_with_a_packet_or_in_time() {
    in_namespace(|| {
        veth("a", "b", 1);
        let peer = RawSocket::open("b");
        let (_classifier, mut io) = open(&["a"], 1);
        let start = Instant::now();
        io.wait(Duration::from_millis(20), None);
        assert!(start.elapsed() >= Duration::from_millis(19), "{:?}", start.elapsed());
        peer.send(&packet(VIP, 1, 0));
        let start = Instant::now();
        io.wait(Duration::from_secs(60), None);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        eventually("our packet", || forward(&mut io, |_| None) == 1);
    });
}

#[test]
fn af_xdp_a_vanished_interface_is_reported() {
    in_namespace(|| {
        veth("a", "b", 1);
        veth("c", "d", 1);
        let peer = RawSocket::open("d");
        let (_classifier, mut io) = open(&["a", "c"], 1);
        ip("link delete dev a");
        for port in [0, 1] {
            let mut frame = io.allocate().unwrap();
            frame.write(&packet(OTHER, 1, 0)).unwrap();
            io.transmit(PortId(port), frame);
        }
        io.flush();
        let mut events = Vec::new();
        eventually("an event", || {
            io.flush();
            events.extend(io.take_events());
            events.iter().any(SocketEvent::is_gone)
        });
        assert!(events.iter().all(|event| event.interface == "a" && event.port == PortId(0)), "{events:?}");
        let frame = io.allocate().unwrap();
        io.transmit(PortId(0), frame);
        io.flush();
        io.wait(Duration::from_millis(1), None);
        assert_balanced(&io);
        eventually("the other port's packet", || {
            io.flush();
            peer.receive().is_some()
        });
    });
}

#[test]
fn af_xdp_an_interface_that_vanishes_in_silence_is_reported() {
    in_namespace(|| {
        veth("a", "b", 1);
        let (_classifier, mut io) = open(&["a"], 1);
        assert_eq!(io.take_events(), []);
        ip("link delete dev a");
        let event = io.take_events().pop().expect("nothing was sent, and it shows all the same");
        assert!(event.is_gone(), "{event:?}");
        let start = Instant::now();
        io.wait(Duration::from_millis(20), None);
        assert!(start.elapsed() >= Duration::from_millis(19), "waiting does not become spinning");
    });
}

#[test]
fn af_xdp_missing_capabilities_are_named() {
    in_namespace(|| {
        veth("a", "b", 1);
        drop_capabilities();
        let refused = AfXdp::open(&config(), &[(PortId(0), "a", 0)]).unwrap_err().to_string();
        assert!(refused.contains("CAP_NET_RAW"), "{refused}");
        let refused = Classifier::load().unwrap_err().to_string();
        assert!(refused.contains("CAP_BPF"), "{refused}");
    });
}

#[test]
fn af_xdp_refusals_say_what_and_why() {
    in_namespace(|| {
        veth("a", "b", 1);
        let say = |config: &AfXdpConfig, ports: &[(PortId, &str, u32)]| {
            AfXdp::open(config, ports).map(|_| ()).unwrap_err().to_string()
        };
        let port = PortId(0);
        let (_classifier, _io) = open(&["a"], 1);
        let busy = say(&config(), &[(port, "a", 0)]);
        assert!(busy.contains("queue 0 of a (copy)") && busy.contains("already has a socket"), "{busy}");
        let no_queue = say(&config(), &[(port, "b", 7)]);
        assert!(no_queue.contains("queue 7 of b") && no_queue.contains("ethtool -l"), "{no_queue}");
        let zero_copy = AfXdpConfig { bind: BindPreference::ZeroCopy, ..config() };
        let zero_copy = say(&zero_copy, &[(port, "b", 0)]);
        assert!(zero_copy.contains("(zero-copy)") && zero_copy.contains("allow copying"), "{zero_copy}");
        let missing = say(&config(), &[(port, "nothere", 0)]);
        assert!(missing.contains("no network interface nothere"), "{missing}");
        let twice = say(&config(), &[(port, "b", 0), (port, "b", 0)]);
        assert!(twice.contains("queue 0 of b is listed twice"), "{twice}");
        veth("c", "d", 1);
        ip("link set dev c mtu 9000");
        let jumbo = say(&config(), &[(port, "c", 0)]);
        assert!(jumbo.contains("MTU 9000") && jumbo.contains("9022"), "{jumbo}");
        let odd = say(&AfXdpConfig { ring_size: 1000, ..config() }, &[(port, "a", 0)]);
        assert!(odd.contains("ring_size is 1000") && odd.contains("power of two"), "{odd}");
    });
}

#[test]
fn af_xdp_a_second_classifier_is_refused() {
    in_namespace(|| {
        veth("a", "b", 1);
        let mut first = Classifier::load().unwrap();
        first.attach("a", AttachPreference::Auto).unwrap();
        first.attach("a", AttachPreference::Auto).unwrap();
        let mut second = Classifier::load().unwrap();
        let refused = second.attach("a", AttachPreference::Auto).unwrap_err().to_string();
        assert!(refused.contains("a already has an XDP program"), "{refused}");
        assert!(
            second
                .attach("nothere", AttachPreference::Auto)
                .unwrap_err()
                .to_string()
                .contains("no network interface")
        );
        first.detach("a").unwrap();
        // A child that another test is about to start holds our descriptors until it is another program.
        eventually("detaching", || second.attach("a", AttachPreference::Auto).is_ok());
    });
}

/// A device without XDP in its driver.
#[test]
fn af_xdp_generic_mode_is_the_fall_back() {
    in_namespace(|| {
        ip("link set dev lo mtu 1500 up");
        let mut classifier = Classifier::load().unwrap();
        assert_eq!(classifier.attach("lo", AttachPreference::Auto).unwrap(), XdpMode::Generic);
        assert_eq!(classifier.mode(ifindex("lo")), Some(XdpMode::Generic));
        AfXdp::open(&config(), &[(PortId(0), "lo", 0)]).unwrap();
    });
}
