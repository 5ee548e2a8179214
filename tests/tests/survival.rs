//! Established connections outlive the objects they were made for, to the letter: their Service is deleted, and they go on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use penstock_tests::{KeepAlive, Lab, LabOptions, PATIENCE, ports, require_root};

/// Whether somebody answers at this address at all, be it with a refusal.
fn is_served(lab: &Lab, to: SocketAddr) -> bool {
    let connect = || TcpStream::connect_timeout(&to, Duration::from_millis(300));
    lab.world.client.enter(connect).unwrap().is_ok()
}

// S-140, S-141, S-142
#[test]
fn netns_connections_survive_their_service() {
    require_root!();
    let mut lab = Lab::start(LabOptions { workers: 2, ..LabOptions::new("survive") }).unwrap();
    let node_ports =
        lab.world.plan.gateway_client_side().into_iter().map(|ip| SocketAddr::new(ip, ports::HTTP_NODE_PORT));
    let destinations: Vec<_> = lab.vips(ports::HTTP).into_iter().chain(node_ports).collect();
    let connect = |to| lab.world.client.enter(|| KeepAlive::connect(to)).unwrap().unwrap();
    // Several, so that both workers have some.
    let mut connections: Vec<_> =
        destinations.iter().flat_map(|to| [*to; 4]).map(|to| (to, connect(to))).collect();
    let homes: Vec<_> = connections.iter_mut().map(|(_, connection)| connection.ask().unwrap()).collect();

    lab.manifests.remove("endpoints.yaml").unwrap();
    lab.manifests.remove("service.yaml").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while destinations.iter().any(|to| is_served(&lab, *to)) {
        assert!(Instant::now() < deadline, "still served");
    }
    // Long enough for a survey of the flows to end.
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        for ((to, connection), home) in connections.iter_mut().zip(&homes) {
            assert_eq!(&connection.ask().unwrap_or_else(|error| panic!("{to}: {error}")), home);
        }
        std::thread::sleep(Duration::from_millis(200));
        lab.appliance.check().unwrap();
    }
    assert!(destinations.iter().all(|to| !is_served(&lab, *to)), "new connections are not");
}
