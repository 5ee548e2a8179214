//! Scheduler and kubelet in one: Pods that wait get a machine, and an nginx in it; Pods that are deleted drain and go.
//!
//! * In: the Pods of every namespace, listed ten times a second. Out: a binding, a status, and in the end the deletion.
//! * The container is an nginx that answers with its machine's name, `backend-N`, on port 8080.
//! * A Pod with a `nodeSelector` for a gateway's hostname is that gateway's: it is the machine's way to everywhere. Other
//!   Pods belong to the Node of their machine.
//! * A deleted Pod goes on serving for [`PRE_STOP`], as a `preStop` sleep makes it do in every cluster that wants
//!   rollouts without loss; its endpoint is not ready, but serving and terminating, for so long.
//! * What the API server does not answer is asked again with the next list: it may be away.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use penstock::{demo::HttpServer, netns::Backend};
use serde_json::{Value, json};

use super::Network;
use crate::cluster::Api;

/// How long a Pod serves after it has been deleted: longer than a busy machine keeps the news of it from a gateway.
const PRE_STOP: Duration = Duration::from_secs(4);

/// The label of a Node that has its name.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

/// Between two looks at the Pods.
const PERIOD: Duration = Duration::from_millis(100);

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Kubelet {
    ends: Arc<AtomicBool>,
    machines: Arc<Mutex<BTreeMap<u8, Machine>>>,
    thread: Option<JoinHandle<()>>,
}

/// A machine and the Pod in it.
#[derive(Debug)]
pub struct Machine {
    /// `NAMESPACE/NAME` of the Pod.
    pub pod: String,
    uid: String,
    server: Option<HttpServer>,
    deleted: Option<Instant>,
}

impl Kubelet {
    pub(super) fn start(api: Api, network: Arc<Network>) -> Kubelet {
        let ends = Arc::new(AtomicBool::new(false));
        let machines = Arc::new(Mutex::new(BTreeMap::new()));
        let work = Work { api, network, machines: machines.clone() };
        let told = ends.clone();
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                // The next round tries again.
                let _ = work.look();
                std::thread::sleep(PERIOD);
            }
        });
        Kubelet { ends, machines, thread: Some(thread) }
    }

    /// The Pods that run, as `NAMESPACE/NAME`, by the name that their server answers.
    pub fn pods(&self) -> BTreeMap<String, String> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let running = machines.iter().filter(|(_, machine)| machine.server.is_some());
        running.map(|(number, machine)| (format!("backend-{number}"), machine.pod.clone())).collect()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

struct Work {
    api: Api,
    network: Arc<Network>,
    machines: Arc<Mutex<BTreeMap<u8, Machine>>>,
}

impl Work {
    fn look(&self) -> Result<()> {
        let list = self.api.get("/api/v1/pods")?;
        let pods = list["items"].as_array().context("no items in the list of Pods")?;
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        machines.retain(|_, machine| pods.iter().any(|pod| text(&pod["metadata"]["uid"]) == machine.uid));
        for pod in pods {
            let of_pod =
                machines.iter_mut().find(|(_, machine)| machine.uid == text(&pod["metadata"]["uid"]));
            let is_deleted = !pod["metadata"]["deletionTimestamp"].is_null();
            match of_pod {
                Some((_, machine)) if is_deleted => self.end(pod, machine)?,
                // One whose status was not taken the first time.
                Some((number, _)) if pod["status"]["podIP"].is_null() => {
                    self.report(pod, self.backend(*number)?)?
                }
                Some(_) => {}
                None if is_deleted => self.remove(pod)?,
                None => {
                    let free =
                        self.network.machines.iter().find(|backend| !machines.contains_key(&backend.number));
                    let Some(backend) = free else { continue };
                    let machine = self.begin(pod, backend)?;
                    machines.insert(backend.number, machine);
                    self.report(pod, backend)?;
                }
            }
        }
        Ok(())
    }

    /// Binds the Pod, and starts its container.
    fn begin(&self, pod: &Value, backend: &Backend) -> Result<Machine> {
        if pod["spec"]["nodeName"].is_null() {
            let gateway = pod["spec"]["nodeSelector"][HOSTNAME].as_str();
            self.network.lead_out(backend, gateway)?;
            let node = gateway.map_or_else(|| Network::node_of(backend.number), str::to_owned);
            let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
            let name = &pod["metadata"]["name"];
            let binding =
                json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
            self.api.create(&format!("{}/binding", path(pod)), &binding)?;
        }
        let folder: PathBuf = self.network.folder.path().join(text(&pod["metadata"]["uid"]));
        std::fs::create_dir_all(folder.join("files"))?;
        let server = HttpServer::start(backend, &folder)?;
        let metadata = &pod["metadata"];
        Ok(Machine {
            pod: format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"])),
            uid: text(&metadata["uid"]).to_owned(),
            server: Some(server),
            deleted: None,
        })
    }

    /// What a kubelet says of a Pod whose container is ready.
    fn report(&self, pod: &Value, backend: &Backend) -> Result<()> {
        let addresses = &backend.addresses;
        let ips: Vec<Value> = addresses.iter().map(|address| json!({"ip": address})).collect();
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .map(|name| json!({"type": name, "status": "True"}));
        let status = json!({"status": {
            "phase": "Running", "podIP": addresses.first(), "podIPs": ips, "conditions": conditions}});
        self.api.patch(&format!("{}/status", path(pod)), &status)?;
        Ok(())
    }

    /// Lets a deleted Pod drain, then ends its container and removes it.
    fn end(&self, pod: &Value, machine: &mut Machine) -> Result<()> {
        let deleted = *machine.deleted.get_or_insert_with(Instant::now);
        if deleted.elapsed() >= PRE_STOP {
            machine.server = None;
            self.remove(pod)?;
        }
        Ok(())
    }

    fn remove(&self, pod: &Value) -> Result<()> {
        self.api.delete(&format!("{}?gracePeriodSeconds=0", path(pod)))?;
        Ok(())
    }

    fn backend(&self, number: u8) -> Result<&Backend> {
        let found = self.network.machines.iter().find(|backend| backend.number == number);
        found.with_context(|| format!("there is no machine {number}"))
    }
}

fn path(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    format!("/api/v1/namespaces/{}/pods/{}", text(&metadata["namespace"]), text(&metadata["name"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
