//! Dashboard and alerts against the metrics of a running appliance, as a real Prometheus has them: every expression is
//! understood, every series it names exists, a healthy gateway alerts nobody, and one that is hurt does.

use std::{collections::BTreeSet, fs, process::Command};

use penstock::netns::{find_program, run};
use penstock_tests::{Lab, LabOptions, ports, require_root};
use serde_json::Value;

use crate::{
    prometheus::Prometheus,
    shipped::{documents, object, text},
};

/// What only a gateway in a cluster has, which this is not: tests/in_cluster looks at those.
const IN_CLUSTER: [&str; 4] = [
    "penstock_api_server_",
    "penstock_live_gateways",
    "penstock_announced_addresses",
    "penstock_pool_addresses",
];

fn is_in_cluster(expression: &str) -> bool {
    IN_CLUSTER.iter().any(|series| expression.contains(series))
}

fn rules() -> Value {
    let documents = documents(&text("deploy/kustomize/monitoring/rules.yaml"));
    object(&documents, "PrometheusRule", "penstock")["spec"].clone()
}

/// Every expression of the dashboard, by its panel.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("deploy/kustomize/monitoring/dashboard.json")).unwrap();
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one number: {panel}");
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert!(!targets.is_empty() || panel["type"] == "row", "{title} shows nothing");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            // As Grafana does for all gateways.
            let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "1m");
            assert!(!expression.contains('$'), "{title}: a variable that is not known: {expression}");
            found.push((title.to_owned(), expression));
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

/// The series that an expression names, with their selectors: `name{…}`.
fn selectors(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = rest.find("penstock_") {
        rest = &rest[start..];
        let end =
            rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let end = match rest[end..].starts_with('{') {
            true => end + rest[end..].find('}').unwrap() + 1,
            false => end,
        };
        found.insert(rest[..end].to_owned());
        rest = &rest[end..];
    }
    found
}

#[test]
fn promtool_finds_no_fault_with_the_rules() {
    require_root!("promtool");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    fs::write(&file, rules().to_string()).unwrap();
    let mut command = Command::new(find_program("promtool").unwrap());
    command.args(["check", "rules", "--lint-fatal"]).arg(&file);
    run(command).unwrap();
    for rule in rules()["groups"][0]["rules"].as_array().unwrap() {
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning")), "{rule}");
        assert!(
            ["summary", "description"].iter().all(|field| rule["annotations"][field].is_string()),
            "{rule}"
        );
    }
}

#[test]
fn netns_dashboard_and_alerts_understand_the_metrics() {
    require_root!("prometheus");
    let mut lab = Lab::start(LabOptions { workers: 2, ..LabOptions::new("metrics") }).unwrap();
    let folder = tempfile::Builder::new().prefix("psk-prometheus-").tempdir().unwrap();
    let mut prometheus = Prometheus::start(&lab.world.gateway, folder.path(), &rules());
    for vip in lab.vips(ports::HTTP) {
        lab.get(vip).unwrap();
    }
    // Rates want two values of each.
    prometheus.wait_for("rate", |prometheus| {
        let forwarded = "rate(penstock_forwarded_packets_total[1m]) > 0";
        prometheus.try_query(forwarded).is_ok_and(|found| !found.is_empty())
    });

    let rules = rules();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let alerts = rules
        .iter()
        .map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule["expr"].as_str().unwrap().to_owned()));
    let alerts: Vec<(String, String)> = alerts.collect();
    for (title, expression) in panels().iter().chain(&alerts) {
        let series = prometheus.query(expression);
        for selector in selectors(expression).iter().filter(|selector| !is_in_cluster(selector)) {
            assert!(!prometheus.query(selector).is_empty(), "{title}: there is no series {selector}");
        }
        // A comparison leaves series out; that is what alerts are made of, and panels of what is rare.
        let is_filtered = expression.contains("> 0") || alerts.iter().any(|(alert, _)| alert == title);
        assert!(
            is_filtered || is_in_cluster(expression) || !series.is_empty(),
            "{title} shows nothing: {expression}"
        );
    }
    for (alert, expression) in &alerts {
        let firing = prometheus.query(expression);
        assert!(firing.is_empty(), "{alert} on a healthy gateway: {firing:?}");
    }
    prometheus.wait_for("look at all rules", |prometheus| {
        prometheus.rules().iter().all(|rule| rule["health"] == "ok")
    });

    // What is hurt is told.
    let told = |prometheus: &Prometheus<'_>, alert: &str| {
        let (_, expression) = alerts.iter().find(|(name, _)| name == alert).unwrap();
        prometheus.query(expression)
    };
    lab.world.gateway.ip("link del backend0").unwrap();
    prometheus.wait_for("alert of the interface", |prometheus| {
        told(prometheus, "PenstockInterfaceDetached")
            .iter()
            .any(|series| series["metric"]["interface"] == "backend0")
    });
    let mut broken = lab.service.service();
    broken["spec"]["ports"][0]["port"] = 70000.into();
    lab.manifests.write("broken.yaml", &[broken]).unwrap();
    prometheus
        .wait_for("alert of the object", |prometheus| !told(prometheus, "PenstockObjectsWrong").is_empty());
    lab.appliance.child().signal(nix::sys::signal::Signal::SIGKILL);
    prometheus.wait_for("alert of the gateway", |prometheus| {
        !told(prometheus, "PenstockGatewayDown").is_empty()
            && !told(prometheus, "PenstockNoGateway").is_empty()
    });
}
