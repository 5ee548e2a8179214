//! The ports of a Service that is new, has changed or is gone: numbers are held, records made, numbers let go.

use super::{
    affinity::pins,
    capture::of_family,
    changes::{BackendRef, Retired, ServiceRef},
    compiler::PortView,
    environment::family,
    family::{BackendKey, Entry, FamilyTables, Port, Records, Shared},
    merge::merge,
    record::{EndpointLists, candidates, lists, source_ranges, wanted},
    retire::{retire, serving},
};
use crate::model::{Joined, ServicePort};
use penstock_dataplane::{
    table::{BackendId, NextHopId, Service, ServiceId, ServiceName, Transport},
    wire::Family,
};
use std::{net::SocketAddr, sync::Arc};

impl<F: Family> FamilyTables<F> {
    pub(super) fn remove_port(&mut self, port: Port<F>, records: &mut Records<F>, shared: &mut Shared) {
        for key in port.held.keys() {
            self.drop_backend(port.record.name.transport, *key, shared);
        }
        self.ids.drop(&port.record.name);
        records.0.push((port.record.id, None));
        shared.changes.removed.services.push(reference(&port.record));
    }

    /// The ports of a Service that is new or has changed.
    pub(super) fn ports(
        &mut self,
        joined: &Joined,
        mut old: Vec<Port<F>>,
        records: &mut Records<F>,
        shared: &mut Shared,
    ) -> Vec<Port<F>> {
        let mut ports = Vec::with_capacity(joined.service.ports.len());
        for port in &joined.service.ports {
            let same = |old: &Port<F>| {
                let name = &old.record.name;
                name.port_name == port.name && name.transport == port.transport
            };
            let old = old.iter().position(same).map(|index| old.swap_remove(index));
            ports.push(self.port(joined, port, old, records, shared));
        }
        old.into_iter().for_each(|port| self.remove_port(port, records, shared));
        ports
    }

    fn port(
        &mut self,
        joined: &Joined,
        port: &ServicePort,
        old: Option<Port<F>>,
        records: &mut Records<F>,
        shared: &mut Shared,
    ) -> Port<F> {
        let service = &joined.service;
        let (name, id) = match &old {
            Some(old) => (Arc::clone(&old.record.name), old.record.id),
            None => {
                let name = Arc::new(ServiceName {
                    namespace: service.key.namespace.clone(),
                    name: service.key.name.clone(),
                    port_name: port.name.clone(),
                    transport: port.transport,
                });
                (Arc::clone(&name), ServiceId(self.ids.hold(name).0))
            }
        };
        let (old_record, old_held) = old.map(|old| (old.record, old.held)).unzip();
        let old_held = old_held.unwrap_or_default();
        let merged = merge::<F>(joined, port);
        let (held, retired) = retire::<F>(port.transport, &old_held, &merged);
        for key in held.keys().filter(|key| !old_held.contains_key(key)) {
            self.hold_backend(port.transport, *key, shared);
        }
        for key in retired {
            if let Some(backend) = shared.backends.get(&backend_key::<F>(port.transport, key)) {
                let backend = BackendId(backend);
                shared.changes.retired.push(Retired { family: family::<F>(), service: id, backend });
            }
        }
        let numbers = |key: (F::Addr, u16)| {
            let backend = shared.backends.get(&backend_key::<F>(port.transport, key)).unwrap_or(u32::MAX);
            (BackendId(backend), self.next_hops.id(key.0).unwrap_or(NextHopId(u32::MAX)))
        };
        let known: Vec<_> = old_record.iter().flat_map(|old| [&old.cluster, &old.local]).collect();
        let place = &self.facts.place;
        let EndpointLists { cluster, local, lacks_local } =
            lists(&merged, wanted(service, port), place, numbers, &known);
        let pins = match service.affinity {
            Some(_) => pins([&cluster, &local], old_record.as_ref(), &mut shared.pins_given),
            None => Arc::default(),
        };
        let record = Service {
            id,
            name,
            cluster,
            local,
            internal_policy: service.internal_policy,
            external_policy: service.external_policy,
            affinity: service.affinity,
            pins,
            serving: serving::<F>(port.transport, &merged),
            source_ranges: source_ranges(service, &self.facts),
        };
        for key in old_held.keys().filter(|key| !held.contains_key(key)) {
            self.drop_backend(port.transport, *key, shared);
        }
        let record = match old_record {
            Some(old) if old == record => old,
            old => {
                records.0.push((id, Some(record.clone())));
                match old {
                    Some(_) => shared.changes.changed.push(reference(&record)),
                    None => shared.changes.added.services.push(reference(&record)),
                }
                record
            }
        };
        Port { record, held, lacks_local }
    }

    /// Every port of every Service, with what has become of its endpoints.
    pub(super) fn views<'c>(&'c self, shared: &'c Shared) -> impl Iterator<Item = PortView<'c>> {
        let of_entry = move |entry: &'c Entry<F>| {
            let (joined, service) = (&entry.joined, &entry.joined.service);
            service.ports.iter().zip(&entry.ports).map(move |(port, compiled)| {
                let number = |key| {
                    let backend = shared.backends.get(&backend_key::<F>(port.transport, key));
                    BackendId(backend.unwrap_or(u32::MAX))
                };
                let merged = merge::<F>(joined, port);
                let candidates = candidates::<F>(&merged, wanted(service, port), &self.facts.place, number);
                PortView { family: family::<F>(), id: compiled.record.id, service, port, candidates }
            })
        };
        self.services.values().flat_map(of_entry)
    }

    fn hold_backend(&mut self, transport: Transport, (addr, port): (F::Addr, u16), shared: &mut Shared) {
        let key = backend_key::<F>(transport, (addr, port));
        if let (id, true) = shared.backends.hold(key) {
            self.tally.backends += 1;
            self.next_hops.hold(addr, &mut shared.addresses);
            if self.backend_ports.hold((transport, port)) {
                shared.captured.backend_ports.insert(of_family::<F>(&(transport, port)));
            }
            shared.changes.added.backends.push(BackendRef { id: BackendId(id), transport, address: key.1 });
        }
    }

    fn drop_backend(&mut self, transport: Transport, (addr, port): (F::Addr, u16), shared: &mut Shared) {
        let key = backend_key::<F>(transport, (addr, port));
        if let Some(id) = shared.backends.drop(&key) {
            self.tally.backends -= 1;
            self.next_hops.drop(addr, &mut shared.addresses);
            self.backend_ports.drop((transport, port));
            shared.changes.removed.backends.push(BackendRef { id: BackendId(id), transport, address: key.1 });
        }
    }
}

fn backend_key<F: Family>(transport: Transport, (addr, port): (F::Addr, u16)) -> BackendKey {
    (transport, SocketAddr::new(F::to_ip(addr), port))
}

fn reference<F: Family>(record: &Service<F>) -> ServiceRef {
    ServiceRef { family: family::<F>(), id: record.id, name: Arc::clone(&record.name) }
}
