//! `externalTrafficPolicy: Local`: the address is where the Pods are, and they see who asks.

use penstock_tests::{
    require_cluster,
    site::{GatewayOptions, Load, Network, objects},
};
use serde_json::{Value, json};

use crate::{say, shared::on_site, steps};

/// Requests a second while the Pods move.
const RATE: u32 = 50;

// S-186
#[test]
fn an_address_of_the_local_policy_follows_its_pods_and_they_see_the_client() {
    require_cluster!();
    let namespace = "local";
    on_site(namespace, |site| {
        let _gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let mut service = objects::service(namespace, "web");
        service["spec"]["externalTrafficPolicy"] = "Local".into();
        site.cluster.apply(&[pods_on(namespace, 1), service]).unwrap();
        let targets = steps::addresses(site, namespace, "web");
        let client = Network::client_addresses();
        let see_the_client = || {
            for (target, address) in targets.iter().zip(&client) {
                assert_eq!(steps::curl(site, *target, "/peer"), address.to_string(), "{target}");
            }
        };
        steps::wait_for_owner(site, namespace, "web", 1);
        steps::wait_until_served(site, &targets).unwrap();
        see_the_client();

        let load = Load::start(site.client(), &targets, RATE).unwrap();
        site.cluster.apply(&[pods_on(namespace, 2)]).unwrap();
        steps::wait_for_owner(site, namespace, "web", 2);
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let is_alone = |list: &Value| list["items"].as_array().map(Vec::len) == Some(1);
        site.wait_for("the Pod on gateway-1 is gone", &pods, is_alone).unwrap();
        let outcome = load.stop();
        see_the_client();
        say(&format!(
            "Pods moved from gateway-1 to gateway-2: {} requests, the slowest {:?}, by {:?}",
            outcome.answered(),
            outcome.slowest,
            outcome.answers
        ));
        outcome.all_answered().unwrap_or_else(|error| panic!("{error:#}\n{}", steps::logs(site)));
    });
}

/// A Deployment of one Pod on gateway `number`.
fn pods_on(namespace: &str, number: u8) -> Value {
    let mut deployment = objects::deployment(namespace, "web", 1, &number.to_string());
    deployment["spec"]["template"]["spec"]["nodeSelector"] =
        json!({"kubernetes.io/hostname": Network::gateway_name(number)});
    deployment
}
