//! ClientIP affinity through the whole path (§3.10).
//!
//! The hash alone keeps a client on its backend as long as the list stays, so what is shown here happens after the list
//! has changed, to clients whom the hash would now send elsewhere.

use super::super::world::*;
use crate::table::{FlowHash, Ring, TrafficPolicy, Transport};
use std::{num::NonZeroU32, time::Duration};

const OLD: &[usize] = &[0, 1, 2];
const NEW: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7];
const SECONDS: u32 = 100;
const AFFINITY: Option<NonZeroU32> = NonZeroU32::new(SECONDS);
const TIMEOUT: Duration = Duration::from_secs(SECONDS as u64);

both_families!(
    a_client_keeps_its_backend_when_others_come,
    a_record_is_shared_over_the_kinds_of_vip,
    ports_of_a_service_have_records_of_their_own,
    a_record_expires_after_the_last_new_flow,
    a_client_whose_backend_left_stays_with_the_next,
    a_record_is_void_once_its_backend_has_left,
    a_record_outside_the_list_is_left_alone,
    of_two_records_the_first_in_text_order_counts,
    affinity_can_be_switched_off_and_on,
    workers_share_records,
    explaining_changes_nothing,
    refused_flows_leave_no_record,
);

/// Whom the hash alone gives a client.
fn hashed<F: Net>(transport: Transport, backends: &[usize], client: u32) -> usize {
    let all = || backends.iter().map(|number| (*number, backend::<F>(transport, *number)));
    let ring = Ring::build(all().map(|(_, backend)| backend).collect()).unwrap();
    let picked = ring.pick(FlowHash::of_client::<F>(F::addr(Network::Clients, client + 1)));
    all().find(|(_, backend)| backend == picked).unwrap().0
}

/// Clients that the hash moves when the backends become others.
fn moved<F: Net>(transport: Transport, old: &[usize], new: &[usize]) -> impl Iterator<Item = u32> {
    (0..1000)
        .filter(move |client| hashed::<F>(transport, old, *client) != hashed::<F>(transport, new, *client))
}

fn world<F: Net>() -> World<F> {
    let mut world = World::new();
    world.service(|service| service.affinity = AFFINITY);
    world
}

// S-129, S-130
fn a_client_keeps_its_backend_when_others_come<F: Net>() {
    let mut world = world::<F>();
    let clients: Vec<_> = moved::<F>(Transport::Tcp, OLD, NEW).take(20).collect();
    for client in &clients {
        world.client(*client).syn().expect_at(hashed::<F>(Transport::Tcp, OLD, *client));
    }
    world.set_backends(NEW);
    for client in clients {
        for port in 1..=15 {
            let home = hashed::<F>(Transport::Tcp, OLD, client);
            world.client(client).source_port(port).syn().expect_at(home);
        }
    }
    let stranger = moved::<F>(Transport::Tcp, OLD, NEW).nth(20).unwrap();
    world.client(stranger).syn().expect_at(hashed::<F>(Transport::Tcp, NEW, stranger));
}

// S-131
fn a_record_is_shared_over_the_kinds_of_vip<F: Net>() {
    let mut world = world::<F>();
    let client = moved::<F>(Transport::Tcp, OLD, NEW).next().unwrap();
    let home = hashed::<F>(Transport::Tcp, OLD, client);
    world.client(client).vip(CLUSTER_IP).syn().expect_at(home);
    world.set_backends(NEW);
    world.client(client).vip(LB_IP).syn().expect_at(home);
    world.client(client).vip(EXTERNAL_IP).syn().expect_at(home);
    world.client(client).node_port().syn().expect_at(home);
}

// S-132
fn ports_of_a_service_have_records_of_their_own<F: Net>() {
    let mut world = world::<F>();
    let client = moved::<F>(Transport::Tcp, OLD, NEW)
        .find(|client| hashed::<F>(Transport::Udp, NEW, *client) != hashed::<F>(Transport::Tcp, OLD, *client))
        .unwrap();
    let home = hashed::<F>(Transport::Tcp, OLD, client);
    world.client(client).syn().expect_at(home);
    world.set_backends(NEW);
    world.client(client).datagram().expect_at(hashed::<F>(Transport::Udp, NEW, client));
    world.client(client).source_port(1).syn().expect_at(home);
}

// S-133, S-134
fn a_record_expires_after_the_last_new_flow<F: Net>() {
    let mut world = world::<F>();
    let clients: Vec<_> = moved::<F>(Transport::Tcp, OLD, NEW).take(2).collect();
    let home = |client| hashed::<F>(Transport::Tcp, OLD, client);
    let talk = world.client(clients[0]).connect().expect_at(home(clients[0])).who();
    world.client(clients[1]).syn().expect_at(home(clients[1]));
    world.set_backends(NEW);
    world.wait(TIMEOUT - Duration::from_millis(1));
    world.resume(&talk).send(ACK).expect_at(home(clients[0]));
    world.client(clients[1]).source_port(1).syn().expect_at(home(clients[1]));
    world.wait(Duration::from_millis(1));
    // Packets of the old connection have not kept the record alive; a record as old as the timeout is none.
    world.client(clients[0]).source_port(1).syn().expect_at(hashed::<F>(Transport::Tcp, NEW, clients[0]));
    world.resume(&talk).send(ACK).expect_at(home(clients[0]));
    // The other's new flow has.
    world.wait(TIMEOUT - Duration::from_millis(2));
    world.client(clients[1]).source_port(2).syn().expect_at(home(clients[1]));
}

// S-135, S-136
fn a_client_whose_backend_left_stays_with_the_next<F: Net>() {
    let mut world = world::<F>();
    let client = (0..1000).find(|client| hashed::<F>(Transport::Tcp, OLD, *client) == 1).unwrap();
    let talk = world.client(client).connect().expect_at(1).who();
    world.set_backends(&[0, 2]);
    let next = hashed::<F>(Transport::Tcp, &[0, 2], client);
    world.client(client).source_port(1).syn().expect_at(next);
    world.set_backends(OLD);
    world.client(client).source_port(2).syn().expect_at(next);
    world.resume(&talk).send(ACK).expect_at(1);
}

// S-210
fn a_record_is_void_once_its_backend_has_left<F: Net>() {
    let mut world = world::<F>();
    let client = moved::<F>(Transport::Tcp, OLD, NEW).next().unwrap();
    let home = hashed::<F>(Transport::Tcp, OLD, client);
    world.client(client).syn().expect_at(home);
    world.set_backends(NEW);
    let without: Vec<_> = NEW.iter().copied().filter(|backend| *backend != home).collect();
    world.set_backends(&without);
    world.set_backends(NEW);
    world.client(client).source_port(1).syn().expect_at(hashed::<F>(Transport::Tcp, NEW, client));
}

// S-137
fn a_record_outside_the_list_is_left_alone<F: Net>() {
    let mut world = world::<F>();
    world.service(|service| service.external_policy = TrafficPolicy::Local);
    world.set_local_backends(&[0]);
    let client = (0..1000).find(|client| hashed::<F>(Transport::Tcp, OLD, *client) == 1).unwrap();
    world.client(client).vip(CLUSTER_IP).syn().expect_at(1);
    world.client(client).vip(LB_IP).syn().expect_at(0).expect_client_kept();
    world.client(client).vip(LB_IP).source_port(1).syn().expect_at(0);
}

// S-211
fn of_two_records_the_first_in_text_order_counts<F: Net>() {
    for (first, local) in [(1, 0), (1, 2)] {
        let mut world = world::<F>();
        world.service(|service| service.external_policy = TrafficPolicy::Local);
        world.set_local_backends(&[local]);
        let client = (0..1000).find(|client| hashed::<F>(Transport::Tcp, OLD, *client) == first).unwrap();
        world.client(client).vip(CLUSTER_IP).syn().expect_at(first);
        world.client(client).vip(LB_IP).syn().expect_at(local);
        // Both records are in the cluster list now.
        world.client(client).vip(CLUSTER_IP).source_port(1).syn().expect_at(first.min(local));
        // Where only one of them is, that one counts.
        let rest: Vec<_> = NEW.iter().copied().filter(|backend| *backend != first.min(local)).collect();
        world.set_cluster_backends(&rest);
        world.client(client).vip(CLUSTER_IP).source_port(2).syn().expect_at(first.max(local));
    }
}

// S-138
fn affinity_can_be_switched_off_and_on<F: Net>() {
    let mut world = world::<F>();
    let client = moved::<F>(Transport::Tcp, OLD, NEW).next().unwrap();
    let home = hashed::<F>(Transport::Tcp, OLD, client);
    world.client(client).syn().expect_at(home);
    world.set_backends(NEW);
    world.service(|service| (service.affinity, service.pins) = (None, Default::default()));
    let used: std::collections::HashSet<_> = (1..200)
        .map(|port| world.client(client).source_port(port).syn().expect_at_backend().who.backend)
        .collect();
    assert_eq!(used.len(), NEW.len(), "every flow for itself");
    world.service(|service| service.affinity = AFFINITY);
    world.pin_backends();
    let new = hashed::<F>(Transport::Tcp, NEW, client);
    for port in 200..215 {
        world.client(client).source_port(port).syn().expect_at(new);
    }
}

fn workers_share_records<F: Net>() {
    let mut world = World::<F>::with(4, |_| {});
    world.service(|service| service.affinity = AFFINITY);
    let clients: Vec<_> = moved::<F>(Transport::Tcp, OLD, NEW).take(20).collect();
    clients.iter().for_each(|client| drop(world.client(*client).syn().expect_at_backend()));
    world.set_backends(NEW);
    // Every worker in turn decides for every client, as after a change of the queues.
    for client in clients {
        let tuple = world.client(client).source_port(7).who().original;
        let home = backend::<F>(Transport::Tcp, hashed::<F>(Transport::Tcp, OLD, client));
        for worker in 0..4 {
            match world.decide_at(worker, &tuple) {
                super::super::Decision::Serve(choice) => assert_eq!(choice.backend, home),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn explaining_changes_nothing<F: Net>() {
    let mut world = world::<F>();
    let client = moved::<F>(Transport::Tcp, OLD, NEW).next().unwrap();
    let tuple = world.client(client).who().original;
    let explain = |world: &World<F>| {
        let remembered = world.remembered(0);
        super::super::explain(
            F::tables(&world.snapshot),
            &world.workers[0].config().steering,
            &tuple,
            remembered,
            None,
        )
    };
    let backend_of = |number| Some(std::net::SocketAddr::new(F::to_ip(backend_addr::<F>(number)), 8080));
    let hash = explain(&world).decision.unwrap();
    let home = hashed::<F>(Transport::Tcp, OLD, client);
    assert_eq!((Some(hash.backend), hash.record_age_ms), (backend_of(home), None));
    assert!(world.remembered(0).table.is_empty(), "nothing is noted");
    world.client(client).syn().expect_at(home);
    world.set_backends(NEW);
    world.wait(Duration::from_secs(60));
    for _ in 0..2 {
        let record = explain(&world).decision.unwrap();
        assert_eq!((Some(record.backend), record.record_age_ms), (backend_of(home), Some(60_000)));
        let instead = record.others.iter().find(|other| other.because.contains("on record")).unwrap();
        assert_eq!(Some(instead.backend), backend_of(hashed::<F>(Transport::Tcp, NEW, client)));
        assert_eq!(record.others.len(), NEW.len() - 1);
    }
    world.wait(Duration::from_secs(40));
    assert_eq!(explain(&world).decision.unwrap().record_age_ms, None, "it was not refreshed by asking");
}

fn refused_flows_leave_no_record<F: Net>() {
    let mut world = world::<F>();
    world.client(1).send(RST).expect_drop(super::super::DropReason::TcpInvalid);
    world.service(|service| service.cluster = crate::table::Endpoints::Reject);
    world.client(1).syn().expect_reset();
    assert!(world.remembered(0).table.is_empty());
}
