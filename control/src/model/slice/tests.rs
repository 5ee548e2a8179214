use super::*;

fn read_slice(text: &str) -> Reading<Slice> {
    let label = "labels: {kubernetes.io/service-name: web}";
    labelled(label, text)
}

fn labelled(labels: &str, text: &str) -> Reading<Slice> {
    let text = format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-1, {labels}}}, {text}}}"
    );
    let object: api::EndpointSlice =
        serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Slice::read(&object)
}

#[track_caller]
fn good(text: &str) -> Slice {
    read_slice(text).value.unwrap().unwrap()
}

const ONE: &str = "addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}]";

// S-46, S-47, S-62
#[test]
fn slices_of_no_proxied_service_are_ignored() {
    let none = |labels: &str, text: &str| matches!(labelled(labels, text).value, Ok(None));
    assert!(none("labels: {}", ONE));
    assert!(none("labels: {kubernetes.io/service-name: ''}", ONE));
    assert!(none("labels: {kubernetes.io/service-name: web, service.kubernetes.io/headless: ''}", ONE));
    assert!(none(
        "labels: {kubernetes.io/service-name: web}",
        "addressType: FQDN, endpoints: [{addresses: [a.example]}]"
    ));
}

// S-48
#[test]
fn missing_conditions_mean_a_good_endpoint() {
    let endpoint = &good(ONE).endpoints[0];
    assert_eq!((endpoint.ready, endpoint.serving, endpoint.terminating), (true, true, false));
    let going = good(
        "addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}]",
    );
    let endpoint = &going.endpoints[0];
    assert_eq!((endpoint.ready, endpoint.serving, endpoint.terminating), (false, true, true));
}

// S-49
#[test]
fn ports_without_number_or_name_are_ignored() {
    let ports =
        "ports: [{name: a}, {port: 80}, {name: b, port: 0}, {name: c, port: 81}, {name: '', port: 82}]";
    let names: Vec<_> =
        good(&format!("{ONE}, {ports}")).ports.into_iter().map(|port| (port.name, port.port)).collect();
    assert_eq!(names, [("c".to_owned(), 81), (String::new(), 82)]);
}

// S-54
#[test]
fn only_the_first_address_counts() {
    let slice = good("addressType: IPv4, endpoints: [{addresses: [10.0.0.1, 10.0.0.2]}, {addresses: []}]");
    assert_eq!(slice.endpoints.len(), 1);
    assert_eq!(slice.endpoints[0].addr, IpAddr::from([10, 0, 0, 1]));
}

// S-56
#[test]
fn any_manager_will_do() {
    let labels =
        "labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: someone.example}";
    assert!(matches!(labelled(labels, ONE).value, Ok(Some(_))));
}

/// The API server lets these through. They cost their own endpoint, which is told.
#[test]
fn an_endpoint_that_is_no_host_is_told_and_left_out() {
    for (family, host, nobody) in [
        ("IPv4", "10.0.0.1", "239.1.2.3"),
        ("IPv4", "10.0.0.1", "224.0.1.1"),
        ("IPv4", "10.0.0.1", "255.255.255.255"),
        ("IPv6", "fd00::1", "ff05::1"),
        ("IPv6", "fd00::1", "ff1e::1"),
    ] {
        let endpoints = format!("endpoints: [{{addresses: ['{nobody}']}}, {{addresses: ['{host}']}}]");
        let Reading { value, warnings } = read_slice(&format!("addressType: {family}, {endpoints}"));
        let used: Vec<_> = value.unwrap().unwrap().endpoints.iter().map(|endpoint| endpoint.addr).collect();
        assert_eq!(used, [host.parse::<IpAddr>().unwrap()], "{nobody}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let told = warnings[0].to_string();
        assert!(
            told.starts_with(&format!("endpoints[0].addresses[0]: Invalid value: \"{nobody}\": ")),
            "{told}"
        );
        assert!(told.ends_with("the endpoint is not used; it must be the address of a host"), "{told}");
    }
}

#[test]
fn all_faults_of_a_slice_are_told() {
    let text = "addressType: IPv4, endpoints: [{addresses: ['fd00::1']}, {addresses: [x]}, {addresses: [127.0.0.1]}], \
        ports: [{name: a, port: 70000}, {name: b, port: 1, protocol: ICMP}, {name: b, port: 2}]";
    let faults = read_slice(text).value.unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "ports[0].port",
            "ports[1].protocol",
            "ports[2].name",
            "endpoints[0].addresses[0]",
            "endpoints[1].addresses[0]",
            "endpoints[2].addresses[0]"
        ]
    );
    assert!(read_slice("addressType: IPX, endpoints: []").value.is_err());
}
