//! What happens between the packets of one batch, whose flows are looked up before any of them is opened.

use super::super::{DropReason, Verdict, world::*};
use crate::{
    io::{BATCH, PortId},
    state::{FlowState, TcpState, Tuple},
    wire::TcpFlags,
};
use std::collections::HashSet;

both_families! {
    two_packets_of_a_new_flow,
    a_syn_twice,
    a_flow_reopened_within_a_batch,
    a_flow_evicted_within_a_batch,
    verdicts_are_in_the_order_of_the_frames,
    a_whole_batch_of_new_flows,
    new_flows_go_together_where_each_goes_alone,
}

fn packet<F: Net>(tuple: Tuple<F>, flags: TcpFlags) -> (PortId, Vec<u8>) {
    (CLIENT_PORT, Spec::new(tuple, flags).bytes())
}

fn tuple<F: Net>(world: &mut World<F>, client: u32) -> Tuple<F> {
    world.client(client).who.original
}

fn two_packets_of_a_new_flow<F: Net>() {
    let mut world = World::<F>::new();
    let flow = tuple(&mut world, 0);
    let outcomes = world.send_batch(&[packet(flow, SYN), packet(flow, SYN), packet(flow, SYN)]);
    world.moved("flows forwarded+3 opened received+3");
    let seen: HashSet<_> = outcomes.iter().map(|outcome| outcome.seen().ip.tuple::<F>()).collect();
    assert_eq!(seen.len(), 1, "one translation for all");
    assert_eq!(world.flow(&flow).unwrap().traffic[0].packets, 3);
}

fn a_syn_twice<F: Net>() {
    let mut world = World::<F>::new();
    let first = world.client(0).syn().expect_at_backend();
    let at_backend = first.who.at_backend;
    let again = first.syn().moved("forwarded received").expect_at_backend();
    assert_eq!(again.who.at_backend, at_backend);
    again.expect_state(FlowState::Tcp(TcpState::SynSent)).reply(SYN_ACK).expect_at_client();
}

fn a_flow_reopened_within_a_batch<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[1]);
    let who = world.client(0).connect().who();
    world.set_backends(&[2]);
    let flow = who.original;
    let outcomes = world.send_batch(&[
        packet(flow, ACK),
        packet(flow, RST),
        packet(flow, ACK),
        packet(flow, SYN),
        packet(flow, SYN),
    ]);
    world.moved("forwarded+5 opened received+5");
    let seen: Vec<_> = outcomes.iter().map(|outcome| outcome.seen().ip.destination).collect();
    let (old, new) = (F::to_ip(backend_addr::<F>(1)), F::to_ip(backend_addr::<F>(2)));
    assert_eq!(seen, [old, old, old, new, new]);
    let stale = world.resume(&who).reply(ACK);
    stale.expect_drop(DropReason::NoService);
}

fn a_flow_evicted_within_a_batch<F: Net>() {
    let mut world = World::<F>::with(1, |config| (config.v4_flows, config.v6_flows) = (1, 1));
    let (a, b) = (tuple(&mut world, 0), tuple(&mut world, 1));
    let outcomes = world.send_batch(&[packet(a, SYN), packet(b, SYN), packet(a, SYN), packet(b, SYN)]);
    assert!(outcomes.iter().all(|outcome| outcome.verdict == Verdict::Forward(BACKEND_PORT)));
    world.moved("evicted+3 flows forwarded+4 opened+4 received+4");
}

fn verdicts_are_in_the_order_of_the_frames<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    let mut unserved = who.original;
    unserved.destination_port = 81;
    let outcomes = world.send_batch(&[
        (CLIENT_PORT, vec![0; 5]),
        packet(unserved, SYN),
        packet(tuple(&mut World::<F>::new(), 7), SYN),
        (CLIENT_PORT, frame(&who.client_link, 0x0806, &[0; 46])),
        packet(who.original, ACK),
        packet(unserved, RST),
    ]);
    let verdicts: Vec<_> = outcomes.iter().map(|outcome| outcome.verdict).collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Drop(DropReason::Malformed),
            Verdict::Reply(CLIENT_PORT, super::super::ReplyKind::Reset),
            Verdict::Forward(BACKEND_PORT),
            Verdict::Drop(DropReason::NotIp),
            Verdict::Forward(BACKEND_PORT),
            Verdict::Drop(DropReason::ReplyForbidden),
        ]
    );
    world.moved("flows forwarded+2 malformed not_ip opened received+6 reply_forbidden tcp_reset");
}

/// The steps that new flows take together decide what each would have got by itself, twins and strangers between them.
fn new_flows_go_together_where_each_goes_alone<F: Net>() {
    let (mut together, mut alone) = (World::<F>::new(), World::<F>::new());
    let mut packets = Vec::new();
    for number in 0..BATCH as u32 {
        let mut tuple = tuple(&mut together, number * 3 / 4);
        match number % 7 {
            1 => tuple.destination = F::addr(Network::Vips, CLUSTER_IP),
            2 => tuple.destination = F::addr(Network::Vips, EXTERNAL_IP),
            3 => (tuple.destination, tuple.destination_port) = (F::addr(Network::Node, NODE), NODE_PORT),
            4 => tuple.destination_port = 81,
            5 => tuple.destination = F::addr(Network::Clients, 200),
            _ => {}
        }
        packets.push(packet(tuple, SYN));
    }
    let outcomes = together.send_unchecked(&packets);
    for (number, (packet, together)) in packets.into_iter().zip(outcomes).enumerate() {
        let alone = alone.send_unchecked(&[packet]).remove(0);
        assert_eq!((together.verdict, together.frame), (alone.verdict, alone.frame), "packet {number}");
    }
}

fn a_whole_batch_of_new_flows<F: Net>() {
    let mut world = World::<F>::new();
    let flows: Vec<_> = (0..BATCH as u32).map(|client| tuple(&mut world, client)).collect();
    let batch: Vec<_> = flows.iter().map(|flow| packet(*flow, SYN)).collect();
    let outcomes = world.send_batch(&batch);
    let translated: HashSet<_> = outcomes.iter().map(|outcome| outcome.seen().ip.tuple::<F>()).collect();
    assert_eq!(translated.len(), BATCH, "no two flows share a translation");
    world.moved("flows+64 forwarded+64 opened+64 received+64");
}
