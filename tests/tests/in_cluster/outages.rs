//! The control plane goes away, forgets, or is taken back to an hour ago: traffic does not notice.

use std::time::{Duration, Instant};

use penstock_tests::{
    require_cluster,
    site::{GatewayOptions, Load, Network, Overheard, Site, objects},
};
use serde_json::Value;

use crate::{
    say,
    shared::on_site,
    steps::{self, PATIENCE},
};

/// How long the API server is away, unless `PENSTOCK_OUTAGE_SECONDS` says otherwise: longer than a Lease.
const OUTAGE: Duration = Duration::from_secs(15);

/// Requests a second meanwhile.
const RATE: u32 = 50;

#[test]
fn an_api_server_that_is_away_and_comes_back_without_its_history_is_not_noticed() {
    require_cluster!();
    let namespace = "away";
    on_site(namespace, |site| {
        let mut gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let targets = steps::serve(site, namespace, "web", 2);
        let owner = steps::owner(site, namespace, "web");
        // What was begun before, as an address that changes hands, is over.
        std::thread::sleep(Duration::from_secs(2));
        steps::wait_for_owner(site, namespace, "web", owner);
        let heard = Overheard::start(site.client(), "eth0").unwrap();
        let load = Load::start_patient(site.client(), &targets, RATE).unwrap();

        let began = Instant::now();
        site.cluster.stop_api_server();
        let length = outage();
        while began.elapsed() < length {
            // So that the client asks by ARP and ND again.
            site.client().ip("neigh flush dev eth0").unwrap();
            std::thread::sleep(Duration::from_secs(1));
        }
        site.cluster.forget_history().unwrap();
        site.cluster.start_api_server().unwrap();
        let back = Instant::now();

        // What happens now is heard of.
        let followed = scale(site, namespace, 3);
        let outcome = load.stop();
        for target in &targets {
            let sightings = heard.of(target.ip());
            let others: Vec<_> =
                sightings.iter().filter(|one| one.mac != Network::gateway_mac(owner)).collect();
            assert!(
                others.is_empty(),
                "{target} of gateway-{owner} changed hands, {:?} and {:?} after the end of the API server, which was back \
                 after {:?}: {:?}, …\n{}",
                others[0].at - began,
                others[others.len() - 1].at - began,
                back - began,
                &others[..others.len().min(3)],
                steps::logs(site)
            );
            let asked = sightings.iter().filter(|one| one.is_announcement && one.at > began && one.at < back);
            assert!(asked.count() >= 3, "{target} was not announced meanwhile");
        }
        say(&format!(
            "API server away for {:?}: {} requests, the slowest {:?}; the next change was served {followed:?} after",
            back - began,
            outcome.answered(),
            outcome.slowest,
        ));
        outcome.all_answered().unwrap_or_else(|error| panic!("{error:#}\n{}", steps::logs(site)));
        for gateway in &mut gateways {
            gateway.check().unwrap();
        }
    });
}

#[test]
fn a_store_that_is_taken_back_to_a_snapshot_is_followed() {
    require_cluster!();
    let namespace = "restored";
    on_site(namespace, |site| {
        let _gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let targets = steps::serve(site, namespace, "web", 2);
        let load = Load::start_patient(site.client(), &targets, RATE).unwrap();
        let snapshot = site.cluster.snapshot().unwrap();
        let before = site.cluster.revision().unwrap();
        let later = steps::serve(site, namespace, "later", 1);
        assert!(site.cluster.revision().unwrap() > before);

        site.cluster.restore(&snapshot).unwrap();
        let restored = Instant::now();
        let path = steps::service_path(namespace, "later");
        assert!(site.cluster.api().get(&path).is_err(), "{path} is not of the snapshot");
        // resourceVersions that the gateways have seen come again, and mean something else.
        let followed = scale(site, namespace, 3);
        while steps::ask(site, later[0]).is_ok() {
            assert!(restored.elapsed() < PATIENCE, "what is gone is still served\n{}", steps::logs(site));
            std::thread::sleep(Duration::from_millis(100));
        }
        let outcome = load.stop();
        say(&format!(
            "store restored: {} requests, the slowest {:?}; the next change was served {followed:?} after",
            outcome.answered(),
            outcome.slowest,
        ));
        outcome.all_answered().unwrap_or_else(|error| panic!("{error:#}\n{}", steps::logs(site)));
    });
}

fn outage() -> Duration {
    let seconds = std::env::var("PENSTOCK_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(OUTAGE, Duration::from_secs)
}

/// Gives the Deployment `web` so many Pods; returns how long it took from their being ready until each of them answers.
fn scale(site: &Site, namespace: &str, replicas: u8) -> Duration {
    site.cluster.apply(&[objects::deployment(namespace, "web", replicas, "1")]).unwrap();
    let slices = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb"
    );
    let ready = |list: &Value| {
        let slices = list["items"].as_array().into_iter().flatten();
        let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true).count()
    };
    site.wait_for("the Pods are ready", &slices, |list| ready(list) == 2 * usize::from(replicas)).unwrap();
    let since = Instant::now();
    let targets = steps::addresses(site, namespace, "web");
    let mut names = std::collections::BTreeSet::new();
    while names.len() < usize::from(replicas) {
        assert!(
            since.elapsed() < 2 * PATIENCE,
            "only {names:?} of {replicas} Pods answer\n{}",
            steps::logs(site)
        );
        names.extend(steps::ask(site, targets[0]));
    }
    since.elapsed()
}
