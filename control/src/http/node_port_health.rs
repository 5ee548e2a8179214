//! What the healthCheckNodePort of each Service answers: a pure function of the model (§3.14).
//!
//! The count is of distinct endpoint addresses that are ready and on this node, a family each. Endpoints that only
//! linger while they terminate are not counted, though traffic may still use them: so load balancers leave this node
//! before its endpoints are gone.

use crate::{
    model::{IpFamily, Model},
    objects::ObjectKey,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The state of one Service in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePortHealth {
    /// Where it is asked for.
    pub port: u16,
    /// Distinct local ready addresses.
    pub local_endpoints: usize,
}

/// Every Service with a healthCheckNodePort, and every family it has a cluster IP of.
pub fn node_port_health(model: &Model, node_name: &str) -> BTreeMap<(ObjectKey, IpFamily), NodePortHealth> {
    let mut all = BTreeMap::new();
    for (key, joined) in model.health_checked() {
        let Some(port) = joined.service.health_check_node_port else { continue };
        for family in [IpFamily::V4, IpFamily::V6] {
            if joined.service.cluster_ip(family).is_none() {
                continue;
            }
            let slices = joined.slices.iter().filter(|slice| slice.family == family);
            // Whether the Service has their ports does not matter (EndpointsMap.LocalReadyEndpoints), but a slice
            // without any has no endpoints.
            let used = slices.filter(|slice| !slice.ports.is_empty());
            let local: BTreeSet<IpAddr> = used
                .flat_map(|slice| &slice.endpoints)
                .filter(|endpoint| endpoint.ready && !node_name.is_empty())
                .filter(|endpoint| endpoint.node.as_deref() == Some(node_name))
                .map(|endpoint| endpoint.addr)
                .collect();
            let health = NodePortHealth { port, local_endpoints: local.len() };
            all.insert((key.clone(), family), health);
        }
    }
    all
}

/// The body, byte for byte as kube-proxy writes it.
pub(super) fn body(service: &ObjectKey, local_endpoints: usize, healthy: bool) -> String {
    format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": {:?},\n\t\t\"name\": {:?}\n\t}},\n\t\"localEndpoints\": {local_endpoints},\n\t\"serviceProxyHealthy\": {healthy}\n}}",
        service.namespace, service.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Object, Objects};
    use std::sync::Arc;

    const PORTS: &str = "{name: a, port: 80}, {name: b, port: 81}";

    fn model(spec: &str, slices: &[(&str, &str, &str)]) -> Model {
        let slices: Vec<_> =
            slices.iter().map(|(name, family, endpoints)| (*name, *family, *endpoints, PORTS)).collect();
        model_of(spec, &slices)
    }

    /// Of slices by name, family, endpoints and ports.
    fn model_of(spec: &str, slices: &[(&str, &str, &str, &str)]) -> Model {
        let mut objects = Objects::default();
        let key = |name: &str| ObjectKey::new("default", name);
        let service = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{type: LoadBalancer, \
             ports: [{PORTS}], externalTrafficPolicy: Local, {spec}}}}}"
        );
        let value = Arc::new(serde_yaml_ng::from_str(&service).unwrap());
        objects.services.insert(key("web"), Object { origin: None, value });
        for (name, family, endpoints, ports) in slices {
            let slice = format!(
                "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: {family}, metadata: \
                 {{name: {name}, labels: {{kubernetes.io/service-name: web}}}}, endpoints: [{endpoints}], \
                 ports: [{ports}]}}"
            );
            let value = Arc::new(serde_yaml_ng::from_str(&slice).unwrap());
            objects.slices.insert(key(name), Object { origin: None, value });
        }
        let mut model = Model::default();
        let problems = model.update(&objects);
        assert!(problems.is_empty(), "{problems:?}");
        model
    }

    fn counts(model: &Model, node: &str) -> Vec<(IpFamily, usize)> {
        let all = node_port_health(model, node);
        all.into_iter().map(|((_, family), health)| (family, health.local_endpoints)).collect()
    }

    const DUAL: &str = "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1'], healthCheckNodePort: 31000";
    const V4_ONLY: &str = "clusterIP: 10.96.0.1, healthCheckNodePort: 31000";

    // S-159, S-160, S-161
    #[test]
    fn distinct_local_ready_addresses_are_counted() {
        let on = |address: &str, node: &str, conditions: &str| {
            format!("{{addresses: ['{address}'], nodeName: {node}, conditions: {{{conditions}}}}}")
        };
        let slices = [
            on("10.0.0.1", "n1", "ready: true"),
            on("10.0.0.2", "n2", "ready: true"),
            on("10.0.0.3", "n1", "ready: false, serving: true, terminating: true"),
            on("10.0.0.4", "n1", "ready: false"),
        ];
        let again = on("10.0.0.1", "n1", "ready: true");
        let model = model(V4_ONLY, &[("s1", "IPv4", &slices.join(", ")), ("s2", "IPv4", &again)]);
        assert_eq!(counts(&model, "n1"), [(IpFamily::V4, 1)], "two ports and two slices, one address");
        assert_eq!(counts(&model, "n3"), [(IpFamily::V4, 0)]);
        assert_eq!(counts(&model, ""), [(IpFamily::V4, 0)], "no node, nothing local");
        assert_eq!(node_port_health(&model, "n1").into_values().next().unwrap().port, 31000);
    }

    // S-159: EndpointsMap.LocalReadyEndpoints counts by the Service's name alone
    #[test]
    fn endpoints_count_whatever_ports_they_have() {
        let slices = [
            ("s1", "IPv4", "{addresses: [10.0.0.1], nodeName: n1}", "{name: a, port: 80, protocol: UDP}"),
            ("s2", "IPv4", "{addresses: [10.0.0.2], nodeName: n1}", "{name: other, port: 80}"),
            ("s3", "IPv4", "{addresses: [10.0.0.3], nodeName: n1}", ""),
        ];
        assert_eq!(counts(&model_of(V4_ONLY, &slices), "n1"), [(IpFamily::V4, 2)], "but none without a port");
    }

    // S-214
    #[test]
    fn families_count_their_own() {
        let slices = [
            ("s4", "IPv4", "{addresses: [10.0.0.1], nodeName: n1}"),
            (
                "s6",
                "IPv6",
                "{addresses: ['fd00:2::1'], nodeName: n1}, {addresses: ['fd00:2::2'], nodeName: n1}",
            ),
        ];
        assert_eq!(counts(&model(DUAL, &slices), "n1"), [(IpFamily::V4, 1), (IpFamily::V6, 2)]);
        assert_eq!(
            counts(&model(V4_ONLY, &slices), "n1"),
            [(IpFamily::V4, 1)],
            "none for a family without a cluster IP"
        );
    }

    // S-160
    #[test]
    fn the_body_is_kube_proxys_to_the_byte() {
        let expected = "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}";
        assert_eq!(body(&ObjectKey::new("default", "web"), 2, true), expected);
    }
}
