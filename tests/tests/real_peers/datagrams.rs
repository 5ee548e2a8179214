//! nc -u: a datagram there, one back, and what a closed port on the backend looks like from the client.

use penstock_tests::{Lab, LabOptions, ports, require_root};

use super::{sockets_of, start, told};

/// How often a program that waits for two seconds is tried.
const TRIES: u32 = 8;

#[test]
fn netns_nc_exchanges_datagrams() {
    require_root!("nc", "ss");
    let lab = Lab::start(LabOptions { backends: 1, ..LabOptions::new("nc") }).unwrap();
    let servers = sockets_of(&lab, 1, ports::UDP.1);
    for (vip, server) in lab.vips(ports::UDP).into_iter().zip(servers) {
        // A shell, since nc sends what it reads.
        let script = lab.world.folder.path().join("server.sh");
        std::fs::write(
            &script,
            format!("echo from the server | nc -u -l {} {}\n", server.ip(), server.port()),
        )
        .unwrap();
        let log = lab.world.folder.path().join(format!("nc-{}.log", server.port()));
        let namespace = &lab.world.backends[0].namespace;
        let listener = start(namespace, &format!("sh {}", script.display()), &log, &[server]);
        let script = lab.world.folder.path().join("client.sh");
        std::fs::write(&script, format!("echo from the client | nc -u -w 4 {} {}\n", vip.ip(), vip.port()))
            .unwrap();
        let (text, _) = told(&lab.world.client, &format!("sh {}", script.display()));
        assert!(text.contains("from the server"), "{vip}: {text}");
        assert!(listener.output().contains("from the client"), "{vip}: {}", listener.output());
    }
}

/// nc knows a closed port by the ICMP error: the backend's, which must come back as the VIP's.
// S-150
#[test]
fn netns_nc_learns_of_a_closed_port() {
    require_root!("nc", "ss");
    let lab = Lab::start(LabOptions { backends: 1, ..LabOptions::new("closed") }).unwrap();
    let servers = sockets_of(&lab, 1, ports::UDP.1);
    for (vip, server) in lab.vips(ports::UDP).into_iter().zip(servers) {
        let line = format!("nc -z -u -v -w 2 {} {}", vip.ip(), vip.port());
        // For an error that takes longer than its two seconds nc does not wait.
        let learns_of_it = (0..TRIES).any(|_| {
            let (text, success) = told(&lab.world.client, &line);
            !success && !text.contains("succeeded")
        });
        assert!(learns_of_it, "nobody listens, and `{line}` has not learnt of it {TRIES} times");
        let namespace = &lab.world.backends[0].namespace;
        let log = lab.world.folder.path().join("nc.log");
        let _server =
            start(namespace, &format!("nc -u -l -k {} {}", server.ip(), server.port()), &log, &[server]);
        let (text, success) = told(&lab.world.client, &line);
        assert!(success && text.contains("succeeded"), "somebody listens: {text}");
    }
}
