use super::*;
use crate::objects::ObjectKey;

const LIMIT: Duration = Duration::from_secs(60);

/// A moment so many seconds after noon.
struct Clock(Instant);

impl Clock {
    fn at(&self, seconds: u64) -> Moment {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        Moment { instant: self.0 + Duration::from_secs(seconds), wall: noon + Duration::from_secs(seconds) }
    }
}

fn node(text: &str) -> Node {
    let object = serde_yaml_ng::from_str(text).unwrap();
    Node::read(&ObjectKey::new("", "n1"), &object).value.unwrap().unwrap()
}

fn json(health: &Health, question: Question, now: Moment) -> (bool, String) {
    let (good, status) = health.status(question, now);
    (good, serde_json::to_string(&status).unwrap())
}

const FINE: &str = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";

#[test]
fn the_json_is_kube_proxys() {
    let clock = Clock(Instant::now());
    let health = Health::new(LIMIT, "n1");
    health.node(Some(&node(FINE)));
    health.updated(clock.at(1));
    let families = r#""status":{"IPv4":{"lastUpdated":"2026-11-22T12:00:01Z","healthy":true},"IPv6":{"lastUpdated":"2026-11-22T12:00:01Z","healthy":true}}"#;
    assert_eq!(
        json(&health, Question::Healthz, clock.at(5)),
        (
            true,
            format!(
                r#"{{"lastUpdated":"2026-11-22T12:00:05Z","currentTime":"2026-11-22T12:00:05Z","nodeEligible":true,"healthy":true,{families}}}"#
            )
        )
    );
    assert_eq!(
        json(&health, Question::Livez, clock.at(5)),
        (
            true,
            format!(
                r#"{{"lastUpdated":"2026-11-22T12:00:05Z","currentTime":"2026-11-22T12:00:05Z","healthy":true,{families}}}"#
            )
        )
    );
}

// S-166
#[test]
fn syncs_show_and_idleness_is_no_illness() {
    let clock = Clock(Instant::now());
    let health = Health::new(LIMIT, "");
    health.updated(clock.at(0));
    let later = health.status(Question::Healthz, clock.at(100_000));
    assert!(later.0);
    assert_eq!(later.1.last_updated, clock.at(100_000).wall);
    assert_eq!(later.1.status[&IpFamily::V4].last_updated, clock.at(0).wall);
    health.queued(clock.at(100_001));
    health.updated(clock.at(100_002));
    let synced = health.status(Question::Healthz, clock.at(100_003)).1;
    assert_eq!(synced.status[&IpFamily::V6].last_updated, clock.at(100_002).wall);
}

// S-163
#[test]
fn a_change_that_waits_a_minute_is_an_illness() {
    let clock = Clock(Instant::now());
    let health = Health::new(LIMIT, "");
    health.updated(clock.at(0));
    health.queued(clock.at(10));
    health.queued(clock.at(60));
    assert!(health.is_healthy(clock.at(69)));
    assert!(!health.is_healthy(clock.at(70)), "the oldest change counts");
    for question in [Question::Healthz, Question::Livez] {
        let (good, status) = health.status(question, clock.at(70));
        assert!(!good && !status.healthy && !status.status[&IpFamily::V4].healthy);
        assert_eq!(status.last_updated, clock.at(0).wall, "the newest sync, since it is not now");
    }
    health.updated(clock.at(80));
    assert!(health.is_healthy(clock.at(81)));
}

// S-164
#[test]
fn a_node_that_goes_is_not_to_be_used_but_alive() {
    let clock = Clock(Instant::now());
    let health = Health::new(LIMIT, "n1");
    health.updated(clock.at(0));
    let ask = |question| health.status(question, clock.at(1));
    assert_eq!(ask(Question::Healthz).1.node_eligible, Some(false), "never seen");
    assert!(!ask(Question::Healthz).0 && ask(Question::Livez).0);
    health.node(Some(&node(FINE)));
    assert!(ask(Question::Healthz).0);
    for leaving in [
        "{apiVersion: v1, kind: Node, metadata: {name: n1, deletionTimestamp: '2026-11-22T11:00:00Z'}}",
        "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}}",
    ] {
        health.node(Some(&node(leaving)));
        let (good, status) = ask(Question::Healthz);
        assert!(!good && status.healthy, "only the proxy's own health is called healthy: {leaving}");
        assert!(ask(Question::Livez).0, "{leaving}");
        health.node(None);
        assert!(!ask(Question::Healthz).0, "a Node that vanishes leaves its last state");
        health.node(Some(&node(FINE)));
        assert!(ask(Question::Healthz).0);
    }
    let other = "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {taints: [{key: other, effect: NoSchedule}]}}";
    health.node(Some(&node(other)));
    assert!(ask(Question::Healthz).0);
}

#[test]
fn a_missing_interface_takes_the_node_out_of_use() {
    let clock = Clock(Instant::now());
    let health = Health::new(LIMIT, "");
    health.updated(clock.at(1));
    health.missing_interfaces(vec!["eth1".to_owned()]);
    let (good, text) = json(&health, Question::Healthz, clock.at(2));
    assert!(!good && text.contains(r#""missingInterfaces":["eth1"]"#), "{text}");
    assert!(json(&health, Question::Livez, clock.at(2)).0, "a restart would not help");
    health.missing_interfaces(Vec::new());
    assert!(json(&health, Question::Healthz, clock.at(3)).0);
}
