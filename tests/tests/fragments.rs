//! Datagrams longer than the way, a way that gets narrower behind the gateway, and `ping`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use penstock_tests::{Lab, LabOptions, ports, require_root, udp_receive};
use serde_json::json;

fn lab(label: &'static str, workers: u16) -> Lab {
    let mut options = LabOptions { workers, ..LabOptions::new(label) };
    options.fields.insert("echo".to_owned(), json!({"clusterIP": "answer"}));
    Lab::start(options).unwrap()
}

/// Echoes on all backends while `talk` runs.
fn with_echo<T>(lab: &Lab, talk: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for backend in &lab.world.backends {
            for address in &backend.addresses {
                let to = SocketAddr::new(*address, ports::UDP.1);
                let server = backend.namespace.enter(|| UdpSocket::bind(to)).unwrap().unwrap();
                server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let over = &over;
                scope.spawn(move || {
                    let mut bytes = [0; 65_536];
                    while !over.load(Ordering::Acquire) {
                        if let Ok((len, peer)) = server.recv_from(&mut bytes) {
                            let _ = server.send_to(&bytes[..len], peer);
                        }
                    }
                });
            }
        }
        let result = talk();
        over.store(true, Ordering::Release);
        result
    })
}

fn client(lab: &Lab, vip: SocketAddr) -> UdpSocket {
    let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = lab.world.client.enter(|| UdpSocket::bind(any)).unwrap().unwrap();
    socket.connect(vip).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Asks until there is an answer, as programs over UDP do: the first answers may only tell the way's MTU.
fn ask(socket: &UdpSocket, len: usize) {
    let question: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    let mut answer = vec![0; 65_536];
    for _ in 0..6 {
        if socket.send(&question).is_err() {
            continue;
        }
        if let Ok(len) = udp_receive(socket, &mut answer) {
            assert_eq!(answer[..len], question[..]);
            return;
        }
    }
    panic!("no answer to {len} bytes");
}

// S-202
#[test]
fn netns_datagrams_of_8_kib_are_answered() {
    require_root!();
    for (label, workers) in [("frag", 1), ("frag2", 2)] {
        let lab = lab(label, workers);
        with_echo(&lab, || {
            for vip in lab.vips(ports::UDP) {
                for _ in 0..8 {
                    let socket = client(&lab, vip);
                    for len in [1, 1472, 1473, 8192, 40_000] {
                        ask(&socket, len);
                    }
                }
            }
        });
    }
}

// S-151
#[test]
fn netns_a_narrow_way_behind_the_gateway_is_found() {
    require_root!();
    let lab = lab("narrow", 1);
    let side = lab.world.gateway_interfaces().pop().unwrap().name;
    for network in lab.world.plan.backend_networks() {
        let metric = if network.contains(':') { "metric 256" } else { "" };
        lab.world.gateway.ip(&format!("route replace {network} dev {side} {metric} mtu 1300")).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    with_echo(&lab, || {
        for vip in lab.vips(ports::UDP) {
            let socket = client(&lab, vip);
            for len in [1200, 1400, 1472, 8192] {
                ask(&socket, len);
            }
        }
    });
}

// S-155
#[test]
fn netns_ping_is_answered_where_set() {
    require_root!();
    let lab = lab("ping", 1);
    for vip in lab.vips(ports::HTTP) {
        let told = lab
            .world
            .client
            .run(&["ping", "-c", "3", "-i", "0.2", "-W", "2", &vip.ip().to_string()])
            .unwrap();
        assert!(told.contains(" 0% packet loss"), "{told}");
    }
}
