//! What is not ours after all goes back to the kernel as it came.

use super::super::{DropReason, world::*};
use crate::table::{Destinations, TrafficPolicy};
use std::{collections::HashSet, sync::Arc};

both_families!(
    a_backends_own_traffic_passes,
    an_answer_to_a_kept_client_does_not_pass,
    a_stray_answer_to_us_does_not_pass,
    a_departed_vip_serves_its_flows_alone,
    departed_vips_keep_their_owner,
);

/// A backend that speaks for itself.
fn backend_speaks<F: Net>(world: &mut World<F>) -> Talk<'_, F> {
    let source = backend_addr::<F>(1);
    world.client(0).from(source, BACKEND_SERVICE_PORT).over(backend_link(1))
}

fn a_backends_own_traffic_passes<F: Net>() {
    let mut world = World::<F>::new();
    let stranger = F::addr(Network::Clients, 9);
    backend_speaks(&mut world).to(stranger, 443).send(ACK).expect_pass().moved("passed received");
    backend_speaks(&mut world).to(stranger, 53).datagram().expect_pass();
    // Even with its last hop: the kernel sends the error.
    backend_speaks(&mut world).to(stranger, 53).send_with(SYN, |packet| packet.hop_limit = 1).expect_pass();
}

// S-101
fn an_answer_to_a_kept_client_does_not_pass<F: Net>() {
    let mut world = World::<F>::new();
    world.service(|service| service.external_policy = TrafficPolicy::Local);
    world.set_local_backends(&[1]);
    let who = world.client(0).connect().expect_at(1).expect_client_kept().who();
    world.resume(&who).reply(ACK).expect_at_client();
    // To the same client, but another port of its.
    backend_speaks(&mut world).to(who.original.source, 1).send(ACK).expect_pass();
}

fn a_stray_answer_to_us_does_not_pass<F: Net>() {
    let mut world = World::<F>::new();
    let node = F::addr(Network::Node, NODE);
    backend_speaks(&mut world).to(node, 62_000).send(ACK).expect_drop(DropReason::NoService);
    backend_speaks(&mut world).to(node, 22).syn().expect_pass();
    let pooled = F::addr(Network::Node, 99);
    world.tables(|tables| tables.snat_addresses = Arc::from([pooled]));
    backend_speaks(&mut world).to(pooled, 1024).send(ACK).expect_drop(DropReason::NoService);
}

/// The VIPs are gone, but for flows that use them.
fn depart<F: Net>(world: &mut World<F>) {
    world.tables(|tables| {
        let vips = Arc::make_mut(&mut tables.vips);
        vips.departed = vips.addresses.keys().copied().collect::<HashSet<_>>().into_iter().collect();
        vips.addresses.clear();
        vips.tuples = Destinations::default();
        tables.services = Default::default();
    });
}

// S-141, S-142
fn a_departed_vip_serves_its_flows_alone<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    depart(&mut world);
    world.resume(&who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    world.client(1).syn().expect_pass().expect_no_flow();
}

// S-141
fn departed_vips_keep_their_owner<F: Net>() {
    let mut world = World::<F>::with(4, |_| {});
    let all: Vec<_> = (0..20).map(|client| world.client(client).connect().who()).collect();
    depart(&mut world);
    for who in all {
        world.resume(&who).send(ACK).expect_at(who.backend).reply(ACK).expect_at_client();
    }
}
