//! What most tests do on their way: pools, a Deployment with its Service, waiting for an address and for answers.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use penstock::demo::get;
use penstock_tests::site::{Network, Site, objects};
use serde_json::Value;

use crate::shared::GATEWAYS;

pub use penstock_tests::PATIENCE;

/// The annotation that names the gateway which announces a Service.
pub const ANNOUNCED_BY: &str = "penstock.dev/announced-by";

/// A pool and an advertisement, for everybody.
pub fn offer_addresses(site: &Site) {
    site.cluster
        .apply(&[objects::pool("outside", &objects::POOL), objects::advertisement("everywhere")])
        .unwrap();
}

/// A Deployment of `replicas` and a Service for it, applied, every Pod ready, and served. Returns where.
/// Only then is a snapshot of the store sure to have every Pod that serves: one that it lacks ends with the restore.
pub fn serve(site: &Site, namespace: &str, name: &str, replicas: u8) -> Vec<SocketAddr> {
    site.cluster
        .apply(&[objects::deployment(namespace, name, replicas, "1"), objects::service(namespace, name)])
        .unwrap();
    let deployment = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    site.wait_for("every Pod is ready", &deployment, |deployment| {
        deployment["status"]["availableReplicas"] == replicas
    })
    .unwrap();
    let targets = addresses(site, namespace, name);
    wait_until_served(site, &targets).unwrap();
    targets
}

pub fn service_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services/{name}")
}

/// The addresses a Service is given, once there is one of each family, IPv4 first, with port 80.
pub fn addresses(site: &Site, namespace: &str, name: &str) -> Vec<SocketAddr> {
    let path = service_path(namespace, name);
    let has_two = |service: &Value| ingress(service).len() == 2;
    let service = site.wait_for("an address of each family is given", &path, has_two).unwrap();
    let mut given = ingress(&service);
    given.sort();
    given.into_iter().map(|address| SocketAddr::new(address, 80)).collect()
}

/// The addresses in the status of a Service.
pub fn ingress(service: &Value) -> Vec<IpAddr> {
    let list = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|ingress| ingress["ip"].as_str()?.parse().ok()).collect()
}

/// The condition `name` of an object.
pub fn condition<'o>(object: &'o Value, name: &str) -> Option<&'o Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// One request from the client.
pub fn ask(site: &Site, target: SocketAddr) -> Result<String> {
    let answer = site.client().enter(|| get(target, Duration::from_secs(2)))?;
    Ok(answer.with_context(|| format!("GET http://{target}/"))?.body)
}

/// What curl gets from the client.
pub fn curl(site: &Site, target: SocketAddr, path: &str) -> String {
    let limit = PATIENCE.as_secs().to_string();
    let url = format!("http://{target}{path}");
    let answer =
        site.client().run(&["curl", "--silent", "--show-error", "--fail", "--max-time", &limit, &url]);
    answer.unwrap_or_else(|error| panic!("{error}\n{}", logs(site))).trim().to_owned()
}

/// Until every target answers.
pub fn wait_until_served(site: &Site, targets: &[SocketAddr]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for target in targets {
        while let Err(error) = ask(site, *target) {
            if Instant::now() > deadline {
                bail!("{target} is not served: {error:#}\n{}", logs(site));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// The number of the gateway that announces a Service, by its annotation, once it is one of ours.
pub fn owner(site: &Site, namespace: &str, name: &str) -> u8 {
    let path = service_path(namespace, name);
    let number = |service: &Value| {
        let by = service["metadata"]["annotations"][ANNOUNCED_BY].as_str()?.to_owned();
        (1..=GATEWAYS).find(|number| Network::gateway_name(*number) == by)
    };
    let service = site.wait_for("a gateway announces it", &path, |service| number(service).is_some());
    number(&service.unwrap()).unwrap()
}

/// Until the annotation names gateway `number`.
pub fn wait_for_owner(site: &Site, namespace: &str, name: &str, number: u8) {
    let by = Network::gateway_name(number);
    let is_so = |service: &Value| service["metadata"]["annotations"][ANNOUNCED_BY] == by.as_str();
    let path = service_path(namespace, name);
    site.wait_for(&format!("{by} announces it"), &path, is_so)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", logs(site)));
}

/// The reasons of the events on an object, each with its note.
pub fn events(site: &Site, namespace: &str, kind: &str, name: &str) -> Vec<(String, String)> {
    let list =
        site.cluster.api().get(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events")).unwrap();
    let about = |event: &&Value| event["regarding"]["kind"] == kind && event["regarding"]["name"] == name;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = list["items"].as_array().cloned().unwrap_or_default();
    events.iter().filter(about).map(|event| (text(&event["reason"]), text(&event["note"]))).collect()
}

/// Until an event of `reason` is on an object; returns its note.
pub fn wait_for_event(site: &Site, namespace: &str, kind: &str, name: &str, reason: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = events(site, namespace, kind, name);
        if let Some((_, note)) = all.iter().find(|(one, _)| one == reason) {
            return note.clone();
        }
        assert!(Instant::now() < deadline, "no event {reason} on {kind} {namespace}/{name}: {all:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The ends of the gateways' logs.
pub fn logs(site: &Site) -> String {
    let of = |number| {
        let file = site.network.folder.path().join(format!("{}.log", Network::gateway_name(number)));
        let log = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    };
    (1..=GATEWAYS).map(of).collect::<Vec<_>>().join("\n--\n")
}
