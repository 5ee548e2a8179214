use super::*;
use std::net::IpAddr;

/// An endpoint in one word a fact: `ready`, `notready`, `going` (terminating and serving), `gone` (terminating only), then
/// `@node`, `zone=Z`, `node=N` for hints.
fn endpoint(number: u8, words: &str) -> Endpoint {
    let mut endpoint = Endpoint {
        addr: IpAddr::from([10, 0, 0, number]),
        ready: false,
        serving: false,
        terminating: false,
        node: None,
        announceable: false,
        for_zones: Box::default(),
        for_nodes: Box::default(),
        target: None,
    };
    for word in words.split(' ') {
        match word {
            "ready" => (endpoint.ready, endpoint.serving) = (true, true),
            "notready" => {}
            "going" => (endpoint.serving, endpoint.terminating) = (true, true),
            "gone" => endpoint.terminating = true,
            other => match (other.strip_prefix('@'), other.split_once('=')) {
                (Some(node), _) => endpoint.node = Some(node.into()),
                (_, Some(("zone", zone))) => endpoint.for_zones = more(&endpoint.for_zones, zone),
                (_, Some(("node", node))) => endpoint.for_nodes = more(&endpoint.for_nodes, node),
                _ => panic!("{other}"),
            },
        }
    }
    endpoint
}

fn more(hints: &[Box<str>], name: &str) -> Box<[Box<str>]> {
    hints.iter().cloned().chain([name.into()]).collect()
}

const BOTH: Wanted = Wanted { cluster: true, local: true };

fn at(node: &str, zone: &str) -> Place {
    Place { node: node.into(), zone: zone.into() }
}

fn lists(place: &Place, words: &[&str]) -> (Vec<usize>, Vec<usize>, bool) {
    let endpoints: Vec<_> = words.iter().enumerate().map(|(n, words)| endpoint(n as u8, words)).collect();
    let lists = categorize(&endpoints.iter().collect::<Vec<_>>(), BOTH, place);
    (lists.cluster, lists.local, lists.has_any)
}

#[track_caller]
fn case(place: &Place, words: &[&str], cluster: &[usize], local: &[usize], has_any: bool) {
    assert_eq!(lists(place, words), (cluster.to_vec(), local.to_vec(), has_any), "{words:?}");
}

// S-85, S-86, S-87, S-88
#[test]
fn the_cluster_list_falls_back_as_a_whole() {
    let here = at("n1", "");
    case(&here, &[], &[], &[], false);
    case(&here, &["ready", "going", "notready"], &[0], &[], true);
    case(&here, &["going", "notready", "going"], &[0, 2], &[], true);
    case(&here, &["gone"], &[], &[], false);
    case(&here, &["notready"], &[], &[], false);
    case(&here, &["gone", "going"], &[1], &[], true);
}

// S-55, S-89
#[test]
fn the_local_list_falls_back_on_its_own() {
    let here = at("n1", "");
    case(&here, &["ready @n2", "going @n1"], &[0], &[1], true);
    case(&here, &["ready @n2", "going @n1", "ready @n1"], &[0, 2], &[2], true);
    case(&here, &["ready @n2"], &[0], &[], true);
    case(&here, &["ready"], &[0], &[], true);
    case(&at("", ""), &["ready @n1", "ready"], &[0, 1], &[], true);
}

// S-90, S-91, S-92, S-96
#[test]
fn zone_hints_count_when_complete_and_meant_for_us() {
    let here = at("n1", "a");
    case(&here, &["ready zone=a", "ready zone=b", "ready zone=a zone=b"], &[0, 2], &[], true);
    case(&here, &["ready zone=a", "ready"], &[0, 1], &[], true);
    case(&here, &["ready zone=b", "ready zone=c"], &[0, 1], &[], true);
    case(&at("n1", ""), &["ready zone=a", "ready zone=b"], &[0, 1], &[], true);
    // A hint on an endpoint that is not ready neither counts nor is missed.
    case(&here, &["ready zone=a", "ready zone=b", "notready", "going"], &[0], &[], true);
}

// S-93
#[test]
fn node_hints_come_before_zone_hints() {
    let here = at("n1", "a");
    case(&here, &["ready node=n1 zone=b", "ready node=n2 zone=a"], &[0], &[], true);
    case(&here, &["ready node=n2 zone=a", "ready node=n3 zone=b"], &[0], &[], true);
    case(&here, &["ready node=n1 zone=a", "ready zone=b"], &[0], &[], true);
}

// S-94
#[test]
fn hints_never_apply_to_the_local_list() {
    case(&at("n1", "a"), &["ready @n1 zone=b", "ready @n2 zone=a"], &[1], &[0], true);
}

// S-95
#[test]
fn the_fallback_is_not_filtered() {
    case(&at("n1", "a"), &["going zone=a", "going zone=b"], &[0, 1], &[], true);
}

// S-65: ready while terminating, as publishNotReadyAddresses makes it.
#[test]
fn ready_counts_whatever_else_is_said() {
    let mut published = endpoint(0, "ready");
    (published.serving, published.terminating) = (false, true);
    let lists = categorize(&[&published], BOTH, &at("n1", ""));
    assert_eq!((lists.cluster, lists.has_any), (vec![0], true));
}

#[test]
fn lists_nobody_uses_stay_empty() {
    let endpoint = endpoint(0, "ready @n1");
    let wanted = Wanted { cluster: false, local: true };
    let lists = categorize(&[&endpoint], wanted, &at("n1", ""));
    assert_eq!((lists.cluster, lists.local, lists.has_any), (vec![], vec![0], true));
}
