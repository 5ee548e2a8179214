//! The site itself, before any gateway: Deployments become Pods that serve, and Pods become EndpointSlices.

use std::{collections::BTreeSet, net::SocketAddr};

use penstock::demo::{HttpServer, get};
use penstock_tests::{AN_ANSWER, require_cluster, site::objects};
use serde_json::Value;

use crate::shared::on_site;

#[test]
fn a_deployment_becomes_pods_that_serve_and_slices_that_name_them() {
    require_cluster!();
    let namespace = "workloads";
    on_site(namespace, |site| {
        site.cluster
            .apply(&[objects::deployment(namespace, "web", 3, "1"), objects::service(namespace, "web")])
            .unwrap();
        let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
        let all =
            site.wait_for("three Pods are ready, in both families", &slices, |list| ready(list).len() == 6);
        let addresses = ready(&all.unwrap());
        for address in &addresses {
            let to = SocketAddr::new(address.parse().unwrap(), HttpServer::PORT);
            let gateway = &site.network.gateways[0];
            let answer = gateway.enter(|| get(to, AN_ANSWER)).unwrap().unwrap();
            assert!(site.kubelet().pods()[&answer.body].starts_with("workloads/web-"), "{answer:?}");
        }

        site.cluster.apply(&[objects::deployment(namespace, "web", 2, "2")]).unwrap();
        site.wait_for("a rollout to two Pods", &slices, |list| {
            let now = ready(list);
            now.len() == 4 && total(list) == 4
        })
        .unwrap();
        let pods = site.cluster.api().get(&format!("/api/v1/namespaces/{namespace}/pods")).unwrap();
        let versions = pods["items"].as_array().unwrap().iter();
        let versions: BTreeSet<_> =
            versions.map(|pod| pod["metadata"]["labels"]["version"].to_string()).collect();
        assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["\"2\""]);
    });
}

fn endpoints(list: &Value) -> impl Iterator<Item = &Value> {
    let slices = list["items"].as_array().into_iter().flatten();
    slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
}

fn total(list: &Value) -> usize {
    endpoints(list).count()
}

fn ready(list: &Value) -> BTreeSet<String> {
    let ready = endpoints(list).filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let addresses = ready.flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten());
    addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect()
}
