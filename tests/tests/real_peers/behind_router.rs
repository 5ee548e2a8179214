//! A backend that is not on the gateway's own network: backend 1 of the lab is the router to it, over a link of 1300
//! bytes.
//!
//! ```text
//! client ── gateway ──╥ network ╥── backend 1 (10.2.0.11) ──1300── far (10.3.0.2, fd00:3::2)
//! ```

use std::time::{Duration, Instant};

use penstock::{
    demo::{Endpoint, HttpServer},
    netns::{Backend, Namespace, VethOptions, create_veth},
};
use penstock_tests::{Lab, LabOptions, PATIENCE};

use super::port;

/// The MTU of the link behind the router.
pub(super) const MTU: u16 = 1300;
/// The first of the UDP ports at which nobody listens; tracepath uses one after the other.
pub(super) const CLOSED: u16 = 44_444;

/// The lab with the far backend, and its Service.
pub(super) struct FarLab {
    pub(super) vips: Vec<std::net::IpAddr>,
    pub(super) far: Backend,
    pub(super) _server: HttpServer,
    pub(super) lab: Lab,
}

pub(super) fn far_lab(label: &'static str) -> FarLab {
    let mut far = None;
    let options = LabOptions { backends: 1, ..LabOptions::new(label) };
    let lab = Lab::start_with(options, |world| {
        let router = &world.backends[0];
        let namespace = Namespace::create(&world.options().owner, &format!("{label}-far")).unwrap();
        create_veth(
            (&router.namespace, "far0", [2, 0x70, 0x65, 0x6e, 9, 1]),
            (&namespace, "eth0", [2, 0x70, 0x65, 0x6e, 9, 2]),
            VethOptions::default(),
        )
        .unwrap();
        router.namespace.set_forwarding(true).unwrap();
        let networks = [("10.3.0", ".", "16"), ("fd00:3:", ":", "64")];
        for ((network, point, length), via) in networks.into_iter().zip(&router.addresses) {
            let (nodad, metric) = if via.is_ipv6() { ("nodad", "metric 256") } else { ("", "") };
            let end = |number| format!("{network}{point}{number}");
            router.namespace.ip(&format!("addr add {}/{length} dev far0 {nodad}", end(1))).unwrap();
            // Of the route alone: the far end knows nothing of it, and announces the MSS of 1500 bytes.
            router
                .namespace
                .ip(&format!("route replace {}/{length} dev far0 {metric} mtu lock {MTU}", end(0)))
                .unwrap();
            namespace.ip(&format!("addr add {}/{length} dev eth0 {nodad}", end(2))).unwrap();
            namespace.ip(&format!("route add default via {}", end(1))).unwrap();
            world.gateway.ip(&format!("route add {}/{length} via {via}", end(0))).unwrap();
        }
        let addresses = ["10.3.0.2".parse().unwrap(), "fd00:3::2".parse().unwrap()];
        far = Some(Backend { number: 200, namespace, addresses: addresses.to_vec() });
    });
    let (lab, far) = (lab.unwrap(), far.unwrap());
    let server = HttpServer::start(&far, lab.world.folder.path()).unwrap();
    let mut ports = vec![port("http", "TCP", 80, HttpServer::PORT)];
    const NAMES: [&str; 8] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"];
    ports.extend(NAMES.iter().zip(CLOSED..).map(|(name, number)| port(name, "UDP", number, number)));
    ports.push(port("iperf", "TCP", 5201, 5201));
    let endpoint = Endpoint { node: "far".to_owned(), addresses: far.addresses.clone() };
    let service = lab.add_service("far", 30, ports, &[endpoint]).unwrap();
    let mut far_lab = FarLab { vips: service.cluster_ips, far, _server: server, lab };
    far_lab.wait_until_served();
    far_lab
}

impl FarLab {
    fn wait_until_served(&mut self) {
        for vip in &self.vips {
            let to = std::net::SocketAddr::new(*vip, 80);
            let deadline = Instant::now() + PATIENCE;
            while !self.lab.get(to).is_ok_and(|answer| answer.body == "backend-200") {
                assert!(
                    Instant::now() < deadline,
                    "{to} is not served:\n{}",
                    self.lab.appliance.last_lines()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
