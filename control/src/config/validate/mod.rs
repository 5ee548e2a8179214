//! [`Raw`] to [`Config`]: every field checked, every default filled in.
//!
//! Pure. A fault never stops the checking: a field at fault takes its default and the rest is looked at, so all
//! faults come out together; the caller throws the result away if there is any.

mod check;
mod health;
mod interfaces;
mod lane;
mod memory;
mod source;
mod traffic;

use super::{
    raw::{self, Raw},
    settings::{Config, LogFormat, Logging},
};
use crate::fault::Faults;
use check::{absolute_path, word};

pub(super) fn validate(raw: Raw, hostname: &str, faults: &mut Faults) -> Config {
    let interfaces = interfaces::interfaces(raw.interfaces, faults);
    let workers = memory::workers(raw.workers.unwrap_or_default(), faults);
    let ring = memory::ring(raw.ring.unwrap_or_default(), faults);
    let umem = memory::umem(raw.umem.unwrap_or_default(), ring, &interfaces, &workers, faults);
    let tables = memory::tables(raw.tables.unwrap_or_default(), faults);
    let fast_lane = lane::fast_lane(raw.fast_lane, &tables, &workers, faults);
    let replay = interfaces::replay(raw.replay.unwrap_or_default(), &interfaces, faults);
    let cluster_cidr = traffic::cluster_cidr(raw.cluster_cidr, faults);
    let source = source::source(raw.manifests, raw.kubernetes, faults);
    Config {
        node_name: node_name(raw.node_name, hostname, faults),
        announce: source::announce(raw.announce.unwrap_or_default(), &source, faults),
        source,
        workers,
        snat: traffic::snat(raw.snat.unwrap_or_default(), faults),
        ring,
        umem,
        tables,
        persist: lane::persist(raw.persist, fast_lane.mode, faults),
        pin_path: absolute_path("pinPath", raw.pin_path, lane::PIN_PATH, faults),
        fast_lane,
        timeouts: traffic::timeouts(raw.timeouts.unwrap_or_default(), faults),
        // Without a local detector kube-proxy would keep every client's address on the way to a cluster IP. On a
        // gateway the answers would then pass by it, so that has to be asked for.
        masquerade_all: raw.masquerade_all.unwrap_or(cluster_cidr.is_empty()),
        cluster_cidr,
        node_port_addresses: traffic::node_port_addresses(raw.node_port_addresses, faults),
        reject: traffic::reject(raw.reject.unwrap_or_default(), faults),
        echo: traffic::echo(raw.echo.unwrap_or_default(), faults),
        allow_external_ips: raw.allow_external_ips.unwrap_or(true),
        service_cidrs: traffic::service_cidrs(raw.service_cidrs, faults),
        sync: health::sync(raw.min_sync_period, raw.sync_period, faults),
        metrics_bind_address: health::bind_address(
            "metricsBindAddress",
            raw.metrics_bind_address,
            health::METRICS,
            faults,
        ),
        healthz_bind_address: health::bind_address(
            "healthzBindAddress",
            raw.healthz_bind_address,
            health::HEALTHZ,
            faults,
        ),
        socket: absolute_path("socket", raw.socket, "/run/penstock.sock", faults),
        replay,
        logging: logging(raw.logging.unwrap_or_default(), faults),
        interfaces,
    }
}

fn node_name(name: Option<String>, hostname: &str, faults: &mut Faults) -> String {
    let name = name.unwrap_or_else(|| hostname.to_owned());
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !name.chars().all(legal)
        || name.len() > 253
        || name.starts_with(['-', '.'])
        || name.ends_with(['-', '.'])
    {
        faults.value(
            "nodeName",
            format!("{name:?}"),
            "must be the name of a Kubernetes Node: lower-case letters, digits, '-' and '.'; write \"\" for none",
        );
    }
    name
}

fn logging(raw: raw::Logging, faults: &mut Faults) -> Logging {
    const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = word("logging.format", raw.format, &FORMATS, LogFormat::Text, faults);
    let level = raw.level.unwrap_or_else(|| "info".into());
    if let Err(error) = level.parse::<tracing_subscriber::EnvFilter>() {
        faults.value(
            "logging.level",
            format!("{level:?}"),
            format!(
                "must be error, warn, info, debug or trace, or a filter as \"info,penstock::routes=debug\" ({error})"
            ),
        );
    }
    Logging { format, level }
}
