//! What monitoring and the log tell of a cluster: who lives, what is announced, what is left of pools, and an API server
//! that goes and comes back.

use std::{collections::BTreeSet, time::Duration, time::Instant};

use penstock_tests::{
    require_cluster,
    site::{Gateway, GatewayOptions, Network, Site, objects},
};

use crate::{
    shared::on_site,
    steps::{self, PATIENCE},
};

/// The metrics that only a cluster has, as alerts and dashboard name them.
const SERIES: [&str; 5] = [
    "penstock_api_server_connected",
    "penstock_api_server_last_answer_timestamp_seconds",
    "penstock_live_gateways",
    "penstock_announced_addresses",
    "penstock_pool_addresses",
];

/// The values of every series of a gateway whose name and labels begin so.
fn values(network: &Network, gateway: &Gateway, series: &str) -> Vec<f64> {
    let line = ["curl", "--silent", "--fail", "http://127.0.0.1:10249/metrics"];
    let page = network.gateways[usize::from(gateway.number) - 1].run(&line).unwrap_or_default();
    let of = page.lines().filter(|line| line.starts_with(series));
    of.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
}

#[track_caller]
fn until(site: &Site, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so: {what}\n{}", steps::logs(site));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn metrics_and_log_tell_of_the_cluster_and_of_its_absence() {
    require_cluster!();
    let namespace = "numbers";
    on_site(namespace, |site| {
        let gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        steps::serve(site, namespace, "web", 1);
        let network = site.network.clone();
        let sum =
            |series: &str| gateways.iter().flat_map(|gateway| values(&network, gateway, series)).sum::<f64>();
        until(site, "each address is announced by one", || {
            ["IPv4", "IPv6"]
                .into_iter()
                .all(|family| sum(&format!("penstock_announced_addresses{{ip_family=\"{family}\"}}")) == 1.0)
        });
        let of_each = |series: &str, is_so: &dyn Fn(f64) -> bool| {
            gateways
                .iter()
                .all(|gateway| matches!(values(&network, gateway, series)[..], [value] if is_so(value)))
        };
        until(site, "both see both", || of_each("penstock_live_gateways", &|count| count == 2.0));
        until(site, "both are connected", || of_each(SERIES[0], &|connected| connected == 1.0));
        let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        until(site, "the API server has just answered", || of_each(SERIES[1], &|time| now() - time < 10.0));
        let pool = "penstock_pool_addresses{pool=\"outside\",ip_family=\"IPv4\",state=\"assigned\"}";
        until(site, "a Service has an address of the pool", || of_each(pool, &|count| count == 1.0));
        let shown: BTreeSet<_> =
            SERIES.into_iter().filter(|series| !values(&network, &gateways[0], series).is_empty()).collect();
        assert_eq!(shown, BTreeSet::from(SERIES));

        site.cluster.stop_api_server();
        until(site, "it is seen to be away", || of_each(SERIES[0], &|connected| connected == 0.0));
        let last = |gateway: &Gateway| values(&network, gateway, SERIES[1]);
        let before: Vec<_> = gateways.iter().map(last).collect();
        // Every kind is tried again several times.
        std::thread::sleep(Duration::from_secs(12));
        assert_eq!(gateways.iter().map(last).collect::<Vec<_>>(), before, "nobody answers");
        assert!(
            of_each("penstock_live_gateways", &|count| count == 2.0),
            "nobody is taken for dead meanwhile"
        );
        // Something to publish meanwhile, so that what is wrong is looked at.
        network.gateways[0].ip("link set lo mtu 60000").unwrap();
        site.cluster.start_api_server().unwrap();
        until(site, "both are connected again", || of_each(SERIES[0], &|connected| connected == 1.0));
        // Published once more, without the problem.
        site.cluster.apply(&[objects::service(namespace, "later")]).unwrap();
        steps::addresses(site, namespace, "later");
        for gateway in &gateways {
            let log = gateway.log();
            let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
            assert_eq!(count("cannot be reached"), 1, "{}: {log}", gateway.name());
            assert_eq!(count("is reached again"), 1, "{}: {log}", gateway.name());
            assert_eq!(count("kube") + count("failed with error"), 0, "{}: {log}", gateway.name());
            // It refuses for a while after its start, and the roles are right.
            assert_eq!(count("ClusterRole"), 0, "{}: {log}", gateway.name());
        }
    });
}
