//! Interfaces that vanish and come back: the appliance says so, goes on with the others, and serves again by itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use penstock::{
    demo::get,
    netns::{Plan, VethOptions, World, create_veth, take_redirects},
};
use penstock_tests::{KeepAlive, Lab, LabOptions, ports, require_root};

/// Whether all sockets of `interface` are attached, or none; and those of others, always.
fn is_attached(lab: &Lab, interface: &str, wanted: bool) -> bool {
    let shown = lab.appliance.show("workers").unwrap();
    let workers = shown["workers"].as_array().unwrap();
    let mut ports = workers.iter().flat_map(|worker| worker["ports"].as_array().unwrap());
    ports.all(|port| port["attached"] == (port["interface"] != interface || wanted))
}

/// The status code and body of `/healthz`.
fn healthz(lab: &Lab) -> String {
    let line = ["curl", "-s", "-w", " %{http_code}", "http://127.0.0.1:10256/healthz"];
    lab.world.gateway.run(&line).unwrap()
}

/// Whether the gateway answers for itself, by the interface to the clients.
fn answers_pings(lab: &Lab) -> bool {
    let ping = |address: &IpAddr| {
        lab.world.client.run(&["ping", "-c", "1", "-W", "10", &address.to_string()]).is_ok()
    };
    lab.service.load_balancer_ips.iter().all(ping)
}

fn serves(lab: &Lab) -> bool {
    let ask = |vip| get(vip, Duration::from_secs(1)).is_ok();
    lab.vips(ports::HTTP).into_iter().all(|vip| lab.world.client.enter(|| ask(vip)).unwrap())
}

/// Gives a new or returned `backend0` what it had.
fn dress(world: &World) {
    for address in world.plan.gateway_backend_side() {
        let nodad = if address.is_ipv6() { "nodad" } else { "" };
        let address = format!("{address}/{}", Plan::prefix_len(address));
        world.gateway.ip(&format!("addr add {address} dev backend0 {nodad}")).unwrap();
    }
}

fn delete(world: &World) {
    world.gateway.ip("link del backend0").unwrap();
}

fn make_again(world: &World) {
    let (ours, theirs) = ([2, 0x70, 0x65, 0x6e, 7, 1], [2, 0x70, 0x65, 0x6e, 7, 2]);
    let options = VethOptions { queues: world.options().queues, ..VethOptions::default() };
    create_veth((&world.gateway, "backend0", ours), (&world.network, "uplink", theirs), options).unwrap();
    take_redirects(&world.network, "uplink").unwrap();
    world.network.ip("link set uplink master br0").unwrap();
    dress(world);
}

fn move_away(world: &World) {
    world.gateway.ip(&format!("link set backend0 netns {}", world.network.name())).unwrap();
}

fn move_back(world: &World) {
    world.network.ip(&format!("link set backend0 netns {}", world.gateway.name())).unwrap();
    // First without being up, which is too early.
    std::thread::sleep(Duration::from_millis(300));
    world.gateway.ip("link set backend0 up").unwrap();
    dress(world);
}

fn loses_and_regains(label: &'static str, workers: u16, lose: fn(&World), regain: fn(&World)) {
    let mut lab = Lab::start(LabOptions { workers, ..LabOptions::new(label) }).unwrap();
    let connect = |to: SocketAddr| lab.world.client.enter(|| KeepAlive::connect(to)).unwrap().unwrap();
    let mut connections: Vec<_> =
        lab.vips(ports::HTTP).into_iter().flat_map(|vip| [vip; 4]).map(connect).collect();
    let homes: Vec<_> = connections.iter_mut().map(|connection| connection.ask().unwrap()).collect();
    assert!(is_attached(&lab, "backend0", true) && healthz(&lab).ends_with(" 200"), "{}", healthz(&lab));

    // Twice, since the second time is another than the first.
    for _ in 0..2 {
        lose(&lab.world);
        lab.wait_until("seen to be gone", |lab| is_attached(lab, "backend0", false)).unwrap();
        lab.wait_until("unhealthy", |lab| healthz(lab).ends_with(" 503")).unwrap();
        assert!(healthz(&lab).contains(r#""missingInterfaces":["backend0"]"#), "{}", healthz(&lab));
        let log = lab.appliance.child().output();
        let told = log.lines().any(|line| line.contains("interface is gone") && line.contains("backend0"));
        assert!(told && log.contains("ip link"), "{log}");
        for _ in 0..5 {
            assert!(answers_pings(&lab), "the other interface goes on");
        }
        assert!(!serves(&lab));

        regain(&lab.world);
        lab.wait_until("attached again", |lab| is_attached(lab, "backend0", true)).unwrap();
        lab.wait_until("served again", serves).unwrap();
        lab.wait_until("healthy again", |lab| healthz(lab).ends_with(" 200")).unwrap();
        // Frames that were with the lost interface have come back.
        let shown = lab.appliance.show("workers").unwrap();
        for worker in shown["workers"].as_array().unwrap() {
            let frames = |name: &str| worker["frames"][name].as_u64().unwrap();
            assert!(frames("free") > frames("total") / 3, "{shown:#}");
        }
    }
    for (connection, home) in connections.iter_mut().zip(&homes) {
        assert_eq!(&connection.ask().unwrap(), home, "flows outlive their interface");
    }
}

#[test]
fn netns_an_interface_is_deleted_and_made_again() {
    require_root!();
    loses_and_regains("gone", 1, delete, make_again);
}

#[test]
fn netns_an_interface_of_two_workers_is_moved_away_and_back() {
    require_root!();
    loses_and_regains("moved", 2, move_away, move_back);
}

/// That of the clients is the first of each worker: the one that the kernel ties the packet memory to.
#[test]
fn netns_the_first_interface_is_deleted_and_made_again() {
    require_root!();
    let mut lab = Lab::start(LabOptions { workers: 2, ..LabOptions::new("first") }).unwrap();
    lab.world.gateway.ip("link del client0").unwrap();
    lab.wait_until("seen to be gone", |lab| is_attached(lab, "client0", false)).unwrap();
    let world = &lab.world;
    let options = VethOptions { queues: 2, ..VethOptions::default() };
    let macs = ([2, 0x70, 0x65, 0x6e, 7, 3], [2, 0x70, 0x65, 0x6e, 7, 4]);
    create_veth((&world.gateway, "client0", macs.0), (&world.client, "eth0", macs.1), options).unwrap();
    take_redirects(&world.client, "eth0").unwrap();
    let ends = [
        (&world.gateway, "client0", world.plan.gateway_client_side()),
        (&world.client, "eth0", world.plan.client()),
    ];
    for (namespace, interface, addresses) in ends {
        for address in addresses {
            let nodad = if address.is_ipv6() { "nodad" } else { "" };
            let length = Plan::prefix_len(address);
            namespace.ip(&format!("addr add {address}/{length} dev {interface} {nodad}")).unwrap();
        }
    }
    for network in world.plan.service_networks() {
        let gateways = world.plan.gateway_client_side();
        let via = gateways.iter().find(|address| address.is_ipv6() == network.contains(':')).unwrap();
        world.client.ip(&format!("route add {network} via {via} dev eth0")).unwrap();
    }
    lab.wait_until("attached again", |lab| is_attached(lab, "client0", true)).unwrap();
    lab.wait_until("served again", serves).unwrap();
}
