//! What is not for a Service goes on as if the appliance were not there: SSH to the gateway, its ARP and ND, and its
//! own connections, while Services are served on the same interfaces.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use penstock::{
    demo::{HttpServer, get},
    netns::Child,
};
use penstock_tests::{AN_ANSWER, Lab, LabOptions, PATIENCE, ports, require_root};

const SSH_PORT: u16 = 22;

/// A real sshd in the gateway's namespace that lets the key `folder/key` in.
fn start_sshd(lab: &Lab, folder: &Path) -> Child {
    fs::create_dir_all(folder).unwrap();
    // sshd insists on its folder for privilege separation.
    fs::create_dir_all("/run/sshd").unwrap();
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    for key in ["host_key", "key"] {
        lab.world.client.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &file(key)]).unwrap();
    }
    fs::copy(file("key.pub"), file("authorized_keys")).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let listens: String = lab
        .world
        .plan
        .gateway_client_side()
        .iter()
        .map(|address| format!("ListenAddress {address}\n"))
        .collect();
    let config = format!(
        "Port {SSH_PORT}\n{listens}HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
         PermitRootLogin yes\nPasswordAuthentication no\n",
        file("host_key"),
        file("authorized_keys"),
    );
    fs::write(file("sshd_config"), config).unwrap();
    let line = ["sshd", "-D", "-e", "-f", &file("sshd_config")];
    let mut sshd = lab.world.gateway.spawn(&line, Some(&folder.join("sshd.log"))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !sshd.output().contains("Server listening") {
        assert!(sshd.ended().is_none() && Instant::now() < deadline, "sshd: {}", sshd.output());
        std::thread::sleep(Duration::from_millis(20));
    }
    sshd
}

/// A command over SSH, from the client to the gateway.
fn ssh(lab: &Lab, folder: &Path, gateway: IpAddr) -> String {
    let key = folder.join("key").to_string_lossy().into_owned();
    let line = [
        "ssh",
        "-i",
        &key,
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "ConnectTimeout=60",
        &format!("root@{gateway}"),
        "seq 1 20000",
    ];
    lab.world.client.run(&line).unwrap()
}

/// Both ends forget their neighbours, and find each other again.
fn check_neighbours(lab: &Lab) {
    for (index, gateway) in lab.world.plan.gateway_client_side().into_iter().enumerate() {
        let client = lab.world.plan.client()[index];
        // Resolved ones only: to flush one that is being asked for would fail the request that waits for it.
        const RESOLVED: &str = "neigh flush nud reachable nud stale nud delay nud probe";
        lab.world.client.ip(RESOLVED).unwrap();
        lab.world.gateway.ip(RESOLVED).unwrap();
        lab.world.client.run(&["ping", "-c", "3", "-i", "0.2", "-W", "10", &gateway.to_string()]).unwrap();
        lab.world.gateway.run(&["ping", "-c", "3", "-i", "0.2", "-W", "10", &client.to_string()]).unwrap();
        for (namespace, other) in [(&lab.world.client, gateway), (&lab.world.gateway, client)] {
            let neighbour = namespace.ip(&format!("neigh show {other}")).unwrap();
            assert!(neighbour.contains("lladdr"), "{}: {neighbour}", namespace.name());
        }
    }
}

/// The gateway as a client: of a server on the client's side, and of a backend's server, without a Service.
fn check_own_connections(lab: &Lab) {
    for client in lab.world.plan.client() {
        let to = SocketAddr::new(client, 9000);
        let listener = lab.world.client.enter(|| TcpListener::bind(to)).unwrap().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(&vec![7; 300_000]).unwrap());
            let connect = || TcpStream::connect_timeout(&to, AN_ANSWER);
            let mut stream = lab.world.gateway.enter(connect).unwrap().unwrap();
            stream.set_read_timeout(Some(AN_ANSWER)).unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), 300_000);
        });
    }
    for backend in &lab.world.backends {
        for address in &backend.addresses {
            let to = SocketAddr::new(*address, HttpServer::PORT);
            let answer = lab.world.gateway.enter(|| get(to, AN_ANSWER)).unwrap().unwrap();
            assert_eq!(answer.body, backend.name());
        }
    }
}

fn everything_else_keeps_working(options: LabOptions) {
    let lab = Lab::start(options).unwrap();
    let folder = lab.world.folder.path().join("ssh");
    let _sshd = start_sshd(&lab, &folder);
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // A Service is in use all the while.
        let load = scope.spawn(|| {
            let mut targets = lab.vips(ports::HTTP);
            let gateway = lab.world.plan.gateway_client_side().into_iter();
            targets.extend(gateway.map(|address| SocketAddr::new(address, ports::HTTP_NODE_PORT)));
            lab.world.client.enter(|| {
                for target in targets.iter().cycle() {
                    if over.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    get(*target, AN_ANSWER).map_err(|error| format!("{target}: {error}"))?;
                    served.fetch_add(1, Ordering::AcqRel);
                }
                Ok::<(), String>(())
            })
        });
        let checks = scope.spawn(|| {
            let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
            for gateway in lab.world.plan.gateway_client_side() {
                assert_eq!(ssh(&lab, &folder, gateway), expected, "SSH to {gateway}");
            }
            check_neighbours(&lab);
            check_own_connections(&lab);
        });
        let checked = checks.join();
        let deadline = Instant::now() + PATIENCE;
        while checked.is_ok() && served.load(Ordering::Acquire) <= 100 && !load.is_finished() {
            assert!(Instant::now() < deadline, "the Service was hardly used");
            std::thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Release);
        load.join().unwrap().unwrap().unwrap();
        checked.unwrap();
    });
}

#[test]
fn netns_ssh_neighbours_and_own_connections_work_in_two_arms() {
    require_root!();
    everything_else_keeps_working(LabOptions::new("two"));
}

#[test]
fn netns_ssh_neighbours_and_own_connections_work_in_one_arm() {
    require_root!();
    everything_else_keeps_working(LabOptions { one_arm: true, ..LabOptions::new("one") });
}
