use super::*;
use penstock_dataplane::{
    path::{Echo, TcpReject},
    worker::Idle,
};
use std::time::Duration;

const MINIMAL: &str = "interfaces: [{name: eth0}]\n";

fn load(text: &str) -> Config {
    Config::from_yaml(text, "test.yaml", "node-1").unwrap_or_else(|error| panic!("{error}"))
}

/// The faults of a configuration that is fine but for the lines added.
fn faults(added: &str) -> Vec<String> {
    match Config::from_yaml(&format!("{MINIMAL}{added}"), "test.yaml", "node-1") {
        Err(ConfigError::Invalid { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{added}: {other:?}"),
    }
}

/// There is exactly one fault, and it begins like this.
#[track_caller]
fn refused(added: &str, start: &str) {
    let faults = faults(added);
    assert!(faults.len() == 1 && faults[0].starts_with(start), "{added}\n  gave {faults:#?}\n  not {start}");
}

#[test]
fn interfaces_are_all_that_is_needed() {
    let config = load(MINIMAL);
    assert_eq!(config.node_name, "node-1");
    let Source::Manifests(manifests) = &config.source else { panic!() };
    assert_eq!(manifests.path, Path::new("/etc/penstock/manifests"));
    assert_eq!(config.interfaces[0].roles, Roles { client: true, backend: true });
    assert_eq!(config.interfaces[0].queues, Queues::All);
    assert_eq!(config.workers, Workers { count: 1, cores: Vec::new(), idle: None });
    assert_eq!(config.snat.ports, 61000..=65535);
    assert_eq!(config.timeouts.tcp_established, Duration::from_secs(86400));
    assert_eq!(config.timeouts.tcp_close_wait, Duration::from_secs(3600));
    assert_eq!(config.node_port_addresses, NodePortAddresses::Cidrs(Vec::new()));
    assert_eq!(config.reject, Reject { tcp: TcpReject::Reset, per_second: 1000 });
    assert_eq!((config.echo.external, config.echo.cluster_ip), (Echo::Answer, Echo::Drop));
    assert_eq!(config.socket, Path::new("/run/penstock.sock"));
    let eight = 8.try_into().unwrap();
    let lane = FastLane { mode: FastLaneMode::Auto, promote_after: eight, flows: 131_072 };
    assert_eq!((config.fast_lane, config.persist), (lane, false));
}

#[test]
fn cluster_ips_are_masqueraded_unless_there_is_a_detector() {
    assert!(load(MINIMAL).masquerade_all);
    assert!(!load(&format!("{MINIMAL}clusterCIDR: [10.244.0.0/16]\n")).masquerade_all);
    assert!(!load(&format!("{MINIMAL}masqueradeAll: false\n")).masquerade_all);
}

#[test]
fn empty_sections_are_defaults() {
    let sections = "workers:\nsnat:\ntimeouts:\n  tcp:\nlogging:\nreplay:\nclusterCIDR:\n";
    assert_eq!(load(&format!("{MINIMAL}{sections}")), load(MINIMAL));
}

#[test]
fn everything_can_be_said() {
    let config = load(
        r#"
nodeName: gateway
manifests: {path: /srv/manifests}
interfaces:
- {name: client0, roles: [client], queues: {first: 2, count: 4}, mode: native, zeroCopy: on}
- {name: backend0, roles: [backend], queues: all, mode: generic, addresses: [10.1.0.1/24], vlan: 7}
workers: {count: 2, cores: [2, 3], idle: busy}
snat: {addresses: [10.1.0.9, "fd00::9"]}
ring: {rx: 1024, tx: 512}
umem: {frames: 8192, frameSize: 2048, hugePages: true}
tables: {ipv4Flows: 4000000, ipv6Flows: 2000, affinity: 5000}
timeouts: {tcp: {established: 2h4m, synSent: 10s}, udp: {unreplied: 10s, stream: 1m}, sctp: {established: 5m}}
masqueradeAll: true
clusterCIDR: [10.244.0.0/16, "fd00:10::/56"]
nodePortAddresses: primary
reject: {tcp: icmp, perSecond: 50}
socket: /run/other.sock
replay: {nextHops: [{destination: 10.244.1.0/24, interface: backend0, mac: "02:00:00:00:00:01", source: 10.1.0.1}]}
logging: {format: json, level: "info,penstock::routes=debug"}
"#,
    );
    assert_eq!(config.interfaces[0].queues, Queues::Range { first: 2, count: 4 });
    assert_eq!(config.interfaces[0].roles, Roles { client: true, backend: false });
    assert_eq!(config.interfaces[1].vlan, Some(7));
    assert_eq!(config.snat.ports, 1024..=65535, "an address pool has all its ports to give");
    assert_eq!(config.timeouts.tcp_established, Duration::from_secs(7440));
    assert_eq!(config.timeouts.sctp_established, Duration::from_secs(300));
    assert_eq!(config.timeouts.tcp_fin_wait, Duration::from_secs(120), "the others keep their defaults");
    assert_eq!(config.replay.next_hops[0].interface, 1);
    assert_eq!(config.node_port_addresses, NodePortAddresses::Primary);
    assert_eq!(config.reject, Reject { tcp: TcpReject::Icmp, per_second: 50 });
}

#[test]
fn interfaces_are_required() {
    for text in ["", "{}", "workers: {count: 2}", "interfaces: []", "interfaces:"] {
        let error = Config::from_yaml(text, "test.yaml", "n").unwrap_err().to_string();
        assert!(error.starts_with("test.yaml: interfaces: "), "{text}: {error}");
        assert!(error.contains("at least one interface is needed"), "{text}: {error}");
    }
}

#[test]
fn unknown_fields_are_refused_with_a_guess() {
    refused("nodname: x", "nodname: unknown field; did you mean nodeName?");
    refused(
        "workers: {cuont: 2}",
        "workers.cuont: unknown field; did you mean count? Known here: count, cores, idle",
    );
    refused("colour: blue", "colour: unknown field; Known here: nodeName,");
}

#[test]
fn wrong_types_are_refused_where_they_are() {
    refused("workers: {count: two}", "workers.count: \"two\": must be a whole number of 0 or more");
    refused("workers: {count: -1}", "workers.count: -1: must be a whole number");
    refused("workers: 4", "workers: 4: must be a map of fields");
    refused("masqueradeAll: 7", "masqueradeAll: 7: must be true or false");
    refused("clusterCIDR: 10.0.0.0/8", "clusterCIDR: \"10.0.0.0/8\": must be a list");
    refused("snat: {addresses: [10.0.0.1, [], 10.0.0.2]}", "snat.addresses[1]: []: must be a string");
    refused(
        "nodePortAddresses: {a: b}",
        "nodePortAddresses: {\"a\":\"b\"}: must be \"primary\" or a list of CIDRs",
    );
}

#[test]
fn each_rule_names_path_value_and_remedy() {
    refused("nodeName: Gate_Way", "nodeName: \"Gate_Way\": must be the name of a Kubernetes Node");
    refused("manifests: {path: here}", "manifests.path: \"here\": must be an absolute path");
    refused("socket: here", "socket: \"here\": must be an absolute path");
    refused("workers: {count: 0}", "workers.count: 0: must be at least 1");
    refused(
        "workers: {count: 3, cores: [1, 2]}",
        "workers.cores: [1, 2]: must name one core for each of 3 workers",
    );
    refused("workers: {cores: [1, 1]}", "workers.cores[1]: 1: is another worker's core already");
    let isolated = [2, 3, 4].into();
    let idle = |text: &str| load(&format!("{MINIMAL}{text}")).workers.idle(&isolated);
    assert_eq!(idle("workers: {cores: [2, 3]}"), Idle::Busy, "nobody else is there");
    assert_eq!(idle("workers: {cores: [1, 2]}"), Idle::Adaptive);
    assert_eq!(idle("workers: {count: 2}"), Idle::Adaptive);
    assert_eq!(idle("workers: {cores: [2, 3], idle: adaptive}"), Idle::Adaptive);
    assert_eq!(idle("workers: {idle: busyPoll}"), Idle::BusyPoll);
    refused("workers: {idle: lazy}", "workers.idle: \"lazy\": must be one of busy, adaptive, busyPoll");
    refused("snat: {ports: \"80-90\"}", "snat.ports: \"80-90\": must not go below 1024");
    refused("snat: {ports: 61000}", "snat.ports: 61000: must be a string");
    refused("snat: {addresses: [nine]}", "snat.addresses[0]: \"nine\": must be an IP address");
    refused("snat: {addresses: [224.0.0.1]}", "snat.addresses[0]: 224.0.0.1: must be a unicast address");
    refused("snat: {addresses: [9.9.9.9, 9.9.9.9]}", "snat.addresses[1]: 9.9.9.9: is in the list already");
    refused("ring: {rx: 1000}", "ring.rx: 1000: must be a power of two, as 512 or 1024");
    refused("ring: {tx: 7}", "ring.tx: 7: must be at least 64");
    refused("umem: {frameSize: 3000}", "umem.frameSize: 3000: must be 2048 or 4096");
    refused("umem: {frames: 2048}", "umem.frames: 2048: must be at least 4096 to fill the rings");
    refused("tables: {ipv4Flows: 10}", "tables.ipv4Flows: 10: must be at least 1024");
    refused("timeouts: {tcp: {close: 10}}", "timeouts.tcp.close: 10: must be a string");
    refused(
        "timeouts: {tcp: {close: 3 days}}",
        "timeouts.tcp.close: \"3 days\": must be a duration with units",
    );
    refused(
        "timeouts: {tcp: {established: 200h}}",
        "timeouts.tcp.established: \"200h\": must be at most 120h",
    );
    refused("timeouts: {udp: {unreplied: 10ms}}", "timeouts.udp.unreplied: \"10ms\": must be at least 1s");
    refused(
        "timeouts: {udp: {stream: 5s}}",
        "timeouts.udp.stream: 5s: must not be below timeouts.udp.unreplied (30s)",
    );
    refused(
        "clusterCIDR: [10.0.0.1/8]",
        "clusterCIDR[0]: \"10.0.0.1/8\": has bits set beyond the prefix length; write 10.0.0.0/8",
    );
    refused(
        "clusterCIDR: [10.0.0.0/8, 11.0.0.0/8]",
        "clusterCIDR[1]: 11.0.0.0/8: is the second of its family",
    );
    refused("nodePortAddresses: all", "nodePortAddresses: \"all\": must be primary, or a list of CIDRs");
    refused("nodePortAddresses: [x]", "nodePortAddresses[0]: \"x\": must be a CIDR");
    refused("reject: {tcp: drop}", "reject.tcp: \"drop\": must be one of rst, icmp");
    refused("reject: {perSecond: 1000001}", "reject.perSecond: 1000001: must be at most 1000000");
    refused("logging: {format: xml}", "logging.format: \"xml\": must be one of text, json");
    refused("logging: {level: \"loud=very\"}", "logging.level: \"loud=very\": must be error, warn, info");
    refused(
        "replay: {nextHops: [{destination: 10.0.0.0/8, interface: eth9}]}",
        "replay.nextHops[0].interface: \"eth9\": must be one of interfaces: eth0",
    );
    refused("replay: {nextHops: [{interface: eth0}]}", "replay.nextHops[0].destination: is needed");
}

#[test]
fn each_interface_rule_names_path_value_and_remedy() {
    let refused = |interfaces: &str, start: &str| {
        let error =
            Config::from_yaml(&format!("interfaces: {interfaces}"), "f", "n").unwrap_err().to_string();
        assert!(error.starts_with(&format!("f: {start}")), "{interfaces}\n  gave {error}\n  not {start}");
    };
    refused("[{}]", "interfaces[0].name: is needed");
    refused("[{name: a/b}]", "interfaces[0].name: \"a/b\": must be an interface's name");
    refused("[{name: a}, {name: a}]", "interfaces[1].name: \"a\": is interfaces[0] already");
    refused("[{name: a, roles: []}]", "interfaces[0].roles: []: must name a role");
    refused("[{name: a, roles: [server]}]", "interfaces[0].roles[0]: \"server\": must be client or backend");
    refused("[{name: a, roles: [client]}]", "interfaces: no interface has the role backend");
    refused(
        "[{name: a}, {name: b, queues: {count: 0}}]",
        "interfaces[1].queues.count: 0: must be at least 1; leave it out to use all queues",
    );
    refused("[{name: a, queues: {first: 2}}]", "interfaces[0].queues.count: is needed where first is given");
    refused("[{name: a, queues: some}]", "interfaces[0].queues: \"some\": must be all, or a range");
    refused("[{name: a, queues: {last: 2}}]", "interfaces[0].queues.last: unknown field");
    refused("[{name: a, mode: fast}]", "interfaces[0].mode: \"fast\": must be one of auto, native, generic");
    refused("[{name: a, mode: generic, zeroCopy: on}]", "interfaces[0].zeroCopy: \"on\": is not possible");
    refused(
        "[{name: a}, {name: b, zeroCopy: off}, {name: c, zeroCopy: on}]",
        "interfaces[1].zeroCopy: \"off\": is not possible beside interfaces[2].zeroCopy: on",
    );
    refused("[{name: a, vlan: 4095}]", "interfaces[0].vlan: 4095: must be at most 4094");
    refused(
        "[{name: a, addresses: [10.0.0.1]}]",
        "interfaces[0].addresses[0]: \"10.0.0.1\": must be an address with",
    );
    refused("[eth0]", "interfaces[0]: \"eth0\": must be a map of fields");
    refused("[null]", "interfaces[0]: null: must be a map with at least a name");
}

#[test]
fn all_faults_are_told_at_once() {
    let error = Config::from_yaml(
        "nodeNme: x\ninterfaces: [{name: a, queues: {count: 0}}, 7, {name: b, vlan: 0}]\nworkers: {count: many}\nsocket: s\n",
        "f",
        "n",
    )
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("f: 6 fields are wrong:\n"), "{error}");
    for path in [
        "nodeNme",
        "interfaces[0].queues.count",
        "interfaces[1]",
        "interfaces[2].vlan",
        "workers.count",
        "socket",
    ] {
        assert!(error.contains(&format!("\n  {path}: ")), "{path} is missing in {error}");
    }
}

#[test]
fn broken_yaml_is_placed() {
    let error = Config::from_yaml("interfaces: [", "f", "n").unwrap_err().to_string();
    assert!(error.starts_with("f: not valid YAML: ") && error.contains("line"), "{error}");
}

#[test]
fn operators_addresses_are_kube_proxys_unless_said_otherwise() {
    let config = load(MINIMAL);
    assert_eq!(config.metrics_bind_address, Some("127.0.0.1:10249".parse().unwrap()));
    assert_eq!(config.healthz_bind_address, Some("0.0.0.0:10256".parse().unwrap()));
    assert_eq!(
        (config.sync.min_period, config.sync.period),
        (Duration::from_millis(2), Duration::from_secs(30))
    );
    assert!(config.allow_external_ips);
    let config = load(&format!(
        "{MINIMAL}metricsBindAddress: ''\nhealthzBindAddress: '::'\nminSyncPeriod: 0s\nallowExternalIPs: false\n"
    ));
    assert_eq!(config.metrics_bind_address, None);
    assert_eq!(config.healthz_bind_address, Some("[::]:10256".parse().unwrap()));
    assert_eq!(config.sync.min_period, Duration::ZERO);
    assert!(!config.allow_external_ips);
    let config = load(&format!("{MINIMAL}serviceCIDRs: [10.96.0.0/12, 'fd00:96::/112']\n"));
    assert_eq!(config.service_cidrs.len(), 2);
    refused("serviceCIDRs: [10.96.0.0/12, '::/0']", "serviceCIDRs[1]: ::/0: would drop everything");
    refused(
        "metricsBindAddress: localhost:1",
        "metricsBindAddress: \"localhost:1\": must be an address and a port",
    );
    refused(
        "healthzBindAddress: 1.2.3.4:0",
        "healthzBindAddress: \"1.2.3.4:0\": must be an address and a port",
    );
    refused("minSyncPeriod: 2m", "minSyncPeriod: \"2m\": must be at most 60s");
    refused("syncPeriod: 0s", "syncPeriod: \"0s\": must be from 1s to 1h");
}

#[test]
fn objects_come_from_a_cluster_or_from_a_folder() {
    let config = load(
        "interfaces: [{name: eth0}]\nkubernetes: {kubeconfig: /etc/penstock/kubeconfig, poolNamespace: metallb-system, classless: true}\nannounce: {leaseDuration: 1s, renewInterval: 300ms, gratuitousInterval: 1m}",
    );
    let Source::Kubernetes(cluster) = config.source else { panic!() };
    assert_eq!(cluster.kubeconfig.as_deref(), Some(Path::new("/etc/penstock/kubeconfig")));
    assert_eq!(
        (cluster.namespace.as_str(), cluster.pool_namespace.as_str()),
        ("penstock-system", "metallb-system")
    );
    assert_eq!((cluster.ours.class.as_str(), cluster.ours.classless), ("penstock.dev/gateway", true));
    let takes = [Some("penstock.dev/gateway"), Some("example.com/other"), None]
        .map(|class| cluster.ours.takes(class));
    assert_eq!(takes, [true, false, true]);
    assert!(config.announce.enabled, "in a cluster, unless it is said otherwise");
    assert_eq!(config.announce.gratuitous_interval, Some(Duration::from_secs(60)));
    refused(
        "kubernetes: {}\nmanifests: {path: /srv}",
        "kubernetes: objects come from `manifests` or from `kubernetes`; leave one out",
    );
    refused("announce: {enabled: true}", "announce.enabled: true: gateways elect by Leases");
    refused("kubernetes: {namespace: ''}", "kubernetes.namespace: \"\": must not be empty");
    refused("announce: {leaseDuration: 500ms}", "announce.leaseDuration: 500ms: must be at least 1s");
    refused(
        "announce: {renewInterval: 3s}",
        "announce.renewInterval: 3s: must be more than 0 and at most half",
    );
}

#[test]
fn the_fast_lane_is_a_word_or_a_map() {
    let lane = |text: &str| load(&format!("{MINIMAL}{text}")).fast_lane;
    assert_eq!(lane("fastLane: off").mode, FastLaneMode::Off);
    assert_eq!(lane("fastLane: on").mode, FastLaneMode::On);
    let map = lane("fastLane: {mode: on, promoteAfter: 100, flows: 5000}");
    assert_eq!(map, FastLane { mode: FastLaneMode::On, promote_after: 100.try_into().unwrap(), flows: 5000 });
    assert_eq!(lane("fastLane: {flows: 5000}").mode, FastLaneMode::Auto);
    assert_eq!(lane("tables: {ipv4Flows: 2000}").flows, 2000, "no more than there can be");
    refused("fastLane: fast", "fastLane: \"fast\": must be one of auto, on, off");
    refused("fastLane: {mode: fast}", "fastLane.mode: \"fast\": must be one of auto, on, off");
    refused("fastLane: 7", "fastLane: 7: must be \"auto\", \"on\", \"off\" or {mode: auto,");
    refused("fastLane: {flow: 7}", "fastLane.flow: unknown field; did you mean flows?");
    refused("fastLane: {promoteAfter: 0}", "fastLane.promoteAfter: 0: must be at least 1");
    refused("fastLane: {promoteAfter: 256}", "fastLane.promoteAfter: 256: must be at most 255");
    refused("fastLane: {flows: 7}", "fastLane.flows: 7: must be at least 64");
    refused(
        "fastLane: {flows: 3000}\ntables: {ipv4Flows: 2000}",
        "fastLane.flows: 3000: must be at most 2000; a promoted flow is one of the worker's tables.ipv4Flows",
    );
    refused(
        "fastLane: {flows: 4000000}\ntables: {ipv4Flows: 4000000}\nworkers: {count: 8}",
        "fastLane.flows: 4000000: must be at most 1048575 with 8 workers; the lane has room for 8388607",
    );
}

#[test]
fn what_persists_has_a_place() {
    assert_eq!(load(MINIMAL).pin_path, Path::new("/sys/fs/bpf/penstock"));
    let config = load(&format!("{MINIMAL}persist: true\npinPath: /sys/fs/bpf/x"));
    assert!(config.persist && config.pin_path == Path::new("/sys/fs/bpf/x"));
    refused("pinPath: here", "pinPath: \"here\": must be an absolute path");
    refused("persist: true\nfastLane: off", "persist: true: only flows of the fast lane outlive the process");
}
