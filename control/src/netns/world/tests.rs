//! The topology works before any dataplane does: with the kernel as the router.
//! These tests need root; without it they are skipped, except where `CI=true`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::*;

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var("CI").as_deref() != Ok("true"), "CI=true, and not root");
    root
}

/// Lets the gateway's kernel route, and tells the backends the way back.
fn route_by_kernel(world: &World) {
    world.gateway.set_forwarding(true).unwrap();
    for backend in &world.backends {
        for (network, via) in [("10.1.0.0/16", "10.2.0.1"), ("fd00:1::/64", "fd00:2::1")] {
            backend.namespace.ip(&format!("route add {network} via {via}")).unwrap();
        }
    }
    for (network, via) in [("10.2.0.0/16", "10.1.0.1"), ("fd00:2::/64", "fd00:1::1")] {
        world.client.ip(&format!("route add {network} via {via}")).unwrap();
    }
}

/// One exchange from the client to `backend`; returns who the backend saw.
fn exchange(
    world: &World,
    backend: &Backend,
    address: IpAddr,
    patience: Duration,
) -> std::io::Result<IpAddr> {
    let to = SocketAddr::new(address, 8080);
    let listener = backend.namespace.enter(|| TcpListener::bind(to)).unwrap()?;
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            listener.set_nonblocking(false)?;
            let (mut stream, peer) = listener.accept()?;
            stream.write_all(b"hello")?;
            Ok::<_, std::io::Error>(peer.ip())
        });
        let answer = world.client.enter(|| {
            let mut stream = TcpStream::connect_timeout(&to, patience)?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok::<_, std::io::Error>(text)
        });
        let answer = answer.unwrap();
        if answer.is_err() {
            // The server still waits for its client: let it go.
            let _ = backend.namespace.enter(|| TcpStream::connect(to));
        }
        let peer = server.join().unwrap();
        assert_eq!(answer?, "hello");
        peer
    })
}

#[test]
fn netns_world_carries_both_families_in_both_shapes() {
    if !root() {
        return;
    }
    for (label, one_arm, queues) in [("two", false, 1), ("one", true, 1), ("wide", false, 2)] {
        let options = WorldOptions { one_arm, queues, ..WorldOptions::new(Owner::new("psk-world"), label) };
        let mut world = World::build(options).unwrap();
        world.add_backend().unwrap();
        assert_eq!(world.backends.len(), 4);
        if !one_arm {
            // Nothing crosses before the kernel may route: what the demonstration relies on.
            let backend = &world.backends[0];
            assert!(exchange(&world, backend, backend.addresses[0], Duration::from_secs(1)).is_err());
        }
        route_by_kernel(&world);
        for backend in &world.backends {
            for address in &backend.addresses {
                let seen = exchange(&world, backend, *address, Duration::from_secs(60)).unwrap();
                assert!(world.plan.client().contains(&seen), "{label}: {seen}");
            }
        }
        let interface = world.gateway_interfaces()[0].name;
        let queues_found = world.gateway.run(&["ls", &format!("/sys/class/net/{interface}/queues")]);
        assert_eq!(queues_found.unwrap().matches("rx-").count(), usize::from(queues));
    }
}

#[test]
fn netns_world_leaves_nothing() {
    if !root() {
        return;
    }
    let owner = Owner::new("psk-gone");
    let ours = || {
        let entries = std::fs::read_dir(registry::RUN_NETNS).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("psk-gone-")).count()
    };
    let (folder, mut stray) = {
        let world = World::build(WorldOptions::new(owner.clone(), "drop")).unwrap();
        assert_eq!(ours(), 6);
        // A program that nobody holds: it goes with its namespace.
        let stray = world.backends[0].namespace.command("sleep").unwrap().arg("600").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        (world.folder.path().to_owned(), stray)
    };
    assert_eq!(ours(), 0, "after a drop");
    assert!(!folder.exists());
    assert!(!stray.wait().unwrap().success());
    let options = WorldOptions::new(owner.clone(), "panic");
    let panicked = std::panic::catch_unwind(|| {
        let _world = World::build(options).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert_eq!(ours(), 0, "after a panic");
    // What a killed process leaves: names with a process id that nobody has.
    let dead = format!("psk-gone-{}-left", i32::MAX);
    super::super::command::ip(&format!("netns add {dead}")).unwrap();
    let dead_folder = std::env::temp_dir().join(&dead);
    std::fs::create_dir_all(dead_folder.join("logs")).unwrap();
    assert_eq!(sweep(&owner), [dead]);
    assert_eq!(ours(), 0, "after a sweep");
    assert!(!dead_folder.exists());
}
