//! What load balancers and monitoring see of a running appliance, on the wire: its health, that of each Service's local
//! endpoints, and metrics that move with the traffic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use penstock::{demo::Appliance, netns::Namespace};
use penstock_tests::{AN_ANSWER, Lab, LabOptions, PATIENCE, ports, require_root};
use serde_json::{Value, json};

const HEALTHZ: u16 = 10256;
const METRICS: u16 = 10249;
const HEALTH_CHECK_NODE_PORT: u16 = 31000;

/// The answer of `GET path`, head and body as they came.
fn get(from: &Namespace, to: SocketAddr, path: &str) -> std::io::Result<(String, String)> {
    from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&to, AN_ANSWER)?;
        stream.set_read_timeout(Some(AN_ANSWER))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Ok((head.to_lowercase(), body.to_owned()))
    })
    .unwrap()
}

/// Until the answer begins with this status, as `http/1.1 200`.
#[track_caller]
fn wait_for(lab: &Lab, to: SocketAddr, path: &str, code: u16) -> (String, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(&lab.world.client, to, path);
        match answer {
            Ok(answer) if answer.0.starts_with(&format!("http/1.1 {code}")) => return answer,
            _ if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            other => panic!("{to}{path}: wanted {code}: {other:?}"),
        }
    }
}

/// The Service of the lab with a healthCheckNodePort, and a slice with these endpoints.
fn write_local_service(lab: &Lab, endpoints: &Value) {
    let mut service = lab.service.service();
    service["spec"]["externalTrafficPolicy"] = "Local".into();
    service["spec"]["healthCheckNodePort"] = HEALTH_CHECK_NODE_PORT.into();
    lab.manifests.write("service.yaml", &[service]).unwrap();
    let mut slices = lab.service.slices(&[]);
    slices[0]["endpoints"] = endpoints.clone();
    lab.manifests.write("endpoints.yaml", &slices).unwrap();
}

// S-159, S-160, S-161, S-162, S-214
#[test]
fn netns_health_check_node_ports_follow_local_endpoints() {
    require_root!();
    let lab = Lab::start(LabOptions::new("hcnp")).unwrap();
    let gateway = lab.world.plan.gateway_client_side();
    let (v4, v6) = (
        SocketAddr::new(gateway[0], HEALTH_CHECK_NODE_PORT),
        SocketAddr::new(gateway[1], HEALTH_CHECK_NODE_PORT),
    );
    assert!(get(&lab.world.client, v4, "/").is_err(), "nobody listens yet");

    let backend = lab.world.backends[0].addresses[0];
    let local =
        json!([{"addresses": [backend], "nodeName": Appliance::NODE_NAME, "conditions": {"ready": true}}]);
    write_local_service(&lab, &local);
    let (head, body) = wait_for(&lab, v4, "/", 200);
    assert!(
        head.contains("content-type: application/json") && head.contains("x-content-type-options: nosniff")
    );
    assert!(head.contains("x-load-balancing-endpoint-weight: 1"), "{head}");
    assert_eq!(
        body,
        "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}"
    );
    let (_, body) = wait_for(&lab, v6, "/", 503);
    assert!(body.contains("\"localEndpoints\": 0"), "IPv6 has none: {body}");

    let going = json!([{"addresses": [backend], "nodeName": Appliance::NODE_NAME,
        "conditions": {"ready": false, "serving": true, "terminating": true}}]);
    write_local_service(&lab, &going);
    wait_for(&lab, v4, "/", 503);
    let cluster_ip = lab.vips(ports::HTTP)[0];
    assert_eq!(lab.get(cluster_ip).unwrap().body, "backend-1", "what lingers still serves");

    lab.manifests.remove("service.yaml").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while get(&lab.world.client, v4, "/").is_ok() {
        assert!(Instant::now() < deadline, "the port stays open without its Service");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// S-164, S-165, S-166
#[test]
fn netns_health_and_metrics_are_where_kube_proxy_has_them() {
    require_root!();
    let lab = Lab::start(LabOptions::new("health")).unwrap();
    let node = lab.world.plan.gateway_client_side()[0];
    let health = SocketAddr::new(node, HEALTHZ);
    let metrics = SocketAddr::new(IpAddr::from(Ipv4Addr::LOCALHOST), METRICS);
    let status = |text: &str| serde_json::from_str::<Value>(text).unwrap();

    let first = status(&wait_for(&lab, health, "/healthz", 200).1);
    assert_eq!((&first["nodeEligible"], &first["healthy"]), (&json!(true), &json!(true)));
    let synced = |status: &Value| status["status"]["IPv4"]["lastUpdated"].as_str().unwrap().to_owned();
    lab.set_endpoints(&[1, 2]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while synced(&status(&wait_for(&lab, health, "/livez", 200).1)) <= synced(&first) {
        assert!(Instant::now() < deadline, "a sync does not show");
        std::thread::sleep(Duration::from_millis(20));
    }

    let mut leaving = penstock::demo::node(Appliance::NODE_NAME, &lab.world.plan.gateway_client_side());
    leaving["spec"] = json!({"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]});
    lab.manifests.write("node.yaml", &[leaving]).unwrap();
    let left = status(&wait_for(&lab, health, "/healthz", 503).1);
    assert_eq!((&left["nodeEligible"], &left["healthy"]), (&json!(false), &json!(true)));
    wait_for(&lab, health, "/livez", 200);

    let page = |path: &str| get(&lab.world.gateway, metrics, path).unwrap().1;
    assert_eq!(page("/proxyMode"), "penstock");
    assert_eq!(status(&page("/configz"))["nodeName"], Appliance::NODE_NAME);
    let opened = || -> u64 {
        let text = page("/metrics");
        let line = text.lines().find(|line| line.starts_with("penstock_flows_opened_total{")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = opened();
    for _ in 0..5 {
        lab.get(lab.vips(ports::HTTP)[0]).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while opened() < before + 5 {
        assert!(Instant::now() < deadline, "{} flows instead of {}", opened(), before + 5);
        std::thread::sleep(Duration::from_millis(50));
    }
    let outside = SocketAddr::new(node, METRICS);
    assert!(get(&lab.world.client, outside, "/metrics").is_err(), "metrics are for this machine");
}
