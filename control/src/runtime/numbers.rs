//! The numbers of a gateway in a cluster, for `/metrics`: read when they are asked for.
//!
//! The usage of pools is counted from the Services' statuses, as every gateway sees them; where nothing has changed since
//! it was counted last, it is not counted again.

use super::{Appliance, known::Known};
use crate::{
    http::ClusterSample,
    ipam::{Allocator, Pools, Usage},
    objects::Objects,
    watch::{Cluster, Connection},
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Numbers {
    connection: Connection,
    appliance: Arc<Appliance>,
    pools: Mutex<(Objects, Vec<(String, Usage)>)>,
}

impl Numbers {
    pub(super) fn new(cluster: &Cluster, appliance: &Arc<Appliance>) -> Self {
        Self { connection: cluster.connection(), appliance: Arc::clone(appliance), pools: Mutex::default() }
    }

    /// As they are now.
    pub(super) fn sample(&self) -> ClusterSample {
        let known = self.appliance.known();
        let v4 = known.plan.mine.keys().filter(|address| address.is_ipv4()).count();
        ClusterSample {
            connected: self.connection.is_up(),
            last_answer: self.connection.last_answer(),
            gateways: known.gateways.len() as u64,
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
