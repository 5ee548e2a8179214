//! curl asks nginx.

use std::net::SocketAddr;

use penstock_tests::{Lab, LabOptions, ports, require_root};

use super::says;

const REQUESTS: usize = 200;

/// 200 requests, 50 at a time, each over a connection of its own, to every kind of address a Service has.
#[test]
fn netns_curl_is_answered_by_nginx_200_times_on_every_address() {
    require_root!();
    let lab = Lab::start(LabOptions::new("curl")).unwrap();
    let at = |addresses: &[_], port| -> Vec<_> {
        addresses.iter().map(|address| SocketAddr::new(*address, port)).collect()
    };
    let vips = [
        lab.vips(ports::HTTP),
        at(&lab.service.load_balancer_ips, ports::HTTP.0),
        at(&lab.world.plan.gateway_client_side(), ports::HTTP_NODE_PORT),
    ];
    for vip in vips.concat() {
        let line = format!(
            "curl -sS --fail -Z --parallel-max 50 --max-time 120 -H Connection:close -w %{{http_code}}:%{{remote_ip}}\\n \
             http://{vip}/?[1-{REQUESTS}]"
        );
        let text = says(&lab.world.client, &line);
        let good = text.matches(&format!("200:{}\n", vip.ip())).count();
        assert_eq!(good, REQUESTS, "{text}");
        let by_backend = lab.world.backends.iter().map(|backend| text.matches(&backend.name()).count());
        let by_backend: Vec<_> = by_backend.collect();
        assert_eq!(by_backend.iter().sum::<usize>(), REQUESTS, "{text}");
        // By chance alone a third of 200 is below 30 once in a hundred million times.
        assert!(by_backend.iter().all(|count| *count > 30), "{by_backend:?}");
    }
}

/// The other way of a large transfer: a body of 20 MB, which nginx swallows.
#[test]
fn netns_curl_uploads_20_mb_to_nginx() {
    require_root!();
    let lab = Lab::start(LabOptions::new("upload")).unwrap();
    let body = lab.world.folder.path().join("body");
    std::fs::write(&body, vec![7; 20_000_000]).unwrap();
    for vip in lab.vips(ports::HTTP) {
        // Without `Expect`, so that the body is sent whatever nginx says.
        let line = format!(
            "curl -sS --fail --max-time 300 -H Expect: --data-binary @{} -w :%{{size_upload}} http://{vip}/upload",
            body.display()
        );
        let text = says(&lab.world.client, &line);
        assert!(text.contains("backend-") && text.ends_with(":20000000"), "{text}");
    }
}
