//! A gateway's connection to a cluster, in a namespace of its own.

use penstock::{
    config::{Kubernetes, Ours},
    netns::{Namespace, Owner},
    objects::{ObjectKey, Objects},
    watch,
};
use penstock_tests::cluster::{Cluster, ClusterOptions};
use serde_json::{Value, json};
use std::{
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

pub(crate) use penstock_tests::PATIENCE;

/// A refusal is told after 30 s, and a kind that was missing is looked for every 30 s.
const UNTIL: Duration = Duration::from_secs(120);

/// Where the tests' Leases and pools are.
pub(crate) const OURS: &str = "penstock";

/// A cluster, and a namespace that reaches it.
pub(crate) struct Lab {
    // Clients before what they are clients of.
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) cluster: Cluster,
    pub(crate) admin: PathBuf,
    _namespace: Namespace,
}

impl Lab {
    pub(crate) fn new(owner: &'static str) -> Lab {
        let owner = Owner::new(owner);
        let mut cluster = Cluster::start(&ClusterOptions::new(owner.clone())).unwrap();
        let namespace = Namespace::create(&owner, "gateway").unwrap();
        let admin = cluster.join(&namespace).unwrap();
        // Threads stay in the namespace that they were started in.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all();
        let runtime = Arc::new(namespace.enter(|| runtime.build()).unwrap().unwrap());
        let ours = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OURS}});
        cluster.apply(&[ours]).unwrap();
        Lab { runtime, cluster, admin, _namespace: namespace }
    }

    /// A gateway that presents what `kubeconfig` says.
    pub(crate) fn gateway(&self, kubeconfig: PathBuf) -> Gateway {
        let config = Kubernetes {
            kubeconfig: Some(kubeconfig),
            namespace: OURS.to_owned(),
            pool_namespace: OURS.to_owned(),
            ours: Ours { class: "penstock.dev/gateway".to_owned(), classless: false },
        };
        let runtime = Arc::clone(&self.runtime);
        let connect = async move { watch::Cluster::connect(&config, "gateway-1").await };
        let connected = runtime.block_on(runtime.spawn(connect)).unwrap().unwrap();
        let objects = connected.objects();
        Gateway { runtime, connected: Some(connected), objects }
    }
}

/// What follows the cluster.
pub(crate) struct Gateway {
    runtime: Arc<Runtime>,
    connected: Option<watch::Cluster>,
    objects: tokio::sync::watch::Receiver<Objects>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Tasks are ended by a runtime.
        let _guard = self.runtime.enter();
        drop(self.connected.take());
    }
}

impl Gateway {
    pub(crate) fn writer(&self) -> watch::Writer {
        self.connected.as_ref().unwrap().writer()
    }

    pub(crate) fn leases(&self) -> watch::Leases {
        self.connected.as_ref().unwrap().leases()
    }

    /// The objects, as they come.
    pub(crate) fn receiver(&self) -> tokio::sync::watch::Receiver<Objects> {
        self.connected.as_ref().unwrap().objects()
    }

    /// Does something in the gateway's namespace.
    pub(crate) fn ask<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.block_on(self.runtime.spawn(work)).unwrap()
    }

    /// The objects, as they are now.
    pub(crate) fn objects(&mut self) -> Objects {
        self.objects.borrow_and_update().clone()
    }

    /// Whether something has changed since somebody looked.
    pub(crate) fn has_news(&self) -> bool {
        self.objects.has_changed().unwrap()
    }

    /// Waits until the objects are as they should be, and says how long it took.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Objects) -> bool) -> Duration {
        let begun = Instant::now();
        let waited = self.runtime.block_on(async {
            tokio::time::timeout(UNTIL, self.objects.wait_for(is_so))
                .await
                .map(|objects| drop(objects.unwrap()))
        });
        if waited.is_err() {
            panic!("{what}: not so after {UNTIL:?}: {:#?}", self.objects.borrow().problems);
        }
        begun.elapsed()
    }
}

pub(crate) fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(namespace, name)
}

/// A LoadBalancer Service with one port.
pub(crate) fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "penstock.dev/gateway", "ports": [{"port": port}]},
    })
}

/// A slice of a Service's endpoints.
pub(crate) fn slice(name: &str, service: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| {
            json!({
                "addresses": [address], "conditions": {"ready": true}, "nodeName": "node-1",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("{service}-pod")},
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 8080}],
    })
}

/// An IPAddressPool.
pub(crate) fn pool(name: &str, addresses: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": OURS}, "spec": {"addresses": [addresses]},
    })
}

/// The addresses of a slice's endpoints.
pub(crate) fn addresses(objects: &Objects, name: &str) -> Vec<String> {
    let slice = objects.slices.get(&key("default", name));
    let endpoints =
        slice.and_then(|slice| slice.value.slice()).into_iter().flat_map(|slice| &slice.endpoints);
    endpoints.map(|endpoint| endpoint.addr.to_string()).collect()
}
