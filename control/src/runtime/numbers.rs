//! The numbers of a gateway in a cluster, for `/metrics`: read when they are asked for.
//!
//! The usage of pools is counted from the Services' statuses, as every gateway sees them; where nothing has changed since
//! it was counted last, it is not counted again.

use super::{Appliance, known::Known};
use crate::{
    gateways::{LEASE_PREFIX, LEAVING},
    http::ClusterSample,
    ipam::{Allocator, Pools, Usage},
    objects::Objects,
    watch::{Cluster, Connection, SeenLease, SeenLeases},
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::watch;

/// See the module.
#[derive(Debug)]
pub(super) struct Numbers {
    connection: Connection,
    leases: watch::Receiver<SeenLeases>,
    appliance: Arc<Appliance>,
    pools: Mutex<(Objects, Vec<(String, Usage)>)>,
}

impl Numbers {
    pub(super) fn new(cluster: &Cluster, appliance: &Arc<Appliance>) -> Self {
        Self {
            connection: cluster.connection(),
            leases: cluster.leases().seen(),
            appliance: Arc::clone(appliance),
            pools: Mutex::default(),
        }
    }

    /// As they are now.
    pub(super) fn sample(&self) -> ClusterSample {
        let known = self.appliance.known();
        let v4 = known.plan.mine.keys().filter(|address| address.is_ipv4()).count();
        ClusterSample {
            connected: self.connection.is_up(),
            last_answer: self.connection.last_answer(),
            gateways: live(&self.leases.borrow(), &known.node_name),
            announced: [v4 as u64, (known.plan.mine.len() - v4) as u64],
            pools: self.pools(&known),
        }
    }

    fn pools(&self, known: &Known) -> Vec<(String, Usage)> {
        let mut last = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let now = &known.objects;
        if !(last.0.services.ptr_eq(&now.services) && last.0.pools.ptr_eq(&now.pools)) {
            let kept =
                Objects { services: now.services.clone(), pools: now.pools.clone(), ..Objects::default() };
            *last = (kept, usage(now));
        }
        last.1.clone()
    }
}

/// How many gateways are alive. One is not if its Lease has run out while ours was renewed, as in
/// [`Gateways`](crate::gateways::Gateways): while the API server is away nobody is seen to die.
fn live(leases: &SeenLeases, own: &str) -> u64 {
    let own = leases.iter().find(|(name, _)| name.strip_prefix(LEASE_PREFIX) == Some(own));
    let now = own.map_or_else(Instant::now, |(_, lease)| lease.changed);
    let is_live =
        |lease: &SeenLease| !lease.annotations.contains_key(LEAVING) && lease.changed + lease.duration >= now;
    leases.iter().filter(|(name, lease)| name.starts_with(LEASE_PREFIX) && is_live(lease)).count() as u64
}

/// What Services have of each pool. Pools of which one is wrong are not counted: what their last good version gives is
/// told by the status of each.
fn usage(objects: &Objects) -> Vec<(String, Usage)> {
    let specs = objects.pools.iter().map(|(key, pool)| (key.name.as_str(), &pool.value.spec));
    let Ok(pools) = Pools::read(specs) else { return Vec::new() };
    let mut allocator = Allocator::default();
    allocator.set_pools(pools);
    for (key, service) in &objects.services {
        let status = service.value.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
        let addresses: Vec<IpAddr> =
            ingress.filter_map(|ingress| ingress.ip.as_ref()?.parse().ok()).collect();
        allocator.reserve(key, &addresses);
    }
    allocator.usage().into_iter().map(|(name, usage)| (name.to_owned(), usage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Object, ObjectKey};
    use serde_json::json;
    use std::{collections::BTreeMap, time::Duration};

    #[test]
    fn who_lets_its_lease_run_out_while_ours_is_renewed_is_not_alive() {
        let start = Instant::now();
        let lease = |changed: u64, leaving: bool| SeenLease {
            holder: "it".to_owned(),
            duration: Duration::from_secs(4),
            annotations: BTreeMap::from_iter(leaving.then(|| (LEAVING.to_owned(), "true".to_owned()))),
            renewed: None,
            changed: start + Duration::from_secs(changed),
        };
        let all = [("me", 10, false), ("you", 6, false), ("dead", 5, false), ("leaving", 10, true)];
        let mut leases: SeenLeases = all
            .into_iter()
            .map(|(node, changed, leaving)| (format!("{LEASE_PREFIX}{node}"), lease(changed, leaving)))
            .collect();
        leases.insert("penstock-addresses".to_owned(), lease(10, false));
        assert_eq!(live(&leases, "me"), 2);
    }

    #[test]
    fn pools_are_used_by_what_services_have() {
        let mut objects = Objects::default();
        let pool =
            json!({"metadata": {"name": "p"}, "spec": {"addresses": ["192.0.2.0/30", "2001:db8::/126"]}});
        let pool = Object { origin: None, value: Arc::new(serde_json::from_value(pool).unwrap()) };
        objects.pools.insert(ObjectKey::new("penstock", "p"), pool);
        for (name, ip) in [("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "2001:db8::1"), ("d", "203.0.113.1")]
        {
            let status = json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
            let service = json!({"metadata": {"name": name, "namespace": "default"}, "status": status});
            let service = Object { origin: None, value: Arc::new(serde_json::from_value(service).unwrap()) };
            objects.services.insert(ObjectKey::new("default", name), service);
        }
        let used = Usage { assigned: [1, 1], available: [3, 3] };
        assert_eq!(usage(&objects), [("p".to_owned(), used)]);
    }
}
