use super::{
    super::testing::{ask, free_port, get},
    *,
};
use crate::{
    http::{Listening, Sample, Syncs},
    model::Node,
    objects::ObjectKey,
};
use axum::http::Method;
use serde_json::json;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

fn at() -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), free_port())
}

fn pages(node_name: &str) -> Pages {
    let health = Arc::new(Health::new(Duration::from_secs(60), node_name));
    let metrics = Arc::new(Metrics::new(&health, &Syncs::default(), Sample::default));
    Pages { health, metrics, config: Arc::new(json!({"nodeName": node_name})) }
}

fn node(text: &str) -> Node {
    let object = serde_yaml_ng::from_str(text).unwrap();
    Node::read(&ObjectKey::new("", "n1"), &object).value.unwrap().unwrap()
}

// S-165
#[tokio::test]
async fn the_metrics_port_has_kube_proxys_pages() {
    let at = at();
    let listening = Listening::start(at, metrics_pages(&pages("n1"))).unwrap();
    let mode = get(at, "/proxyMode").await;
    assert_eq!((mode.code, mode.body.as_str()), (200, "penstock"));
    assert!(mode.header("content-type").starts_with("text/plain"), "{:?}", mode.headers);
    let health = get(at, "/healthz").await;
    assert_eq!((health.code, health.body.as_str()), (200, "ok"));
    let config = get(at, "/configz").await;
    assert_eq!((config.code, config.body.as_str()), (200, r#"{"nodeName":"n1"}"#));
    let metrics = get(at, "/metrics").await;
    assert_eq!(metrics.code, 200);
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
    assert_eq!(get(at, "/nothing").await.code, 404);
    listening.close().await;
    assert!(ask(Method::GET, at, "/proxyMode").await.is_err(), "closed");
}

// S-163, S-164, S-166
#[tokio::test]
async fn the_health_port_has_kube_proxys_codes_headers_and_json() {
    let health = Arc::new(Health::new(Duration::from_secs(60), "n1"));
    let at = at();
    let listening = Listening::start(at, healthz_pages(&health)).unwrap();
    let ask = async |path, code| {
        let answer = get(at, path).await;
        assert_eq!(answer.code, code, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    health.updated(Moment::now());
    assert_eq!(ask("/healthz", 503).await["nodeEligible"], false, "no Node yet");
    assert!(ask("/livez", 200).await.get("nodeEligible").is_none());

    health.node(Some(&node("{apiVersion: v1, kind: Node, metadata: {name: n1}}")));
    let first = ask("/healthz", 200).await;
    assert_eq!((&first["nodeEligible"], &first["healthy"]), (&json!(true), &json!(true)));
    assert_eq!(first["lastUpdated"], first["currentTime"]);
    health.updated(Moment::now());
    let second = ask("/healthz", 200).await;
    let time = |status: &Value| status["status"]["IPv6"]["lastUpdated"].as_str().unwrap().to_owned();
    assert!(time(&second) > time(&first), "a sync shows: {second}");

    let drained = "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}}";
    health.node(Some(&node(drained)));
    ask("/healthz", 503).await;
    ask("/livez", 200).await;

    let now = Moment::now();
    let Some(past) = Instant::now().checked_sub(Duration::from_secs(60)) else { return };
    health.queued(Moment { instant: past, ..now });
    for path in ["/healthz", "/livez"] {
        let stuck = ask(path, 503).await;
        assert_eq!(stuck["healthy"], false);
        assert_eq!(stuck["status"]["IPv4"]["healthy"], false);
    }
    listening.close().await;
}

#[tokio::test]
async fn a_taken_address_is_tried_again() {
    let at = at();
    let other = std::net::TcpListener::bind(at).unwrap();
    let health = Arc::new(Health::new(Duration::from_secs(60), ""));
    let serving = tokio::spawn(Listening::whatever_it_takes("/healthz", at, healthz_pages(&health)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(other);
    let deadline = Instant::now() + Duration::from_secs(60);
    while ask(Method::GET, at, "/livez").await.is_err() {
        assert!(Instant::now() < deadline, "never tried again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    serving.abort();
}
