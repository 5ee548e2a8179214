//! What is read at the scrape of a gateway in a cluster: whether the API server answers, who else is alive, which addresses
//! this gateway announces, and how much of the pools is used.

use super::live::Page;
use crate::ipam::Usage;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, time::Duration};

/// The names of the two families, in the order of all pairs here.
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// Everything at one moment.
#[derive(Debug, Clone, Default)]
pub struct ClusterSample {
    /// Whether all that is to be followed is.
    pub connected: bool,
    /// When the API server answered last, in Unix time.
    pub last_answer: Option<Duration>,
    /// Gateways that are seen to be alive, this one among them; none where nothing is announced.
    pub gateways: u64,
    /// Addresses that are this gateway's to announce: IPv4, IPv6.
    pub announced: [u64; 2],
    /// The pools, by name.
    pub pools: Vec<(String, Usage)>,
}

type Source = dyn Fn() -> ClusterSample + Send + Sync;

/// Asks the source at every scrape.
pub(super) struct InCluster(Box<Source>);

impl InCluster {
    pub(super) fn new(source: impl Fn() -> ClusterSample + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }
}

impl fmt::Debug for InCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InCluster").finish_non_exhaustive()
    }
}

impl Collector for InCluster {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sample = (self.0)();
        let mut page = Page(&mut encoder);
        page.gauge(
            "api_server_connected",
            "Whether everything that is to be followed at the API server is",
            u64::from(sample.connected),
        )?;
        if let Some(time) = sample.last_answer {
            page.gauge(
                "api_server_last_answer_timestamp_seconds",
                "When the API server answered last, in Unix time",
                time.as_secs_f64(),
            )?;
        }
        page.gauge(
            "live_gateways",
            "Gateways that are seen to be alive, this one among them; none where nothing is announced",
            sample.gateways,
        )?;
        page.gauges(
            "announced_addresses",
            "Addresses that are this gateway's to announce",
            FAMILIES
                .into_iter()
                .zip(sample.announced)
                .map(|(family, count)| ([("ip_family", family)], count)),
        )?;
        let of_pools = sample.pools.iter().flat_map(|(name, usage)| of_pool(name, usage));
        page.gauges("pool_addresses", "Addresses of pools, by whether a Service has them", of_pools)
    }
}

/// The numbers of a pool, but those of a family that it has no addresses of.
fn of_pool<'a>(
    name: &'a str,
    usage: &Usage,
) -> impl Iterator<Item = ([(&'static str, &'a str); 3], i64)> + use<'a> {
    let families = FAMILIES.into_iter().zip(usage.assigned.into_iter().zip(usage.available));
    families.filter(|(_, (assigned, available))| *assigned > 0 || *available > 0).flat_map(
        move |(family, (assigned, available))| {
            let states = [("assigned", assigned), ("available", available)];
            states.map(|(state, count)| ([("pool", name), ("ip_family", family), ("state", state)], count))
        },
    )
}
