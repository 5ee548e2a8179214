//! UDP flows whose backend serves no more (§3.12).

use super::super::world::*;
use crate::table::{Destinations, Target, Transport, VipKind};
use std::sync::Arc;

both_families!(
    a_flow_of_a_gone_backend_goes_elsewhere,
    a_reply_of_a_gone_backend_is_nobodys,
    a_flow_of_a_terminating_backend_stays,
    with_nobody_left_flows_stay,
    node_port_flows_are_repaired,
    flows_of_a_gone_service_stay,
    all_services_are_looked_at,
    a_node_port_number_elsewhere_is_left_alone,
    clients_who_sent_too_early_are_served,
    other_changes_repair_nothing,
);

/// A client whose datagrams go to backend 0 of three.
fn settled<F: Net>() -> (World<F>, Speakers<F>) {
    let mut world = World::<F>::new();
    world.set_serving(&[0, 1, 2]);
    let at = |client: u32, world: &mut World<F>| world.client(client).datagram().expect_at_backend().who();
    let who = (0..).map(|client| at(client, &mut world)).find(|who| who.backend == 0).unwrap();
    (world, who)
}

// S-143
fn a_flow_of_a_gone_backend_goes_elsewhere<F: Net>() {
    let (mut world, who) = settled::<F>();
    world.set_backends(&[1, 2]);
    world.set_serving(&[1, 2]);
    let talk = world.resume(&who).datagram().expect_at_backend().moved("forwarded opened received");
    assert_ne!(talk.who.backend, 0);
    let who = talk.reply(NO_FLAGS).expect_at_client().who();
    world.resume(&who).datagram().expect_at(who.backend).moved("forwarded received");
}

fn a_reply_of_a_gone_backend_is_nobodys<F: Net>() {
    let (mut world, who) = settled::<F>();
    world.set_backends(&[1, 2]);
    world.set_serving(&[1, 2]);
    world.resume(&who).reply(NO_FLAGS).expect_drop(super::super::DropReason::NoService);
    world.resume(&who).datagram().expect_at_backend().reply(NO_FLAGS).expect_at_client();
}

// S-144
fn a_flow_of_a_terminating_backend_stays<F: Net>() {
    let (mut world, who) = settled::<F>();
    world.set_backends(&[1, 2]);
    world.set_serving(&[0, 1, 2]);
    world.resume(&who).datagram().expect_at(0).reply(NO_FLAGS).expect_at_client();
}

// S-145
fn with_nobody_left_flows_stay<F: Net>() {
    let (mut world, who) = settled::<F>();
    world.set_backends(&[]);
    world.set_serving(&[]);
    world.resume(&who).datagram().expect_at(0).reply(NO_FLAGS).expect_at_client();
    world.set_backends(&[2]);
    world.set_serving(&[2]);
    world.resume(&who).datagram().expect_at(2);
}

// S-146
fn node_port_flows_are_repaired<F: Net>() {
    let mut world = World::<F>::new();
    let other = F::addr(Network::Node, 7);
    world.tables(|tables| {
        Arc::make_mut(&mut tables.vips).node_addresses.insert(other);
    });
    world.set_backends(&[0]);
    world.set_serving(&[0]);
    for (client, node) in [(0, F::addr(Network::Node, NODE)), (1, other)] {
        let who = world.client(client).to(node, NODE_PORT).datagram().expect_at(0).who();
        world.set_backends(&[1]);
        world.set_serving(&[1]);
        world.resume(&who).datagram().expect_at(1);
        world.set_backends(&[0]);
        world.set_serving(&[0]);
    }
}

// S-141, S-213
fn flows_of_a_gone_service_stay<F: Net>() {
    let (mut world, who) = settled::<F>();
    world.tables(|tables| {
        Arc::make_mut(&mut tables.vips).tuples = Destinations::default();
        Arc::make_mut(&mut tables.vips).addresses.clear();
        tables.udp_epoch += 1;
    });
    world.resume(&who).datagram().expect_at(0).reply(NO_FLAGS).expect_at_client();
}

// S-213
fn all_services_are_looked_at<F: Net>() {
    let (mut world, who) = settled::<F>();
    // The VIP goes to another Service port, with other backends: kube-proxy does not look at flows for that alone.
    world.tables(|tables| {
        let id = crate::table::ServiceId(tables.services.iter().count() as u32);
        let udp = tables
            .services
            .iter()
            .flatten()
            .find(|service| service.name.transport == Transport::Udp)
            .unwrap();
        let mut service = udp.clone();
        service.id = id;
        let backend = backend::<F>(Transport::Udp, 5);
        service.serving = Some(Arc::new(vec![(backend.addr, backend.port)]));
        service.cluster = crate::table::Endpoints::Ring(crate::table::Ring::build(vec![backend]).unwrap());
        tables.services.set([(id.0 as usize, Some(service))], &None);
        let vip = F::addr(Network::Vips, LB_IP);
        let target = Target { service: id, kind: VipKind::LoadBalancerIp };
        Arc::make_mut(&mut tables.vips).tuples.insert(vip, Transport::Udp, SERVICE_PORT, target);
    });
    world.resume(&who).datagram().expect_at(0);
    // A change of any UDP Service's slices makes it look at all of them.
    world.tables(|tables| tables.udp_epoch += 1);
    world.resume(&who).datagram().expect_at(5);
}

/// A NodePort's number on an address that has no NodePorts is somebody else's: there, flows are not looked at for it.
// S-213
fn a_node_port_number_elsewhere_is_left_alone<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0]);
    let vip = F::addr(Network::Vips, LB_IP);
    let mut before = Destinations::default();
    world.tables(|tables| {
        let vips = Arc::make_mut(&mut tables.vips);
        before = vips.tuples.clone();
        let target = vips.tuples.get(vip, Transport::Udp, SERVICE_PORT).unwrap();
        vips.tuples.insert(vip, Transport::Udp, NODE_PORT, target);
    });
    let who = world.client(0).to(vip, NODE_PORT).datagram().expect_at(0).who();
    world.tables(|tables| Arc::make_mut(&mut tables.vips).tuples = before);
    // The NodePort's backends are others now, and its flows are decided anew; this one has not been to a node address.
    world.set_backends(&[1]);
    world.set_serving(&[1]);
    world.resume(&who).datagram().expect_at(0).moved("forwarded received");
    world.client(0).node_port().datagram().expect_at(1);
}

// S-111, S-147
fn clients_who_sent_too_early_are_served<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[]);
    let who = world.client(0).udp().send(NO_FLAGS).expect_no_flow().who();
    world.set_backends(&[1]);
    world.set_serving(&[1]);
    world.resume(&who).datagram().expect_at(1).reply(NO_FLAGS).expect_at_client();
}

// S-148
fn other_changes_repair_nothing<F: Net>() {
    let (mut world, who) = settled::<F>();
    let tcp = world.client(50).connect().who();
    world.set_backends(&[1, 2]);
    // Not a change of UDP slices.
    world.resume(&who).datagram().expect_at(0);
    world.set_serving(&[1, 2]);
    world.service(|service| service.serving = Some(Arc::default()));
    world.resume(&tcp).send(ACK).expect_at(tcp.backend).reply(ACK).expect_at_client();
}
