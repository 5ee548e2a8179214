//! What survives a restart of every gateway, and what is not touched at all.

use penstock_tests::{
    require_cluster,
    site::{GatewayOptions, Site, objects},
};
use serde_json::{Value, json};

use crate::{
    shared::on_site,
    steps::{self, ingress},
};

// S-180
#[test]
fn every_address_is_kept_when_all_gateways_are_restarted() {
    require_cluster!();
    let namespace = "kept";
    on_site(namespace, |site| {
        let mut gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        let names = ["a", "b", "c", "d"];
        for name in names {
            site.cluster.apply(&[objects::service(namespace, name)]).unwrap();
            steps::addresses(site, namespace, name);
        }
        // The lowest addresses become free: one that allocates anew would take them.
        site.cluster.api().delete(&steps::service_path(namespace, "a")).unwrap();
        let kept = &names[1..];
        let before: Vec<_> = kept.iter().map(|name| steps::addresses(site, namespace, name)).collect();
        for gateway in &mut gateways {
            gateway.ask_to_end();
        }
        for gateway in &mut gateways {
            gateway.wait_until_it_ends().unwrap();
        }
        let _gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        // What is new is given an address: they have settled.
        site.cluster.apply(&[objects::service(namespace, "e")]).unwrap();
        steps::addresses(site, namespace, "e");
        let after: Vec<_> = kept.iter().map(|name| steps::addresses(site, namespace, name)).collect();
        assert_eq!(before, after);
    });
}

// S-181
#[test]
fn services_of_others_are_not_touched() {
    require_cluster!();
    let namespace = "others";
    on_site(namespace, |site| {
        let _gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        steps::offer_addresses(site);
        // A live MetalLB's, which has no class, and somebody else's; both with an address of ours, even.
        let classless = foreign(site, namespace, "classless", None, "10.1.8.200");
        let other = foreign(site, namespace, "other", Some("example.com/balancer"), "10.1.8.201");
        let bare = objects::service(namespace, "bare");
        let bare = without_class(bare);
        site.cluster.apply(&[bare]).unwrap();
        site.cluster.apply(&[objects::service(namespace, "ours")]).unwrap();
        let ours = steps::addresses(site, namespace, "ours");
        for (name, before) in [("classless", classless), ("other", other)] {
            let now = site.cluster.api().get(&steps::service_path(namespace, name)).unwrap();
            assert_eq!(now, before, "{name} was touched");
        }
        let bare = site.cluster.api().get(&steps::service_path(namespace, "bare")).unwrap();
        assert_eq!(
            (ingress(&bare), &bare["metadata"]["annotations"]),
            (Vec::new(), &Value::Null),
            "{bare:#}"
        );
        assert_eq!(ours.len(), 2);
    });
}

// S-181
#[test]
fn services_without_a_class_are_served_by_setting() {
    require_cluster!();
    let namespace = "classless";
    on_site(namespace, |site| {
        let kubernetes = json!({"classless": true}).as_object().cloned().unwrap_or_default();
        let options = GatewayOptions { kubernetes, ..GatewayOptions::default() };
        let _gateways = site.start_gateways(&options).unwrap();
        steps::offer_addresses(site);
        site.cluster.apply(&[without_class(objects::service(namespace, "bare"))]).unwrap();
        assert_eq!(steps::addresses(site, namespace, "bare").len(), 2);
    });
}

/// A Service that somebody else has given an address.
fn foreign(site: &Site, namespace: &str, name: &str, class: Option<&str>, address: &str) -> Value {
    let mut service = objects::service(namespace, name);
    service["spec"]["loadBalancerClass"] = json!(class);
    site.cluster.apply(&[service]).unwrap();
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
    let path = steps::service_path(namespace, name);
    site.cluster.api().patch(&format!("{path}/status"), &status).unwrap()
}

fn without_class(mut service: Value) -> Value {
    service["spec"].as_object_mut().unwrap().remove("loadBalancerClass");
    service
}
