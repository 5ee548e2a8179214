use super::*;
use crate::{
    compile::{Compiler, Environment},
    config::Config,
    http::{Moment, health::Question},
    ipam::Usage,
    lane::{Obstacle, Way},
    model::Model,
    objects::{Object, ObjectKey, Objects},
    routes::View,
    runtime::LanePort,
};
use penstock_dataplane::{
    io::{PortCounters, PortId, SocketReport},
    path::{DropReason, ReplyKind},
};
use std::time::Duration;

fn health() -> Arc<Health> {
    Arc::new(Health::new(Duration::from_secs(60), ""))
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
}

#[test]
fn workers_numbers_are_shown_as_they_are() {
    let mut worker = WorkerSample { alive: true, ..WorkerSample::default() };
    let counters = &mut worker.report.counters;
    (counters.received, counters.forwarded, counters.flows_evicted) = (22, 6, 3);
    (counters.passed, counters.relayed) = (1, 10);
    (counters.flows_v4, counters.flows_v6) = (5, 6);
    (counters.lane.packets, counters.lane.flows, counters.lane.refused_way) = (31, 32, 33);
    counters.dropped[DropReason::SourceRange as usize] = 4;
    counters.replied[ReplyKind::Reset as usize] = 1;
    worker.report.handoffs_refused = 2;
    worker.report.frames.free = 99;
    worker.report.passes_refused = 7;
    worker.interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
    worker.report.sockets = vec![SocketReport {
        port: PortId(1),
        queue: 3,
        attached: true,
        counters: PortCounters { tx_dropped: 8, rx_ring_full: 9, ..PortCounters::default() },
    }];
    let port = |name: &str, way| LanePort { interface: name.to_owned(), way, sent: 50, dropped: 51 };
    let sample = Sample {
        generation: 41,
        workers: vec![WorkerSample::default(), worker],
        affinity: (3, 1000),
        classifier: vec![("redirect_vip", 8)],
        lane: (true, vec![port("eth0", Way::Works), port("eth1", Way::Not(Obstacle::VethPeer))]),
    };
    let health = health();
    health.count(Question::Healthz, false);
    let text = Metrics::new(&health, &Syncs::default(), move || sample.clone()).text();
    has(&text, "# TYPE penstock_received_packets counter");
    for line in [
        r#"penstock_received_packets_total{worker="0"} 0"#,
        r#"penstock_received_packets_total{worker="1"} 22"#,
        r#"penstock_forwarded_packets_total{worker="1"} 6"#,
        r#"penstock_passed_packets_total{worker="1"} 1"#,
        r#"penstock_relayed_packets_total{worker="1"} 10"#,
        r#"penstock_affinity_records{state="used"} 3"#,
        r#"penstock_flows_evicted_total{worker="1"} 3"#,
        r#"penstock_handoffs_refused_packets_total{worker="1"} 2"#,
        r#"penstock_dropped_packets_total{worker="1",reason="source_range"} 4"#,
        r#"penstock_reply_packets_total{worker="1",kind="tcp_reset"} 1"#,
        r#"penstock_flows{worker="1",ip_family="IPv6"} 6"#,
        "penstock_lane_on 1",
        r#"penstock_lane_packets_total{worker="1"} 31"#,
        r#"penstock_lane_flows{worker="1"} 32"#,
        r#"penstock_lane_refusals_total{worker="1",reason="way"} 33"#,
        r#"penstock_lane_interface_usable{interface="eth0"} 1"#,
        r#"penstock_lane_interface_usable{interface="eth1"} 0"#,
        r#"penstock_lane_redirected_packets_total{interface="eth1"} 50"#,
        r#"penstock_lane_redirect_drops_total{interface="eth1"} 51"#,
        r#"penstock_frames{worker="1",state="free"} 99"#,
        r#"penstock_worker_up{worker="0"} 0"#,
        r#"penstock_worker_up{worker="1"} 1"#,
        r#"penstock_passes_refused_packets_total{worker="1"} 7"#,
        r#"penstock_port_unsent_packets_total{worker="1",interface="eth1",queue="3"} 8"#,
        r#"penstock_port_ring_full_packets_total{worker="1",interface="eth1",queue="3"} 9"#,
        r#"penstock_port_attached{worker="1",interface="eth1",queue="3"} 1"#,
        "penstock_generation 41",
        r#"penstock_classifier_packets_total{decision="redirect_vip"} 8"#,
        r#"penstock_healthz_total{code="503"} 1"#,
        r#"penstock_livez_total{code="200"} 0"#,
    ] {
        has(&text, line);
    }
    assert_eq!(text.matches("penstock_dropped_packets_total{").count(), 2 * DropReason::ALL.len());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("penstock_"), "{line}");
    }
}

#[test]
fn a_cluster_has_numbers_of_its_own() {
    let usage = Usage { assigned: [3, 0], available: [253, i64::MAX] };
    let sample = ClusterSample {
        connected: true,
        last_answer: Some(Duration::from_millis(1_700_000_000_500)),
        gateways: 2,
        announced: [4, 5],
        pools: vec![("public".to_owned(), usage)],
    };
    let metrics = || Metrics::new(&health(), &Syncs::default(), Sample::default);
    assert!(!metrics().text().contains("api_server"), "where there is no cluster there are none");
    let text = metrics().in_cluster(move || sample.clone()).text();
    for line in [
        "penstock_api_server_connected 1",
        "penstock_api_server_last_answer_timestamp_seconds 1700000000.5",
        "penstock_live_gateways 2",
        r#"penstock_announced_addresses{ip_family="IPv4"} 4"#,
        r#"penstock_announced_addresses{ip_family="IPv6"} 5"#,
        r#"penstock_pool_addresses{pool="public",ip_family="IPv4",state="assigned"} 3"#,
        r#"penstock_pool_addresses{pool="public",ip_family="IPv4",state="available"} 253"#,
        r#"penstock_pool_addresses{pool="public",ip_family="IPv6",state="available"} 9223372036854775807"#,
    ] {
        has(&text, line);
    }
}

#[test]
fn syncs_are_counted() {
    let syncs = Syncs::default();
    let now = Moment::now();
    let now = Moment { wall: "2026-11-22T12:00:00Z".parse().unwrap(), ..now };
    syncs.queued(now);
    syncs.ended(now, Duration::from_millis(2), false);
    syncs.ended(now, Duration::from_secs(2), true);
    let text = Metrics::new(&health(), &syncs, Sample::default).text();
    for line in [
        r#"penstock_sync_duration_seconds_bucket{le="0.001"} 0"#,
        r#"penstock_sync_duration_seconds_bucket{le="0.003"} 1"#,
        "penstock_sync_duration_seconds_count 2",
        "penstock_sync_failures_total 1",
        "penstock_sync_last_timestamp_seconds 1795348800.0",
        "penstock_sync_last_queued_timestamp_seconds 1795348800.0",
    ] {
        has(&text, line);
    }
}

/// Facts of Services with these specs; each has an endpoint on n1 if `local`, and one on n2 if `remote`.
fn facts(services: &[(&str, bool, bool)]) -> TableFacts {
    let mut objects = Objects::default();
    for (index, (spec, local, remote)) in services.iter().enumerate() {
        let key = ObjectKey::new("default", format!("s{index}"));
        let service = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s{index}}}, spec: {{clusterIP: 10.96.0.{}, {spec}}}}}",
            index + 1
        );
        let on = |number: usize, node| format!("{{addresses: [10.0.{index}.{number}], nodeName: {node}}}");
        let endpoints: Vec<_> = [(*local, on(1, "n1")), (*remote, on(2, "n2"))]
            .into_iter()
            .filter_map(|(present, endpoint)| present.then_some(endpoint))
            .collect();
        let slice = format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: s{index}, \
             labels: {{kubernetes.io/service-name: s{index}}}}}, endpoints: [{}], ports: [{{name: '', port: 80}}]}}",
            endpoints.join(", ")
        );
        let service = Arc::new(serde_yaml_ng::from_str(&service).unwrap());
        objects.services.insert(key.clone(), Object { origin: None, value: service });
        let slice = Arc::new(serde_yaml_ng::from_str(&slice).unwrap());
        objects.slices.insert(key, Object { origin: None, value: slice });
    }
    let mut model = Model::default();
    let problems = model.update(&objects);
    assert!(problems.is_empty(), "{problems:?}");
    let config = Config::from_yaml("interfaces: [{name: eth0}]", "test", "n1").unwrap();
    let mut compiler = Compiler::new();
    compiler.compile(&model, &Environment::of(&config, &View::default()));
    TableFacts::of(&compiler, [])
}

const INTERNAL: &str = "ports: [{port: 80}], internalTrafficPolicy: Local";
const EXTERNAL: &str = "type: NodePort, ports: [{port: 80, nodePort: 30080}], externalTrafficPolicy: Local";

// S-112
#[test]
fn service_ports_without_local_endpoints_are_counted_by_policy_and_family() {
    let external = |node_port: u16| EXTERNAL.replace("30080", &node_port.to_string());
    let (b, c) = (external(30081), external(30082));
    let facts = facts(&[
        (INTERNAL, false, true),
        (INTERNAL, true, true),
        (INTERNAL, false, false),
        (EXTERNAL, false, true),
        (&b, true, true),
        (&c, false, false),
        ("ports: [{port: 80}]", false, true),
    ]);
    assert_eq!((facts.v4.no_local_internal, facts.v4.no_local_external), (1, 1));
    assert_eq!((facts.v6.no_local_internal, facts.v6.no_local_external), (0, 0));
    assert_eq!((facts.v4.service_ports, facts.v4.backends, facts.v6.service_ports), (7, 7, 0));
    let syncs = Syncs::default();
    syncs.tables(&facts);
    let text = Metrics::new(&health(), &syncs, Sample::default).text();
    for line in [
        r#"penstock_no_local_endpoints{traffic_policy="internal",ip_family="IPv4"} 1"#,
        r#"penstock_no_local_endpoints{traffic_policy="external",ip_family="IPv4"} 1"#,
        r#"penstock_no_local_endpoints{traffic_policy="internal",ip_family="IPv6"} 0"#,
        r#"penstock_service_ports{ip_family="IPv4"} 7"#,
    ] {
        has(&text, line);
    }
}
