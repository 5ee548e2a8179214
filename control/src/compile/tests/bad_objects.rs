//! What a wrong object does: all that is wrong with it is told at once, by paths as the API server gives them (§1.4); its
//! last good version stays; everything else goes on changing.

use super::world::*;
use crate::fault::Severity;

const WRONG: &str = "type: NodePort, clusterIP: 10.96.0.x, externalIPs: [127.0.0.1], sessionAffinity: Cookie, \
     loadBalancerSourceRanges: [10.0.0.0/8], \
     ports: [{port: 0, name: a}, {port: 80, name: a, protocol: ICMP, nodePort: 70000}]";

#[test]
fn a_wrong_object_tells_all_and_leaves_the_rest_serving() {
    let mut world = World::new();
    let (slice, port) = ("{addresses: [10.0.0.1]}", "{name: '', port: 8080}");
    world.service("web", "clusterIP: 10.96.0.1, ports: [{port: 80}]").slice("web-a", "web", slice, port);
    world.compile();

    world.service("web", WRONG);
    world.slice(
        "web-a",
        "web",
        "{addresses: [10.0.0]}, {addresses: ['fd00::1']}, {addresses: [10.0.0.2]}, {addresses: [127.0.0.1]}",
        "{name: '', port: 80, protocol: IP}, {name: '', port: 70000}",
    );
    world.service("api", "clusterIP: 10.96.0.2, ports: [{port: 80}]");
    world.slice("api-a", "api", "{addresses: [10.0.0.3]}", port);
    let problems = world.model.update(&world.objects);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "Service default/web: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "Service default/web: spec.ports[1].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \
         \"UDP\"",
        "Service default/web: spec.ports[1].name: Duplicate value: \"a\"",
        "Service default/web: spec.ports[1].nodePort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        "Service default/web: spec.clusterIPs[0]: Invalid value: \"10.96.0.x\": must be a valid IP address, \
         (e.g. 10.9.8.7 or 2001:db8::ffff)",
        "Service default/web: spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \
         \"None\"",
        "Service default/web: spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range \
         (127.0.0.0/8, ::1/128)",
        "Service default/web: spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "EndpointSlice default/web-a: ports[0].protocol: Unsupported value: \"IP\": supported values: \"SCTP\", \
         \"TCP\", \"UDP\"",
        "EndpointSlice default/web-a: ports[1].name: Duplicate value: \"\"",
        "EndpointSlice default/web-a: ports[1].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        "EndpointSlice default/web-a: endpoints[0].addresses[0]: Invalid value: \"10.0.0\": must be a valid IP \
         address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        "EndpointSlice default/web-a: endpoints[1].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address \
         as addressType says",
        "EndpointSlice default/web-a: endpoints[3].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the \
         loopback range (127.0.0.0/8, ::1/128)",
    ];
    assert_eq!(told, expected);

    let compiled = world.compiler.compile(&world.model, &world.environment);
    assert_eq!(cluster(&compiled, "10.96.0.1", 80), ["10.0.0.1:8080"], "the last good versions stay");
    assert_eq!(cluster(&compiled, "10.96.0.2", 80), ["10.0.0.3:8080"], "the others are as they say");
}
