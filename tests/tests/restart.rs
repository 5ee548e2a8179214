//! The appliance is killed and started again, and connections go on: the same hashes choose the same backends and the
//! same source ports, so the first packet of a client makes its flow as it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use penstock::netns::Namespace;
use penstock_tests::{KeepAlive, Lab, LabOptions, PATIENCE, ports, require_root, tcp_connect_from};
use serde_json::Value;

/// Connections to each destination.
const EACH: u16 = 4;

struct Connection {
    to: SocketAddr,
    home: String,
    talk: KeepAlive,
}

/// From ports that are always the same: two flows that want one source port would take turns, and who comes first after
/// a restart is another matter.
fn connect(lab: &Lab, destinations: &[SocketAddr]) -> Vec<Connection> {
    let clients = lab.world.plan.client();
    let each = destinations.iter().flat_map(|to| [*to; EACH as usize]).zip(40_000..);
    each.map(|(to, port)| {
        let client = clients.iter().find(|client| client.is_ipv4() == to.is_ipv4()).unwrap();
        let stream = lab.world.client.enter(|| tcp_connect_from(SocketAddr::new(*client, port), to));
        let mut talk = KeepAlive::over(stream.unwrap().unwrap());
        Connection { to, home: talk.ask().unwrap(), talk }
    })
    .collect()
}

/// Kills the appliance when nobody speaks: what was said last has been acknowledged, or the backend would say it again,
/// and the gateway's kernel, which knows of no such connection, would reset it.
fn kill_quietly(lab: &mut Lab) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // An acknowledgement that waits for company goes after 200 ms at the latest, by the kernel's clock.
        std::thread::sleep(Duration::from_millis(300));
        let mut ends = lab.world.backends.iter().map(|backend| &backend.namespace).chain([&lab.world.client]);
        if ends.all(all_is_acknowledged) {
            break;
        }
        assert!(Instant::now() < deadline, "they go on speaking");
    }
    lab.kill_appliance().unwrap();
}

/// Whether nothing that was sent from here by TCP waits to be acknowledged, or to be read.
fn all_is_acknowledged(namespace: &Namespace) -> bool {
    let sockets = namespace.run(&["ss", "-Htn", "state", "established"]).unwrap();
    // Without the column of states, the queues of what was received and of what was sent come first.
    sockets.lines().all(|line| line.split_whitespace().take(2).eq(["0", "0"]))
}

// S-149
#[test]
fn netns_connections_go_on_when_the_appliance_is_killed_and_started_again() {
    require_root!("ss");
    let mut lab = Lab::start(LabOptions { workers: 2, ..LabOptions::new("restart") }).unwrap();
    let vips = lab.vips(ports::HTTP);
    let nodes = lab.world.plan.gateway_client_side();
    let node_ports = nodes.into_iter().map(|ip| SocketAddr::new(ip, ports::HTTP_NODE_PORT));
    let destinations: Vec<_> = vips.iter().copied().chain(node_ports).collect();
    let mut connections = connect(&lab, &destinations);

    // Nobody speaks while it is down.
    kill_quietly(&mut lab);
    lab.start_appliance().unwrap();
    for Connection { to, home, talk } in &mut connections {
        let answer = talk.ask().unwrap_or_else(|error| panic!("{to}, at {home}: {error}"));
        assert_eq!(&answer, home, "{to}");
    }
    let mut homes: Vec<_> = connections.iter().map(|connection| &connection.home).collect();
    homes.sort();
    homes.dedup();
    assert_eq!(homes.len(), 3, "every backend has connections to keep");
    let flows = lab.appliance.show("flows").unwrap();
    let flows = flows["flows"].as_array().unwrap();
    let ours = |flow: &&Value| flow["client"].as_str().is_some_and(|client| client.contains(":400"));
    assert_eq!(flows.iter().filter(ours).count(), connections.len(), "{flows:?}");

    // What is said to a VIP while it is down is said again by TCP. (To a node address, the kernel would answer.)
    connections.retain(|connection| vips.contains(&connection.to));
    kill_quietly(&mut lab);
    for connection in &mut connections {
        connection.talk.send().unwrap();
    }
    lab.start_appliance().unwrap();
    for Connection { to, home, talk } in &mut connections {
        let answer = talk.receive().unwrap_or_else(|error| panic!("{to}, at {home}: {error}"));
        assert_eq!(&answer, home, "{to}");
    }
}

/// The other half of what the README says: a flow to a backend that has left goes elsewhere, whose kernel resets it.
#[test]
fn netns_a_connection_to_a_backend_that_left_does_not_survive_a_restart() {
    require_root!("ss");
    let mut lab = Lab::start(LabOptions::new("restart-less")).unwrap();
    let mut connections = connect(&lab, &lab.vips(ports::HTTP));
    lab.set_endpoints(&[1]).unwrap();
    lab.wait_for_endpoints(&[1]).unwrap();
    for connection in &mut connections {
        assert_eq!(connection.talk.ask().unwrap(), connection.home, "until then it does");
    }
    assert!(connections.iter().any(|connection| connection.home != "backend-1"));
    kill_quietly(&mut lab);
    lab.start_appliance().unwrap();
    for Connection { to, home, talk } in &mut connections {
        let answer = talk.ask();
        assert_eq!(answer.is_ok(), home == "backend-1", "{to}, at {home}: {answer:?}");
    }
}
