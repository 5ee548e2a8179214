//! Ordinary Kubernetes manifests, written the way a careful program writes into a watched folder.
//!
//! A file appears under its name only when it is whole: it is written under a name that no reader takes for a
//! manifest, and renamed. One file holds the slices of both families, so that a change of both is one change.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// A folder of manifests.
#[derive(Debug, Clone)]
pub struct ManifestFolder {
    path: PathBuf,
}

impl ManifestFolder {
    /// Makes the folder.
    pub fn create(path: &Path) -> io::Result<ManifestFolder> {
        fs::create_dir_all(path)?;
        Ok(ManifestFolder { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `documents` as the file `name`, in place of what it held, at once.
    pub fn write(&self, name: &str, documents: &[Value]) -> io::Result<()> {
        let mut text = String::new();
        for document in documents {
            text += "---\n";
            text += &serde_yaml_ng::to_string(document).map_err(io::Error::other)?;
        }
        let unfinished = self.path.join(format!(".{name}.new"));
        fs::write(&unfinished, text)?;
        fs::rename(unfinished, self.path.join(name))
    }

    /// Removes the file `name`.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name.
    pub name: &'static str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'static str,
    /// What clients connect to.
    pub port: u16,
    /// What backends listen on.
    pub target_port: u16,
    /// The port on node addresses.
    pub node_port: Option<u16>,
}

/// A Service, its type following from what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceManifest {
    /// Its name, in the namespace `default`.
    pub name: String,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its ClusterIPs; the first one's family is its primary.
    pub cluster_ips: Vec<IpAddr>,
    /// Addresses that a load balancer controller would have given it.
    pub load_balancer_ips: Vec<IpAddr>,
}

/// An endpoint, as a Pod would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The node it is on.
    pub node: String,
    /// One address a family.
    pub addresses: Vec<IpAddr>,
}

impl ServiceManifest {
    /// The Service object.
    pub fn service(&self) -> Value {
        let kind = if !self.load_balancer_ips.is_empty() {
            "LoadBalancer"
        } else if self.ports.iter().any(|port| port.node_port.is_some()) {
            "NodePort"
        } else {
            "ClusterIP"
        };
        let ports = self.ports.iter().map(|port| {
            let mut value = json!({
                "name": port.name, "protocol": port.protocol, "port": port.port, "targetPort": port.target_port,
            });
            if let Some(node_port) = port.node_port {
                value["nodePort"] = node_port.into();
            }
            value
        });
        let families: Vec<_> = self.cluster_ips.iter().map(|address| family(*address)).collect();
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name, "namespace": "default"},
            "spec": {
                "type": kind,
                "selector": {"app": self.name},
                "ipFamilies": families,
                "ipFamilyPolicy": if families.len() > 1 { "RequireDualStack" } else { "SingleStack" },
                "clusterIP": self.cluster_ips.first(),
                "clusterIPs": self.cluster_ips,
                "ports": ports.collect::<Vec<_>>(),
            },
        });
        if kind == "LoadBalancer" {
            let ingress = self.load_balancer_ips.iter().map(|ip| json!({"ip": ip, "ipMode": "VIP"}));
            service["status"] = json!({"loadBalancer": {"ingress": ingress.collect::<Vec<_>>()}});
        }
        service
    }

    /// The EndpointSlices: one for each family of the Service.
    pub fn slices(&self, endpoints: &[Endpoint]) -> Vec<Value> {
        let ports: Vec<_> = self
            .ports
            .iter()
            .map(|port| json!({"name": port.name, "protocol": port.protocol, "port": port.target_port}))
            .collect();
        let slice = |cluster_ip: &IpAddr| {
            let family = family(*cluster_ip);
            let endpoints = endpoints.iter().filter_map(|endpoint| {
                let address = endpoint.addresses.iter().find(|ip| ip.is_ipv4() == cluster_ip.is_ipv4())?;
                Some(json!({
                    "addresses": [address],
                    "conditions": {"ready": true, "serving": true, "terminating": false},
                    "nodeName": endpoint.node,
                }))
            });
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{}-{}", self.name, family.to_lowercase()), "namespace": "default",
                    "labels": {"kubernetes.io/service-name": self.name},
                },
                "addressType": family,
                "ports": ports,
                "endpoints": endpoints.collect::<Vec<_>>(),
            })
        };
        self.cluster_ips.iter().map(slice).collect()
    }
}

/// A Node with its addresses.
pub fn node(name: &str, addresses: &[IpAddr]) -> Value {
    let addresses: Vec<_> =
        addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"addresses": addresses},
    })
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{
        core::v1::{Node, Service},
        discovery::v1::EndpointSlice,
    };

    use super::*;

    fn web() -> ServiceManifest {
        ServiceManifest {
            name: "web".to_owned(),
            ports: vec![ServicePort {
                name: "http",
                protocol: "TCP",
                port: 80,
                target_port: 8080,
                node_port: Some(30080),
            }],
            cluster_ips: vec!["10.96.0.10".parse().unwrap(), "fd00:96::10".parse().unwrap()],
            load_balancer_ips: vec!["203.0.113.10".parse().unwrap(), "2001:db8:ffff::10".parse().unwrap()],
        }
    }

    #[test]
    fn objects_are_what_kubernetes_takes_them_for() {
        let service: Service = serde_json::from_value(web().service()).unwrap();
        let spec = service.spec.unwrap();
        assert_eq!(spec.type_.as_deref(), Some("LoadBalancer"));
        assert_eq!(spec.ip_families.unwrap(), ["IPv4", "IPv6"]);
        assert_eq!(spec.ports.unwrap()[0].node_port, Some(30080));
        assert_eq!(service.status.unwrap().load_balancer.unwrap().ingress.unwrap().len(), 2);

        let endpoint = Endpoint {
            node: "node-1".to_owned(),
            addresses: vec!["10.2.0.11".parse().unwrap(), "fd00:2::11".parse().unwrap()],
        };
        let slices = web().slices(&[endpoint]);
        let slices: Vec<EndpointSlice> =
            slices.into_iter().map(|slice| serde_json::from_value(slice).unwrap()).collect();
        assert_eq!(slices[1].address_type, "IPv6");
        assert_eq!(slices[1].endpoints.as_ref().unwrap()[0].addresses, ["fd00:2::11"]);
        assert_eq!(slices[0].metadata.labels.as_ref().unwrap()["kubernetes.io/service-name"], "web");

        let node: Node = serde_json::from_value(node("gateway", &["10.1.0.1".parse().unwrap()])).unwrap();
        assert_eq!(node.status.unwrap().addresses.unwrap()[0].type_, "InternalIP");
    }

    #[test]
    fn a_reader_sees_whole_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let manifests = ManifestFolder::create(&folder.path().join("m")).unwrap();
        let small = [web().service()];
        let large: Vec<_> = (0..200).map(|_| web().service()).collect();
        manifests.write("web.yaml", &small).unwrap();
        let file = manifests.path().join("web.yaml");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = std::collections::BTreeSet::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    seen.insert(fs::read_to_string(&file).unwrap().matches("---\n").count());
                }
                seen
            });
            for _ in 0..15 {
                manifests.write("web.yaml", &large).unwrap();
                manifests.write("web.yaml", &small).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap().iter().all(|documents| [1, 200].contains(documents)));
        });
    }
}
