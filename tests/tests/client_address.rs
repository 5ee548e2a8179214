//! Who the backend thinks it talks to: the client itself where its address is kept, the gateway where not. And what
//! backends send of their own accord passes through, whatever port it comes from.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use penstock::{
    demo::{Appliance, Endpoint, ServiceManifest, ServicePort},
    netns::World,
};
use penstock_tests::{
    Lab, LabOptions, PATIENCE, ports, require_root, tcp_connect_from, udp_connect_from, udp_receive,
};
use serde_json::json;

/// A Service of its own beside the lab's: externalTrafficPolicy Local, with backend 1 on the gateway's node.
fn local_service(lab: &Lab) -> ServiceManifest {
    let port = |name, protocol, (port, target_port)| ServicePort {
        name,
        protocol,
        port,
        target_port,
        node_port: None,
    };
    let manifest = ServiceManifest {
        name: "local".to_owned(),
        ports: vec![port("tcp", "TCP", ports::TCP), port("udp", "UDP", ports::UDP)],
        cluster_ips: lab.world.plan.cluster_ip(20),
        load_balancer_ips: lab.world.plan.load_balancer_ip(20),
    };
    let mut service = manifest.service();
    service["spec"]["externalTrafficPolicy"] = json!("Local");
    let endpoints = lab.world.backends.iter().map(|backend| Endpoint {
        node: if backend.number == 1 { Appliance::NODE_NAME.to_owned() } else { "elsewhere".to_owned() },
        addresses: backend.addresses.clone(),
    });
    let slices = manifest.slices(&endpoints.collect::<Vec<_>>());
    lab.manifests.write("local.yaml", &[&[service][..], &slices].concat()).unwrap();
    manifest
}

/// Backends answer clients by way of the gateway.
fn route_back(world: &World) {
    for backend in &world.backends {
        for (client, gateway) in world.plan.client().iter().zip(world.plan.gateway_backend_side()) {
            backend.namespace.ip(&format!("route add {client} via {gateway} dev eth0")).unwrap();
        }
    }
}

/// Servers on every backend that tell each peer its address and their own number, while `action` runs.
fn with_servers<T>(lab: &Lab, action: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for backend in &lab.world.backends {
            for address in &backend.addresses {
                let (tcp, udp) =
                    (SocketAddr::new(*address, ports::TCP.1), SocketAddr::new(*address, ports::UDP.1));
                let bind = || (TcpListener::bind(tcp).unwrap(), UdpSocket::bind(udp).unwrap());
                let (listener, socket) = backend.namespace.enter(bind).unwrap();
                let (over, number) = (&over, backend.number);
                listener.set_nonblocking(true).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        if let Ok((mut stream, peer)) = listener.accept() {
                            stream.write_all(format!("{number} {peer}").as_bytes()).unwrap();
                        } else {
                            std::thread::sleep(Duration::from_millis(2));
                        }
                    }
                });
                scope.spawn(move || {
                    let mut buffer = [0; 100];
                    while !over.load(Ordering::Relaxed) {
                        if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                            socket.send_to(format!("{number} {peer}").as_bytes(), peer).unwrap();
                        }
                    }
                });
            }
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(action));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Who the backend says it is, and whom it says it talks to.
fn parse(text: &str) -> (u8, SocketAddr) {
    let (number, peer) = text.split_once(' ').unwrap();
    (number.parse().unwrap(), peer.parse().unwrap())
}

/// The same over TCP; `None` without an answer.
fn ask_tcp(lab: &Lab, from: SocketAddr, to: SocketAddr) -> Option<(u8, SocketAddr)> {
    let mut text = String::new();
    let answered = lab.world.client.enter(|| tcp_connect_from(from, to)?.read_to_string(&mut text)).unwrap();
    answered.ok().filter(|length| *length > 0).map(|_| parse(&text))
}

/// The same over UDP.
fn ask_udp(lab: &Lab, from: SocketAddr, to: SocketAddr) -> Option<(u8, SocketAddr)> {
    lab.world
        .client
        .enter(|| {
            let socket = udp_connect_from(from, to).ok()?;
            socket.send(b"who am I?").ok()?;
            let mut buffer = [0; 100];
            let length = udp_receive(&socket, &mut buffer).ok()?;
            Some(parse(std::str::from_utf8(&buffer[..length]).ok()?))
        })
        .unwrap()
}

/// Until the Service is served.
fn wait(lab: &Lab, client: IpAddr, vip: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while ask_tcp(lab, SocketAddr::new(client, 0), vip).is_none() {
        assert!(Instant::now() < deadline, "{vip} is not served:\n{}", lab.appliance.last_lines());
    }
}

// S-101, S-122
#[test]
fn netns_a_local_service_sees_its_clients() {
    require_root!();
    let lab = Lab::start(LabOptions::new("keep")).unwrap();
    route_back(&lab.world);
    let service = local_service(&lab);
    with_servers(&lab, || {
        for (index, client) in lab.world.plan.client().into_iter().enumerate() {
            let at = |ip, port: (u16, u16)| SocketAddr::new(ip, port.0);
            let balanced = service.load_balancer_ips[index];
            wait(&lab, client, at(balanced, ports::TCP));
            for port in 20_000..20_030 {
                let me = SocketAddr::new(client, port);
                assert_eq!(ask_tcp(&lab, me, at(balanced, ports::TCP)), Some((1, me)), "TCP");
                assert_eq!(ask_udp(&lab, me, at(balanced, ports::UDP)), Some((1, me)), "UDP");
            }
            // By its cluster IP the Service has three backends, and a client that is no pod is masqueraded.
            let (cluster, snat) = (service.cluster_ips[index], lab.snat_address(client).unwrap());
            let mut seen = [false; 3];
            for port in 21_000..21_030 {
                let (number, peer) =
                    ask_tcp(&lab, SocketAddr::new(client, port), at(cluster, ports::TCP)).unwrap();
                assert_eq!(peer.ip(), snat);
                seen[usize::from(number) - 1] = true;
            }
            assert_eq!(seen, [true; 3]);
        }
    });
}

// S-121
#[test]
fn netns_a_pod_keeps_its_address() {
    require_root!();
    let mut options = LabOptions::new("pod");
    options.fields.insert("clusterCIDR".to_owned(), json!(["10.1.0.0/16", "fd00:1::/64"]));
    // The lab's own Service is asked by pods, too, so it has to wait for the routes.
    let lab = Lab::start_with(options, route_back).unwrap();
    with_servers(&lab, || {
        for (client, vip) in lab.world.plan.client().into_iter().zip(lab.vips(ports::TCP)) {
            for port in 20_000..20_010 {
                let me = SocketAddr::new(client, port);
                let (_, peer) = ask_tcp(&lab, me, vip).unwrap();
                assert_eq!(peer, me);
            }
        }
    });
}

/// From the port that a Service's backends listen on, to a client that asks nothing: the classifier cannot tell this
/// from an answer, the worker can, and the kernel routes it as if nobody had looked.
#[test]
fn netns_backends_own_traffic_goes_through() {
    require_root!();
    let lab = Lab::start(LabOptions::new("own")).unwrap();
    route_back(&lab.world);
    local_service(&lab);
    lab.world.gateway.set_forwarding(true).unwrap();
    for (network, gateway) in
        lab.world.plan.backend_networks().iter().zip(lab.world.plan.gateway_client_side())
    {
        lab.world.client.ip(&format!("route add {network} via {gateway} dev eth0")).unwrap();
    }
    let backend = &lab.world.backends[0];
    for (client, source) in lab.world.plan.client().into_iter().zip(backend.addresses.clone()) {
        let to = SocketAddr::new(client, 9100);
        let listener = lab.world.client.enter(|| TcpListener::bind(to)).unwrap().unwrap();
        let from = SocketAddr::new(source, ports::TCP.1);
        let connect = || tcp_connect_from(from, to);
        // Connected before anybody waits for it.
        let mut stream = backend.namespace.enter(connect).unwrap().unwrap();
        let (mut accepted, peer) = listener.accept().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || accepted.write_all(&vec![7; 300_000]).unwrap());
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!((received.len(), peer), (300_000, from));
        });
    }
    // At least SYN, ACK and FIN of each; reports come a few times a second.
    let deadline = Instant::now() + PATIENCE;
    while lab.shown_number("workers", "passed").unwrap() < 6 {
        assert!(Instant::now() < deadline, "they did not come by the worker");
        std::thread::sleep(Duration::from_millis(50));
    }
}
