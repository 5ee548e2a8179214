//! `make cluster-scale`: ten thousand Services with a hundred thousand endpoints, through the real API server.
//!
//! * Measured: how long a gateway takes from its start until all of it is published, its memory beside that of a gateway
//!   without objects, and how long one changed slice takes from the API server's answer until the next batch of packets is by it.
//! * A tenth of the Services are LoadBalancers with addresses out of a pool: how long until all have one is told, too.
//! * Limits: a gateway on the machine that the API server and etcd run on; `PENSTOCK_SCALE=SERVICES` for less.

use std::time::{Duration, Instant};

use penstock::api::{Request, Show, ask};
use penstock_tests::{
    cluster::Api,
    require_cluster,
    site::{Gateway, GatewayOptions, Site, objects},
};
use serde_json::{Value, json};

use crate::{
    say,
    shared::on_site,
    steps::{self, ingress},
};

const NAMESPACE: &str = "scale";
const ENDPOINTS: usize = 10;
/// One Service in so many is a LoadBalancer.
const BALANCER_EVERY: usize = 10;
const WRITERS: usize = 4;
const CHANGES: usize = 100;
/// All of it may take so long.
const LIMIT: Duration = Duration::from_secs(300);
/// So much may the control plane have for ten thousand Services.
const MEMORY: u64 = 256 << 20;
/// So long may a change take, as it does at the median: the machine has others to serve.
const LATENCY: Duration = Duration::from_millis(10);

#[test]
#[ignore = "minutes: `make cluster-scale`"]
fn ten_thousand_services_with_a_hundred_thousand_endpoints() {
    require_cluster!();
    let services =
        std::env::var("PENSTOCK_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_usize);
    on_site(NAMESPACE, |site| {
        // The way to all endpoints is one neighbour.
        site.network.gateways[0].ip("route add 10.32.0.0/11 via 10.2.0.11").unwrap();
        site.cluster
            .apply(&[objects::pool("large", &["10.16.0.0/16"]), objects::advertisement("large")])
            .unwrap();
        let mut alone = site.start_gateway(1, &GatewayOptions::default()).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let empty = alone.resident_bytes().unwrap();
        alone.ask_to_end();
        alone.wait_until_it_ends().unwrap();

        let began = Instant::now();
        create(site, services);
        let created = began.elapsed();

        let began = Instant::now();
        let gateway = site.start_gateway(1, &GatewayOptions::default()).unwrap();
        while published(site) < services {
            assert!(began.elapsed() < LIMIT, "not published\n{}", gateway.last_lines());
            std::thread::sleep(Duration::from_millis(100));
        }
        let first = began.elapsed();
        let balancers = services.div_ceil(BALANCER_EVERY);
        while with_address(site.cluster.api()) < balancers {
            assert!(began.elapsed() < LIMIT, "not all have an address\n{}", gateway.last_lines());
            std::thread::sleep(Duration::from_millis(500));
        }
        let assigned = began.elapsed();
        std::thread::sleep(Duration::from_secs(3));
        let full = gateway.resident_bytes().unwrap();
        let peak = gateway.peak_bytes().unwrap();

        let mut changes: Vec<Duration> =
            (0..CHANGES).map(|turn| change(site, &gateway, turn * 7 % services)).collect();
        changes.sort();
        let quantile = |percent: usize| changes[(changes.len() - 1) * percent / 100];
        say(&table(&[
            ("Services, endpoints", format!("{services}, {}", services * ENDPOINTS)),
            ("objects created", seconds(created)),
            ("from start to the first publish of all", seconds(first)),
            (&format!("until {balancers} LoadBalancers have addresses"), seconds(assigned)),
            ("memory without objects", megabytes(empty)),
            ("memory with them", megabytes(full)),
            ("  of which for them", megabytes(full.saturating_sub(empty))),
            ("  at the most", megabytes(peak)),
            ("a changed slice until it is live, median", millis(quantile(50))),
            ("  shortest", millis(quantile(0))),
            ("  90th percentile", millis(quantile(90))),
            ("  longest", millis(quantile(100))),
        ]));
        assert!(
            services > 10_000 || full.saturating_sub(empty) <= MEMORY,
            "{} for {services} Services",
            megabytes(full.saturating_sub(empty))
        );
        assert!(
            services > 10_000 || quantile(50) <= LATENCY,
            "{} until a changed slice is live",
            millis(quantile(50))
        );
        let _ = site.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    });
}

fn create(site: &Site, services: usize) {
    let api = site.cluster.api();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for number in (writer..services).step_by(WRITERS) {
                    api.create(&format!("/api/v1/namespaces/{NAMESPACE}/services"), &service(number))
                        .unwrap();
                    api.create(&slices(), &slice(number, true)).unwrap();
                }
            });
        }
    });
}

fn name(number: usize) -> String {
    format!("service-{number}")
}

fn slices() -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices")
}

fn service(number: usize) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name(number)},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    if number.is_multiple_of(BALANCER_EVERY) {
        service["spec"]["type"] = "LoadBalancer".into();
        service["spec"]["loadBalancerClass"] = objects::CLASS.into();
        service["spec"]["allocateLoadBalancerNodePorts"] = false.into();
    }
    service
}

/// Its endpoints; of the first one is said whether it is ready.
fn slice(number: usize, ready: bool) -> Value {
    let endpoint = |index: usize| {
        let address = std::net::Ipv4Addr::from_bits(0x0a20_0000 + (number * ENDPOINTS + index) as u32);
        json!({"addresses": [address], "conditions": {"ready": ready || index > 0}, "nodeName": "node-1",
            "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": format!("{}-{index}", name(number)),
                "uid": "00000000-0000-0000-0000-000000000000"}})
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name(number), "labels": {"kubernetes.io/service-name": name(number)}},
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

/// How many Service ports are published, of which each Service here has one. The metrics say it; a listing of all would
/// itself take memory.
fn published(site: &Site) -> usize {
    let line = ["curl", "--silent", "--fail", "http://127.0.0.1:10249/metrics"];
    let metrics = site.network.gateways[0].run(&line).unwrap_or_default();
    let count =
        metrics.lines().find_map(|line| line.strip_prefix("penstock_service_ports{ip_family=\"IPv4\"} "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn with_address(api: &Api) -> usize {
    let list = api.get(&format!("/api/v1/namespaces/{NAMESPACE}/services")).unwrap();
    list["items"].as_array().into_iter().flatten().filter(|service| !ingress(service).is_empty()).count()
}

/// The tables that are published: a worker takes them in before its next batch. What it reports of itself may be 50 ms old.
fn generation(gateway: &Gateway) -> u64 {
    ask(gateway.socket(), &Request::Show(Show::Workers)).unwrap()["generation"].as_u64().unwrap()
}

/// Makes an endpoint unready; from the API server's answer until it is live.
fn change(site: &Site, gateway: &Gateway, number: usize) -> Duration {
    let before = generation(gateway);
    let path = format!("{}/{}", slices(), name(number));
    site.cluster.api().patch(&path, &json!({"endpoints": slice(number, false)["endpoints"]})).unwrap();
    let since = Instant::now();
    while generation(gateway) == before {
        assert!(since.elapsed() < steps::PATIENCE, "no new tables\n{}", gateway.last_lines());
        std::thread::sleep(Duration::from_micros(500));
    }
    since.elapsed()
}

fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:width$}  {value:>12}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / f64::from(1 << 20))
}
