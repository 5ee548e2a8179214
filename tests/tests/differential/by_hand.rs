//! Cases written by hand, each with what both gateways must do: that the oracle does it too shows that the harness
//! can tell one verdict from another.

use penstock_tests::require_cluster;
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Plan},
    case::Stored,
    observe::{MANY, Source},
    places::Group,
    probe::Kind,
    written::{Expectation, Verdict, Written, is},
};

use Source::{Kept, Translated};
use Verdict::{Dropped, Rejected, Served};

pub fn ready() -> Value {
    json!({"ready": true, "serving": true, "terminating": false})
}

pub fn draining() -> Value {
    json!({"ready": false, "serving": true, "terminating": true})
}

pub fn two_nodes() -> Vec<(usize, &'static str, Value)> {
    vec![(1, "gateway", ready()), (2, "gateway", ready()), (3, "node-1", ready())]
}

fn elsewhere() -> Vec<(usize, &'static str, Value)> {
    vec![(3, "node-1", ready()), (4, "node-2", ready())]
}

const OUT: Group = Group::OutsideA;
const POD: Group = Group::Pod;
const BALANCER: Kind = Kind::LoadBalancer(0);

fn cases() -> Vec<Written> {
    let vip = || json!([{"ip": "203.0.113.1", "ipMode": "VIP"}]);
    let proxied = || json!([{"ip": "203.0.113.1", "ipMode": "Proxy"}]);
    let case = |name, spec, ingress, endpoints, expectations: &[Expectation]| Written {
        name,
        spec,
        ingress,
        endpoints,
        expectations: expectations.to_vec(),
    };
    vec![
        case(
            "policy Cluster everywhere",
            json!({"externalIPs": ["203.0.113.9"]}),
            vip(),
            two_nodes(),
            &[
                (OUT, Kind::ClusterIp, Served(&[1, 2, 3], Translated)),
                (POD, Kind::ClusterIp, Served(&[1, 2, 3], Kept)),
                (OUT, BALANCER, Served(&[1, 2, 3], Translated)),
                (POD, BALANCER, Served(&[1, 2, 3], Translated)),
                (OUT, Kind::External(0), Served(&[1, 2, 3], Translated)),
                (OUT, Kind::NodePort, Served(&[1, 2, 3], Translated)),
                (OUT, Kind::ClusterIpOtherPort, Rejected),
                (OUT, Kind::ClusterIpOtherProtocol, Rejected),
            ],
        ),
        case(
            "external policy Local",
            json!({"externalTrafficPolicy": "Local"}),
            vip(),
            two_nodes(),
            &[
                (OUT, Kind::ClusterIp, Served(&[1, 2, 3], Translated)),
                (OUT, BALANCER, Served(&[1, 2], Kept)),
                (OUT, Kind::NodePort, Served(&[1, 2], Kept)),
                (POD, BALANCER, Served(&[1, 2, 3], Kept)),
                (POD, Kind::NodePort, Served(&[1, 2, 3], Kept)),
            ],
        ),
        case(
            "external policy Local, endpoints elsewhere",
            json!({"externalTrafficPolicy": "Local"}),
            vip(),
            elsewhere(),
            &[
                (OUT, BALANCER, Dropped),
                (OUT, Kind::NodePort, Dropped),
                (POD, BALANCER, Served(&[3, 4], Kept)),
                (OUT, Kind::ClusterIp, Served(&[3, 4], Translated)),
            ],
        ),
        case(
            "internal policy Local, endpoints elsewhere",
            json!({"internalTrafficPolicy": "Local"}),
            vip(),
            elsewhere(),
            &[
                (OUT, Kind::ClusterIp, Dropped),
                (POD, Kind::ClusterIp, Dropped),
                (OUT, BALANCER, Served(&[3, 4], Translated)),
            ],
        ),
        case(
            "no endpoints at all",
            json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}),
            vip(),
            Vec::new(),
            &[
                (OUT, Kind::ClusterIp, Rejected),
                (POD, BALANCER, Rejected),
                (OUT, BALANCER, Rejected),
                (OUT, Kind::NodePort, Rejected),
            ],
        ),
        case(
            "source ranges",
            json!({"loadBalancerSourceRanges": ["10.1.192.0/18"]}),
            vip(),
            two_nodes(),
            &[
                (OUT, BALANCER, Dropped),
                (POD, BALANCER, Dropped),
                (Group::OutsideB, BALANCER, Served(&[1, 2, 3], Translated)),
                (OUT, Kind::NodePort, Served(&[1, 2, 3], Translated)),
                (OUT, Kind::ClusterIp, Served(&[1, 2, 3], Translated)),
            ],
        ),
        case(
            "source ranges without endpoints",
            json!({"loadBalancerSourceRanges": ["10.1.192.0/18"]}),
            vip(),
            Vec::new(),
            &[(OUT, BALANCER, Dropped), (Group::OutsideB, BALANCER, Rejected)],
        ),
        case(
            "the last ones are draining",
            json!({}),
            vip(),
            vec![(1, "gateway", draining()), (3, "node-1", draining())],
            &[
                (OUT, Kind::ClusterIp, Served(&[1, 3], Translated)),
                (OUT, BALANCER, Served(&[1, 3], Translated)),
            ],
        ),
        case(
            "the local ones are draining",
            json!({"externalTrafficPolicy": "Local"}),
            vip(),
            vec![(1, "gateway", draining()), (3, "node-1", ready())],
            &[(OUT, Kind::ClusterIp, Served(&[3], Translated)), (OUT, BALANCER, Served(&[1], Kept))],
        ),
        case(
            "a balancer that is a proxy",
            json!({}),
            proxied(),
            two_nodes(),
            &[(OUT, Kind::NodePort, Served(&[1, 2, 3], Translated))],
        ),
        case(
            "a backend that reaches itself",
            json!({"externalTrafficPolicy": "Local"}),
            vip(),
            vec![(1, "gateway", ready())],
            &[
                (Group::OneBackend(1), Kind::ClusterIp, Served(&[1], Translated)),
                (Group::OneBackend(1), BALANCER, Served(&[1], Translated)),
                (Group::OneBackend(1), Kind::NodePort, Served(&[1], Translated)),
                (Group::OneBackend(2), Kind::ClusterIp, Served(&[1], Kept)),
                (Group::OneBackend(2), BALANCER, Served(&[1], Kept)),
            ],
        ),
        case(
            "another node of the cluster is no pod",
            json!({"externalTrafficPolicy": "Local"}),
            vip(),
            two_nodes(),
            &[
                (Group::Node, Kind::ClusterIp, Served(&[1, 2, 3], Translated)),
                (Group::Node, BALANCER, Served(&[1, 2], Kept)),
            ],
        ),
        case(
            "affinity",
            json!({"sessionAffinity": "ClientIP"}),
            vip(),
            two_nodes(),
            &[
                (OUT, Kind::ClusterIp, Served(&[1, 2, 3], Translated)),
                (OUT, Kind::NodePort, Served(&[1, 2, 3], Translated)),
            ],
        ),
    ]
}

// Items 73, 74, 80, 85, 86, 88, 89, 100-103, 105, 106, 113-116, 121, 122, 124, 130 and 156 of the Service rules. They are
// not marked as proved by this test: it is skipped where the programs of Kubernetes are not built.
#[test]
fn what_is_written_by_hand_is_served_as_expected_by_both() {
    require_cluster!();
    let mut bench = Bench::start("psk-hand").unwrap();
    let mut faults = Vec::new();
    for written in cases() {
        let probes = written.probes();
        let asked = probes.len();
        let ask = |_: usize, _: &Stored| probes.clone();
        let plan = Plan { before: &ask, after: &ask, rounds: MANY };
        let outcome = bench.run(&[written.case()], &plan).unwrap().remove(0);
        assert_eq!(outcome.before.refused, Vec::<String>::new(), "{}", written.name);
        // The addresses of the balancer and the external ones are IPv4 only.
        assert!(outcome.compared.len() * 2 >= asked, "{}: addresses are missing", written.name);
        for compared in &outcome.compared {
            let Some(verdict) = written.verdict(&compared.question.probe) else { continue };
            let good =
                [&compared.kube, &compared.penstock].map(|seen| is(verdict, &compared.question.probe, seen));
            if good != [true, true] {
                faults.push(format!("{}: {}\n  expected:   {verdict:?}", written.name, compared));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
