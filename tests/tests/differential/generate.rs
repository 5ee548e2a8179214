//! Random objects: every field of a Service, of its status and of an EndpointSlice that bears on traffic, some that
//! a proxy must not heed (what only controllers read), and what happens to the objects then.
//!
//! Most are valid; the API server refuses the others, which is no loss. No two Services share a load balancer's or
//! an external address: what kube-proxy does then is not defined.

use serde_json::{Value, json};

use crate::{
    case::{Case, SLOTS},
    change::{Change, is_sibling},
    places::{self, BACKEND_PORTS, Family, Group, ZONES},
    random::Random,
};

/// Addresses of load balancers that each slot has.
const VIPS: u16 = 25;

/// Objects that `seed` determines, but for the numbers in the addresses of `slot`.
pub fn case(seed: u64, slot: usize) -> Case {
    let random = &mut Random::new(seed);
    let mut case = Case { slot, zones: zones(seed), ..Case::default() };
    let mut addresses = VipPool { used: slot as u16 * VIPS };
    for number in 0..1 + random.below(3) {
        let name = format!("s{number}");
        let service = service(random, &name, &mut addresses);
        let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
        for family in [Family::V4, Family::V6] {
            for number in 0..*random.pick(&[0, 1, 1, 1, 1, 2, 2]) {
                let mut slice = slice(random, &name, number, family, &ports);
                agree(&mut slice, &case.slices);
                case.slices.push(slice);
            }
        }
        case.services.push(service);
    }
    case.changes = Change::some(random, case.clone());
    case
}

/// Makes endpoints that other slices have too the same as there: which copy counts is not defined.
fn agree(slice: &mut Value, others: &[Value]) {
    let siblings = others.iter().filter(|other| is_sibling(slice, other));
    let theirs: Vec<Value> =
        siblings.flat_map(|other| other["endpoints"].as_array().cloned().unwrap_or_default()).collect();
    for endpoint in slice["endpoints"].as_array_mut().into_iter().flatten() {
        if let Some(other) = theirs.iter().find(|other| other["addresses"] == endpoint["addresses"]) {
            *endpoint = other.clone();
        }
    }
}

/// Where the gateway is, before and after: the same for all cases that are served at once.
fn zones(seed: u64) -> [&'static str; 2] {
    let random = &mut Random::new(seed / SLOTS as u64);
    let first = *random.pick(&ZONES[..2]);
    [first, if random.chance(30) { *random.pick(&ZONES) } else { first }]
}

/// Hands out each address once.
struct VipPool {
    used: u16,
}

impl VipPool {
    fn take(&mut self, family: Family) -> String {
        self.used += 1;
        match family {
            Family::V4 => format!("203.0.113.{}", self.used),
            Family::V6 => format!("2001:db8:ffff::{:x}", self.used),
        }
    }
}

fn service(random: &mut Random, name: &str, addresses: &mut VipPool) -> Value {
    let kind = *random.pick(&["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"]);
    let mut spec = json!({"type": kind, "ports": ports(random)});
    let (policy, families): (_, &[&str]) = match random.below(6) {
        0 => ("SingleStack", &["IPv4"]),
        1 => ("SingleStack", &["IPv6"]),
        2 => ("RequireDualStack", &["IPv6", "IPv4"]),
        3 => ("PreferDualStack", &["IPv6"]),
        _ => ("RequireDualStack", &["IPv4", "IPv6"]),
    };
    spec["ipFamilyPolicy"] = policy.into();
    spec["ipFamilies"] = json!(families);
    if random.chance(30) {
        spec["internalTrafficPolicy"] = "Local".into();
    }
    if random.chance(25) {
        spec["externalIPs"] = (0..1 + random.below(3)).map(|_| addresses.take(family(random))).collect();
    }
    if random.chance(25) {
        spec["sessionAffinity"] = "ClientIP".into();
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 60 + random.below(86_000)}});
    }
    if kind != "ClusterIP" && random.chance(40) {
        spec["externalTrafficPolicy"] = "Local".into();
    }
    if random.chance(4) {
        spec["clusterIP"] = "None".into();
    }
    // For controllers: the first two are what slices are made of, the third what chooses who handles a balancer.
    if random.chance(10) {
        spec["publishNotReadyAddresses"] = true.into();
    }
    if random.chance(10) {
        spec["trafficDistribution"] = (*random.pick(&["PreferSameZone", "PreferSameNode"])).into();
    }
    if kind == "LoadBalancer" && random.chance(10) {
        spec["loadBalancerClass"] = "example.com/other".into();
    }
    let mut service = json!({"metadata": {"name": name}, "spec": spec});
    if random.chance(3) {
        service["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "another"});
    }
    if kind == "LoadBalancer" {
        balance(random, &mut service, addresses);
    }
    service
}

/// What only a LoadBalancer has.
fn balance(random: &mut Random, service: &mut Value, addresses: &mut VipPool) {
    if random.chance(20) {
        service["spec"]["allocateLoadBalancerNodePorts"] = false.into();
    }
    if random.chance(35) {
        let ranges: Vec<&str> = (0..1 + random.below(3)).map(|_| source_range(random)).collect();
        service["spec"]["loadBalancerSourceRanges"] = json!(ranges);
    }
    let ingress: Vec<Value> = (0..random.below(4))
        .map(|_| match random.below(10) {
            0 => json!({"hostname": "balancer.example"}),
            1 => json!({"ip": addresses.take(family(random)), "ipMode": "Proxy"}),
            2 => json!({"ip": addresses.take(family(random))}),
            _ => json!({"ip": addresses.take(family(random)), "ipMode": "VIP"}),
        })
        .collect();
    if !ingress.is_empty() {
        service["status"] = json!({"loadBalancer": {"ingress": ingress}});
    }
}

/// Whole groups of clients, everything, or nobody.
fn source_range(random: &mut Random) -> &'static str {
    match random.below(10) {
        0 => "0.0.0.0/0",
        1 => "::/0",
        2 => "192.0.2.0/24",
        3 => "2001:db8:1::/48",
        _ => random.pick(&Group::ALL).network(family(random)),
    }
}

fn ports(random: &mut Random) -> Value {
    let mut numbers = [80, 443, 53];
    random.shuffle(&mut numbers);
    let count = *random.pick(&[1, 1, 2, 3]);
    let port = |index: usize| {
        let protocol = *random.pick(&["TCP", "TCP", "TCP", "TCP", "UDP", "UDP", "UDP", "SCTP"]);
        let mut port = json!({"protocol": protocol, "port": numbers[index]});
        // Slices say what it comes to.
        match random.below(4) {
            0 => port["targetPort"] = "named".into(),
            1 => port["targetPort"] = 9999.into(),
            _ => {}
        }
        // A single port may go without a name.
        if count > 1 || random.chance(60) {
            port["name"] = format!("p{index}").into();
        }
        port
    };
    (0..count).map(port).collect()
}

fn slice(
    random: &mut Random,
    service: &str,
    number: usize,
    family: Family,
    service_ports: &[Value],
) -> Value {
    let mut ports = Vec::new();
    for port in service_ports {
        if random.chance(92) {
            let other = if random.chance(50) { "UDP" } else { "TCP" };
            let protocol = if random.chance(5) { other } else { port["protocol"].as_str().unwrap_or("TCP") };
            let name = &port["name"];
            ports.push(json!({"name": name, "protocol": protocol, "port": random.pick(&BACKEND_PORTS)}));
        }
    }
    let mut addresses = places::backends(family);
    random.shuffle(&mut addresses);
    let has_hints = random.chance(25);
    let endpoints: Vec<Value> = addresses
        .iter()
        .take(*random.pick(&[0, 1, 2, 2, 3, 3, 4]))
        .map(|address| {
            let mut endpoint = endpoint(random, has_hints);
            endpoint["addresses"] = json!([address]);
            endpoint
        })
        .collect();
    json!({
        "metadata": {
            "name": format!("{service}-{}-{number}", family.word().to_lowercase()),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": family.word(),
        "ports": ports,
        "endpoints": endpoints,
    })
}

/// One without an address.
pub fn endpoint(random: &mut Random, has_hints: bool) -> Value {
    let mut endpoint = json!({});
    match random.below(10) {
        0 => {}
        1 => endpoint["conditions"] = json!({"ready": false}),
        2 => endpoint["conditions"] = json!({"ready": false, "serving": true, "terminating": true}),
        3 => endpoint["conditions"] = json!({"ready": false, "serving": false, "terminating": true}),
        4 => endpoint["conditions"] = json!({"ready": false, "serving": true, "terminating": false}),
        _ => endpoint["conditions"] = json!({"ready": true, "serving": true, "terminating": false}),
    }
    match random.below(6) {
        0 => {}
        1 | 2 => endpoint["nodeName"] = "gateway".into(),
        3 | 4 => endpoint["nodeName"] = "node-1".into(),
        _ => endpoint["nodeName"] = "node-2".into(),
    }
    if has_hints && random.chance(90) {
        if random.chance(75) {
            let zone = if random.chance(60) { "zone-a" } else { "zone-b" };
            endpoint["hints"]["forZones"] = json!([{"name": zone}]);
        }
        if random.chance(25) {
            endpoint["hints"]["forNodes"] = json!([{"name": random.pick(&["gateway", "node-1"])}]);
        }
    }
    endpoint
}

fn family(random: &mut Random) -> Family {
    if random.chance(50) { Family::V4 } else { Family::V6 }
}
