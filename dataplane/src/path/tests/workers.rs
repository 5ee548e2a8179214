//! Two and more workers: both directions of a flow, and the errors about it, meet at one of them.

use super::super::{DropReason, Verdict, world::*};
use crate::table::{TrafficPolicy, VipKind};
use std::{collections::HashSet, sync::Arc};

both_families! {
    both_directions_meet_wherever_they_arrive,
    icmp_errors_meet_their_flow,
    a_node_address_that_is_a_vip_still_gets_its_answers,
    workers_share_the_snat_ports,
    a_handoff_is_counted_once_more,
}

const WORKERS: u16 = 3;

fn both_directions_meet_wherever_they_arrive<F: Net>() {
    for kept in [false, true] {
        let mut world = World::<F>::with(WORKERS, |_| {});
        if kept {
            world.service(|service| service.external_policy = TrafficPolicy::Local);
        }
        for client in 0..60u32 {
            let mut owners = HashSet::new();
            let here = |world: &mut World<F>, step: usize| world.arrive_at = (client as usize + step) % 3;
            here(&mut world, 0);
            let talk = match client % 3 {
                0 => world.client(client).node_port().syn(),
                1 => world.client(client).vip(EXTERNAL_IP).syn(),
                _ => world.client(client).syn(),
            };
            let talk = talk.expect_at_backend();
            let talk = if kept { talk.expect_client_kept() } else { talk.expect_masqueraded() };
            owners.insert(talk.outcome().worker);
            let who = talk.who();
            here(&mut world, 1);
            owners.insert(world.resume(&who).reply(SYN_ACK).expect_at_client().outcome().worker);
            here(&mut world, 2);
            owners.insert(world.resume(&who).send(ACK).expect_at_backend().outcome().worker);
            assert_eq!(owners.len(), 1);
        }
        let flows = world.flows_by_worker();
        assert!(flows.iter().all(|flows| *flows >= 8), "{flows:?}: all workers work");
    }
}

fn icmp_errors_meet_their_flow<F: Net>() {
    for vip in [CLUSTER_IP, LB_IP] {
        let mut world = World::<F>::with(WORKERS, |_| {});
        for client in 0..12 {
            let pod = F::addr(Network::Pods, client);
            let who = world.client(0).from(pod, 5).vip(vip).datagram().expect_at_backend().who();
            for worker in 0..usize::from(WORKERS) {
                world.arrive_at = worker;
                let (kind, router) = (IcmpErrorKind::TooBig(1300), F::addr(Network::Routers, 1));
                let outcome = world.resume(&who).icmp_from_backend_side(kind, router);
                assert_eq!(outcome.verdict, Verdict::Forward(CLIENT_PORT));
                let outcome = world.resume(&who).icmp_from_client_side(kind, router);
                assert_eq!(outcome.verdict, Verdict::Forward(BACKEND_PORT));
            }
        }
    }
}

/// A node's own address as an external IP: answers to masqueraded flows come to a VIP, and yet go by their port.
fn a_node_address_that_is_a_vip_still_gets_its_answers<F: Net>() {
    let mut world = World::<F>::with(WORKERS, |_| {});
    let node = F::addr(Network::Node, NODE);
    world.tables(|tables| {
        let vips = Arc::make_mut(&mut tables.vips);
        for transport in [crate::table::Transport::Tcp, crate::table::Transport::Udp] {
            let target = vips.tuples.get(F::addr(Network::Vips, LB_IP), transport, SERVICE_PORT).unwrap();
            vips.tuples.insert(node, transport, SERVICE_PORT, target);
            // A served port within the SNAT range is the Service's.
            vips.tuples.insert(node, transport, 61_234, target);
        }
        vips.addresses.insert(node, VipKind::ExternalIp);
    });
    for client in 0..30 {
        for port in [SERVICE_PORT, 61_234] {
            world.client(client).to(node, port).connect();
        }
    }
}

fn workers_share_the_snat_ports<F: Net>() {
    let mut world = World::<F>::with_ports(2, 61_000..=61_009, |_| {});
    world.set_backends(&[0]);
    let mut used = HashSet::new();
    let mut refused = [0, 0];
    for client in 0..40 {
        let talk = world.client(client).syn();
        match talk.outcome().verdict {
            Verdict::Forward(_) => {
                let port = talk.expect_at(0).who.at_backend.unwrap().source_port;
                assert!(used.insert(port), "port {port} twice");
            }
            verdict => {
                assert_eq!(verdict, Verdict::Drop(DropReason::SnatExhausted));
                refused[talk.outcome().worker] += 1;
            }
        }
    }
    assert_eq!(used.len(), 10);
    assert!(refused.iter().all(|refused| *refused > 0), "each has its own share: {refused:?}");
}

fn a_handoff_is_counted_once_more<F: Net>() {
    let mut world = World::<F>::with(2, |_| {});
    let who = world.client(0).syn().expect_at_backend().who();
    let owner = world.resume(&who).syn().outcome().worker;
    world.arrive_at = owner;
    world.resume(&who).syn().expect_at_backend().moved("forwarded received");
    world.arrive_at = 1 - owner;
    world.resume(&who).syn().expect_at_backend().moved("forwarded handed_off received+2");
}
