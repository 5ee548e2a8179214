//! What an operator tries first: a Deployment, a LoadBalancer Service, curl; a rollout under load; what kubectl tells.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use penstock_tests::{
    require_cluster,
    site::{GatewayOptions, Load, objects},
};
use serde_json::Value;

use crate::{
    say,
    shared::on_site,
    steps::{self, ANNOUNCED_BY, condition},
};

/// Requests a second while everything is replaced.
const RATE: u32 = 200;

#[test]
fn a_deployment_is_served_at_the_addresses_that_its_service_is_given() {
    require_cluster!();
    let namespace = "serving";
    on_site(namespace, |site| {
        let gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let targets = steps::serve(site, namespace, "web", 3);
        assert!(targets[0].is_ipv4() && targets[1].is_ipv6(), "{targets:?}");
        for target in &targets {
            assert!(is_of_the_pool(target.ip()), "{target}");
            let answers: BTreeSet<String> = (0..40).map(|_| steps::curl(site, *target, "/")).collect();
            assert_eq!(answers.len(), 3, "answers at {target} are from {answers:?}");
            let pods = site.kubelet().pods();
            assert!(
                answers.iter().all(|name| pods[name].starts_with("serving/web-")),
                "{answers:?} of {pods:?}"
            );
        }

        // What the status says, and nothing else about it is ours to say.
        let owner = steps::owner(site, namespace, "web");
        let path = steps::service_path(namespace, "web");
        let is_told = |service: &Value| {
            condition(service, "penstock.dev/Announced")
                .is_some_and(|condition| condition["status"] == "True")
        };
        let service = site.wait_for("it is announced", &path, is_told).unwrap();
        let assigned = condition(&service, "penstock.dev/AddressAssigned").unwrap();
        assert_eq!(assigned["status"], "True", "{assigned}");
        assert_eq!(assigned["observedGeneration"], service["metadata"]["generation"], "{assigned}");
        assert_eq!(service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "outside");

        // What people read.
        steps::wait_for_event(site, namespace, "Service", "web", "nodeAssigned");
        let told = site.cluster.kubectl(&["describe", "service", "web", "--namespace", namespace]).unwrap();
        let name = format!("gateway-{owner}");
        let (v4, v6) = (targets[0].ip().to_string(), targets[1].ip().to_string());
        for part in [
            &v4,
            &v6,
            &format!("{ANNOUNCED_BY}: {name}"),
            "IPAllocated",
            "Assigned IP",
            "nodeAssigned",
            &format!("announcing from node \"{name}\" with protocol \"layer2\""),
        ] {
            assert!(told.contains(part), "`kubectl describe` does not tell {part}:\n{told}");
        }
        for gateway in &gateways {
            let why = gateway.ask(&["why", "serving/web"]).unwrap();
            assert!(why.contains(&name) && why.contains(&v4), "{}: {why}", gateway.name());
        }
    });
}

#[test]
fn a_rollout_of_every_pod_costs_no_request() {
    require_cluster!();
    let namespace = "rollout";
    on_site(namespace, |site| {
        let _gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let targets = steps::serve(site, namespace, "web", 3);
        let old: BTreeSet<String> = site.kubelet().pods().into_values().collect();
        let load = Load::start_patient(site.client(), &targets, RATE).unwrap();
        std::thread::sleep(Duration::from_secs(1));

        site.cluster.apply(&[objects::deployment(namespace, "web", 3, "2")]).unwrap();
        let deployment = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
        let is_done = |deployment: &Value| {
            let status = &deployment["status"];
            let all = ["replicas", "updatedReplicas", "availableReplicas"];
            status["observedGeneration"] == deployment["metadata"]["generation"]
                && all.iter().all(|name| status[name] == 3)
        };
        site.wait_for("the rollout is done", &deployment, is_done).unwrap();
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        site.wait_for("the old Pods are gone", &pods, |list| {
            list["items"].as_array().map(Vec::len) == Some(3)
        })
        .unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let outcome = load.stop();
        let new: BTreeSet<String> = site.kubelet().pods().into_values().collect();
        assert!(old.is_disjoint(&new), "{old:?}, {new:?}");
        say(&format!(
            "rollout: {} requests, the slowest {:?}, by {:?}",
            outcome.answered(),
            outcome.slowest,
            outcome.answers
        ));
        outcome.all_answered().unwrap();
        // Three replaced one after the other: the load was there all the time.
        assert!(outcome.answered() > 3 * u64::from(RATE), "{outcome:?}");
        assert!(outcome.answers.len() >= 4, "only {:?} answered", outcome.answers);
    });
}

fn is_of_the_pool(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [10, 1, 8],
        IpAddr::V6(address) => address.segments()[..7] == [0xfd00, 1, 0, 0, 0, 0, 8],
    }
}
