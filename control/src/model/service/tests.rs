use super::*;

/// A Service with this spec (YAML in flow form) and status.
fn read_all(spec: &str, rest: &str) -> Reading<Service> {
    let text = format!("{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{{spec}}}{rest}}}");
    let object: api::Service =
        serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Service::read(&ObjectKey::new("default", "web"), &object)
}

#[track_caller]
fn good(spec: &str) -> Service {
    let reading = read_all(spec, "");
    reading
        .value
        .unwrap_or_else(|faults| panic!("{spec}: {faults:?}"))
        .unwrap_or_else(|| panic!("{spec}: not proxied"))
}

#[track_caller]
fn refused(spec: &str, expected: &[&str]) {
    let faults = read_all(spec, "").value.expect_err(spec);
    assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{spec}");
}

const IP: &str = "clusterIP: 10.96.0.1";
const PORT: &str = "clusterIP: 10.96.0.1, ports: [{port: 80}]";

// S-1
#[test]
fn the_least_service_gets_its_defaults() {
    let service = good(PORT);
    assert_eq!(service.kind, ServiceType::ClusterIp);
    assert_eq!(
        service.ports[0],
        ServicePort { name: String::new(), transport: Transport::Tcp, port: 80, node_port: None }
    );
    assert_eq!((service.affinity, service.internal_policy), (None, TrafficPolicy::Cluster));
    assert_eq!(service.external_policy, TrafficPolicy::Cluster);
}

// S-2, S-3, S-4
#[test]
fn affinity_has_a_timeout_within_a_day() {
    let seconds = |spec: &str| good(&format!("{PORT}, {spec}")).affinity.map(NonZeroU32::get);
    assert_eq!(seconds("sessionAffinity: ClientIP"), Some(10800));
    assert_eq!(seconds("sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {}}"), Some(10800));
    assert_eq!(
        seconds("sessionAffinity: None, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}"),
        None
    );
    for (given, legal) in [(0, false), (1, true), (86400, true), (86401, false)] {
        let spec = format!(
            "{PORT}, sessionAffinity: ClientIP, sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {given}}}}}"
        );
        if legal {
            assert_eq!(good(&spec).affinity.unwrap().get(), given);
        } else {
            refused(
                &spec,
                &[&format!(
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: {given}: must be greater than 0 and less than 86400"
                )],
            );
        }
    }
    refused(
        &format!("{PORT}, sessionAffinity: Cookie"),
        &["spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \"None\""],
    );
}

// S-5, S-6
#[test]
fn an_external_policy_needs_an_external_address() {
    refused(
        &format!("{PORT}, externalTrafficPolicy: Local"),
        &[
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ],
    );
    let external = format!("{PORT}, externalIPs: [203.0.113.1]");
    assert_eq!(good(&external).external_policy, TrafficPolicy::Cluster);
    assert_eq!(
        good(&format!("{external}, externalTrafficPolicy: Local")).external_policy,
        TrafficPolicy::Local
    );
}

// S-7, S-8, S-9, S-10, S-11, S-12, S-13
#[test]
fn ports_are_checked() {
    refused(
        &format!("{IP}, ports: [{{port: 80}}, {{port: 81}}]"),
        &["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    );
    refused(
        &format!(
            "{IP}, type: NodePort, ports: [{{name: a, port: 80, nodePort: 30000}}, {{name: a, port: 80, nodePort: 30000}}]"
        ),
        &[
            "spec.ports[1].name: Duplicate value: \"a\"",
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
            "spec.ports[1].nodePort: Duplicate value: 30000",
        ],
    );
    let both = good(&format!("{IP}, ports: [{{name: u, port: 53, protocol: UDP}}, {{name: t, port: 53}}]"));
    assert_eq!(both.ports.len(), 2);
    for port in ["0", "65536"] {
        let spec = format!("{IP}, ports: [{{port: {port}}}]");
        refused(
            &spec,
            &[&format!("spec.ports[0].port: Invalid value: {port}: must be between 1 and 65535, inclusive")],
        );
    }
    for name in ["sixteen-letters-", "a--b", "123"] {
        let faults =
            read_all(&format!("{IP}, ports: [{{port: 80, targetPort: '{name}'}}]"), "").value.unwrap_err();
        assert_eq!(faults[0].path, "spec.ports[0].targetPort", "{name}");
    }
    refused(
        &format!("{IP}, ports: [{{port: 80, protocol: ICMP}}]"),
        &[
            "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    refused(
        &format!("{IP}, ports: [{{port: 80, nodePort: 30000}}]"),
        &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    );
    refused(IP, &["spec.ports: Required value"]);
}

// S-14, S-15
#[test]
fn headless_and_external_names_have_their_limits() {
    for kind in ["NodePort", "LoadBalancer"] {
        refused(
            &format!("type: {kind}, clusterIP: None, ports: [{{port: 80}}]"),
            &[&format!(
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for {kind} services"
            )],
        );
    }
    refused(
        "type: ExternalName, externalName: a.example, clusterIP: 10.0.0.1",
        &["spec.clusterIPs: Forbidden: may not be set for ExternalName services"],
    );
    refused("type: ExternalName", &["spec.externalName: Required value"]);
}

// S-77, S-78
#[test]
fn what_is_not_proxied_is_left_out() {
    for spec in [
        "clusterIP: None, ports: [{port: 80}]",
        "clusterIP: None",
        "type: ExternalName, externalName: a.example.",
    ] {
        assert!(matches!(read_all(spec, "").value, Ok(None)), "{spec}");
    }
    let object: api::Service = serde_yaml_ng::from_str(
        "{apiVersion: v1, kind: Service, metadata: {name: x, labels: {service.kubernetes.io/service-proxy-name: ''}}, spec: {type: wrong}}",
    )
    .unwrap();
    assert!(matches!(Service::read(&ObjectKey::new("d", "x"), &object).value, Ok(None)));
    let unserved = read_all("ports: [{port: 80}]", "");
    assert!(matches!(unserved.value, Ok(None)));
    assert!(
        unserved.warnings[0].to_string().starts_with("spec.clusterIP: is empty"),
        "{:?}",
        unserved.warnings
    );
}

// S-16
#[test]
fn special_external_ips_are_refused() {
    for ip in
        ["127.0.0.1", "0.0.0.0", "::", "::1", "169.254.1.1", "fe80::1", "224.0.0.5", "ff02::1", "nonsense"]
    {
        let faults = read_all(&format!("{PORT}, externalIPs: ['{ip}']"), "").value.expect_err(ip);
        assert_eq!(faults[0].path, "spec.externalIPs[0]", "{ip}");
    }
    assert_eq!(good(&format!("{PORT}, externalIPs: [224.0.1.1]")).external_ips.len(), 1);
}

// S-17
#[test]
fn source_ranges_are_for_load_balancers() {
    refused(
        &format!("{PORT}, type: NodePort, loadBalancerSourceRanges: [10.0.0.0/8]"),
        &["spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    );
    let blanks = good(&format!("{PORT}, type: LoadBalancer, loadBalancerSourceRanges: [' 10.0.0.0/8 ']"));
    assert_eq!(blanks.source_ranges, Some(vec!["10.0.0.0/8".parse().unwrap()]));
    assert_eq!(
        good(&format!("{PORT}, type: LoadBalancer, loadBalancerSourceRanges: []")).source_ranges,
        None
    );
}

// S-17, S-206
#[test]
fn a_source_range_that_cannot_be_read_is_told_and_the_others_count() {
    let read = |ranges: &str| {
        let reading =
            read_all(&format!("{PORT}, type: LoadBalancer, loadBalancerSourceRanges: [{ranges}]"), "");
        let told: Vec<_> = reading.warnings.iter().map(ToString::to_string).collect();
        (reading.value.unwrap().unwrap().source_ranges, told)
    };
    let (ranges, told) = read("10.0.0.0, 10.0.0.0/8, 'fd00::/200'");
    assert_eq!(ranges, Some(vec!["10.0.0.0/8".parse().unwrap()]));
    let left_out = |index: usize, range: &str| {
        format!(
            "spec.LoadBalancerSourceRanges[{index}]: Invalid value: \"{range}\": must be a valid CIDR value, \
             (e.g. 10.9.8.0/24 or 2001:db8::/64); this range is left out, the others count"
        )
    };
    assert_eq!(told, [left_out(0, "10.0.0.0"), left_out(2, "fd00::/200")]);
    assert_eq!(read("nonsense").0, Some(Vec::new()), "no range is not the same as no restriction");
}

// S-18 (the first half; changes need an API server), S-19, S-20
#[test]
fn fields_of_load_balancers_are_refused_elsewhere() {
    refused(
        &format!("{PORT}, allocateLoadBalancerNodePorts: true"),
        &["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    );
    refused(
        &format!("{PORT}, type: LoadBalancer, healthCheckNodePort: 30100"),
        &[
            "spec.healthCheckNodePort: Invalid value: 30100: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ],
    );
    refused(
        &format!("{PORT}, trafficDistribution: PreferFar"),
        &[
            "spec.trafficDistribution: Unsupported value: \"PreferFar\": supported values: \"PreferClose\", \"PreferSameZone\", \"PreferSameNode\"",
        ],
    );
}

// S-21
#[test]
fn cluster_ips_fit_each_other_and_their_families() {
    let ports = "ports: [{port: 80}]";
    for (spec, path, message) in [
        ("clusterIPs: [10.0.0.1]", "spec.clusterIPs", "must be empty when `clusterIP` is not specified"),
        (
            "clusterIP: 10.0.0.2, clusterIPs: [10.0.0.1]",
            "spec.clusterIPs",
            "first value must match `clusterIP`",
        ),
        (
            "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 10.0.0.2]",
            "spec.clusterIPs",
            "may specify no more than one IP for each IP family",
        ),
        (
            "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, None]",
            "spec.clusterIPs",
            "'None' must be the first and only value",
        ),
        (
            "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1', 'fd00::2']",
            "spec.clusterIPs",
            "may only hold up to 2 values",
        ),
        (
            "clusterIP: 10.0.0.1, ipFamilies: [IPv6]",
            "spec.clusterIPs[0]",
            "expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        ("clusterIP: 10.0.0.x", "spec.clusterIPs[0]", "must be a valid IP address"),
        (
            "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilyPolicy: SingleStack",
            "spec.ipFamilyPolicy",
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified",
        ),
    ] {
        let faults = read_all(&format!("{spec}, {ports}"), "").value.expect_err(spec);
        assert!(
            faults.iter().any(|fault| fault.path == path && fault.message.contains(message)),
            "{spec}: {faults:?}"
        );
    }
    let dual = good(&format!("clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], {ports}"));
    assert_eq!(dual.cluster_ip(IpFamily::V6), Some("fd00::1".parse().unwrap()));
}

// S-22
#[test]
fn all_faults_are_told_at_once() {
    let spec =
        "type: Cluster, clusterIP: x, ports: [{port: 0}], sessionAffinity: y, internalTrafficPolicy: z";
    let paths: Vec<_> = read_all(spec, "").value.unwrap_err().into_iter().map(|fault| fault.path).collect();
    assert_eq!(
        paths,
        [
            "spec.ports[0].port",
            "spec.type",
            "spec.clusterIPs[0]",
            "spec.sessionAffinity",
            "spec.internalTrafficPolicy"
        ]
    );
}

// S-26, S-74, S-75, S-76
#[test]
fn load_balancer_ips_come_from_the_status() {
    let status = |ingress: &str| format!(", status: {{loadBalancer: {{ingress: [{ingress}]}}}}");
    let spec = format!("{PORT}, type: LoadBalancer");
    let ips = |ingress: &str| read_all(&spec, &status(ingress)).value.unwrap().unwrap().load_balancer_ips;
    let ip: IpAddr = "203.0.113.1".parse().unwrap();
    assert_eq!(ips("{ip: 203.0.113.1}"), [ip]);
    assert_eq!(ips("{ip: 203.0.113.1, ports: [{port: 443, protocol: TCP}]}"), [ip]);
    assert_eq!(ips("{ip: 203.0.113.1, ipMode: Proxy}, {hostname: lb.example}"), [ip; 0]);
    let faults = read_all(&spec, &status("{hostname: lb.example, ipMode: VIP}")).value.unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set"
    );
    let faults = read_all(PORT, &status("{ip: 203.0.113.1}")).value.unwrap_err();
    assert_eq!(faults[0].path, "status.loadBalancer.ingress");
}
