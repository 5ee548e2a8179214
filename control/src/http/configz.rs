//! `/configz`: the configuration in force, every default filled in, in the words of the configuration file, so that it
//! can be saved and used as one.

use crate::config::{
    Announce, Config, FastLaneMode, LogFormat, NodePortAddresses, Queues, Source, XdpMode, ZeroCopy,
};
use penstock_dataplane::path::{Echo, TcpReject};
use serde_json::{Value, json};
use std::{ops::RangeInclusive, time::Duration};

/// The configuration as JSON.
pub fn configz(config: &Config) -> Value {
    let mut value = json!({
        "nodeName": config.node_name,
        "announce": announce(&config.announce),
        "interfaces": config.interfaces.iter().map(interface).collect::<Vec<_>>(),
        "workers": {
            "count": config.workers.count,
            "idle": config.workers.idle,
        },
        "snat": {"ports": range(&config.snat.ports), "addresses": config.snat.addresses},
        "ring": {"rx": config.ring.rx, "tx": config.ring.tx},
        "umem": {
            "frames": config.umem.frames,
            "frameSize": config.umem.frame_size,
            "hugePages": config.umem.huge_pages,
        },
        "tables": {
            "ipv4Flows": config.tables.ipv4_flows,
            "ipv6Flows": config.tables.ipv6_flows,
            "affinity": config.tables.affinity,
        },
        "fastLane": {
            "mode": match config.fast_lane.mode {
                FastLaneMode::Auto => "auto",
                FastLaneMode::On => "on",
                FastLaneMode::Off => "off",
            },
            "promoteAfter": config.fast_lane.promote_after,
            "flows": config.fast_lane.flows,
        },
        "persist": config.persist,
        "pinPath": config.pin_path,
        "timeouts": timeouts(config),
        "masqueradeAll": config.masquerade_all,
        "clusterCIDR": config.cluster_cidr,
        "nodePortAddresses": match &config.node_port_addresses {
            NodePortAddresses::Primary => json!("primary"),
            NodePortAddresses::Cidrs(cidrs) => json!(cidrs),
        },
        "reject": {
            "tcp": match config.reject.tcp { TcpReject::Reset => "rst", TcpReject::Icmp => "icmp" },
            "perSecond": config.reject.per_second,
        },
        "echo": {"external": echo(config.echo.external), "clusterIP": echo(config.echo.cluster_ip)},
        "allowExternalIPs": config.allow_external_ips,
        "serviceCIDRs": config.service_cidrs,
        "minSyncPeriod": duration(config.sync.min_period),
        "syncPeriod": duration(config.sync.period),
        "metricsBindAddress": config.metrics_bind_address.map_or_else(String::new, |a| a.to_string()),
        "healthzBindAddress": config.healthz_bind_address.map_or_else(String::new, |a| a.to_string()),
        "socket": config.socket,
        "logging": {
            "format": match config.logging.format { LogFormat::Text => "text", LogFormat::Json => "json" },
            "level": config.logging.level,
        },
    });
    match &config.source {
        Source::Manifests(folder) => value["manifests"] = json!({"path": folder.path}),
        Source::Kubernetes(cluster) => {
            value["kubernetes"] = json!({
                "namespace": cluster.namespace,
                "poolNamespace": cluster.pool_namespace,
                "loadBalancerClass": cluster.ours.class,
                "classless": cluster.ours.classless,
            });
            if let Some(path) = &cluster.kubeconfig {
                value["kubernetes"]["kubeconfig"] = json!(path);
            }
        }
    }
    // An empty list of cores would be one too few.
    if !config.workers.cores.is_empty() {
        value["workers"]["cores"] = json!(config.workers.cores);
    }
    value
}

fn interface(interface: &crate::config::Interface) -> Value {
    let roles = [("client", interface.roles.client), ("backend", interface.roles.backend)];
    let roles: Vec<_> = roles.iter().filter(|(_, has)| *has).map(|(role, _)| *role).collect();
    let mut value = json!({
        "name": interface.name,
        "roles": roles,
        "queues": match interface.queues {
            Queues::All => json!("all"),
            Queues::Range { first, count } => json!({"first": first, "count": count}),
        },
        "mode": match interface.mode {
            XdpMode::Auto => "auto",
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
        },
        "zeroCopy": match interface.zero_copy {
            ZeroCopy::Auto => "auto",
            ZeroCopy::On => "on",
            ZeroCopy::Off => "off",
        },
    });
    if !interface.addresses.is_empty() {
        value["addresses"] = json!(interface.addresses);
    }
    if let Some(vlan) = interface.vlan {
        value["vlan"] = json!(vlan);
    }
    value
}

fn announce(announce: &Announce) -> Value {
    json!({
        "enabled": announce.enabled,
        "leaseDuration": duration(announce.lease_duration),
        "renewInterval": duration(announce.renew_interval),
        "gratuitousInterval": duration(announce.gratuitous_interval.unwrap_or_default()),
        "relay": duration(announce.relay),
        "drain": duration(announce.drain),
    })
}

fn timeouts(config: &Config) -> Value {
    let times = &config.timeouts;
    json!({
        "tcp": {
            "synSent": duration(times.tcp_syn_sent),
            "synSent2": duration(times.tcp_syn_sent2),
            "synRecv": duration(times.tcp_syn_recv),
            "established": duration(times.tcp_established),
            "finWait": duration(times.tcp_fin_wait),
            "closeWait": duration(times.tcp_close_wait),
            "lastAck": duration(times.tcp_last_ack),
            "timeWait": duration(times.tcp_time_wait),
            "close": duration(times.tcp_close),
        },
        "udp": {"unreplied": duration(times.udp), "stream": duration(times.udp_stream)},
        "sctp": {
            "opening": duration(times.sctp_opening),
            "established": duration(times.sctp_established),
            "shutdown": duration(times.sctp_shutdown),
            "closed": duration(times.sctp_closed),
            "heartbeat": duration(times.sctp_heartbeat),
        },
    })
}

fn echo(echo: Echo) -> &'static str {
    match echo {
        Echo::Answer => "answer",
        Echo::Drop => "drop",
        Echo::Reject => "reject",
    }
}

fn duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn range(range: &RangeInclusive<u16>) -> String {
    format!("{}-{}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = "
interfaces: [{name: eth0, queues: {first: 1, count: 2}, addresses: [192.0.2.1/24], vlan: 7}, {name: eth1, roles: [backend]}]
workers: {count: 2, cores: [0, 1], idle: busy}
timeouts: {tcp: {established: 2h4m}, udp: {unreplied: 1.5s}, sctp: {closed: 11s}}
nodePortAddresses: [192.0.2.0/24]
clusterCIDR: [10.244.0.0/16]
metricsBindAddress: ''
healthzBindAddress: '[::]:10256'
minSyncPeriod: 250ms
allowExternalIPs: false
reject: {tcp: icmp, perSecond: 7}
serviceCIDRs: [10.96.0.0/16, 'fd00:96::/112']
echo: {external: drop, clusterIP: reject}
fastLane: {mode: on, promoteAfter: 3, flows: 1000}
persist: true
pinPath: /sys/fs/bpf/other
";

    #[test]
    fn what_is_shown_is_a_configuration_that_does_the_same() {
        for text in ["interfaces: [{name: eth0}]", ODD] {
            let config = Config::from_yaml(text, "test.yaml", "node-1").unwrap();
            let shown = configz(&config).to_string();
            let again =
                Config::from_yaml(&shown, "shown", "another").unwrap_or_else(|e| panic!("{e}\n{shown}"));
            assert_eq!(again, config);
        }
    }
}
