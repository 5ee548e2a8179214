//! Promoted flows outlive their process: the next one knows them again.

use super::super::world::*;
use crate::{
    lane::FlowLane,
    path::{DropReason, LaneAnswer, PathConfig, Steering, Verdict, explain},
    state::{Flow, FlowState, SnatPorts, TcpState},
    table::{NextHop, NextHopId},
    wire::EtherAddr,
};
use std::time::Duration;

/// Clients whose flows are in the lane: TCP and UDP in turn, some behind a router of their own.
fn promoted<F: Net>(world: &mut World<F>, clients: u32) -> Vec<Speakers<F>> {
    let mut promoted = Vec::new();
    for number in 0..clients {
        let mut talk = world.client(number);
        if number % 3 == 0 {
            let mut link = talk.who.client_link;
            link.destination = EtherAddr([2, 0, 0, 1, 9, number as u8]);
            talk = talk.over(link);
        }
        if number % 2 == 0 {
            talk = talk.connect();
            for _ in 0..5 {
                talk = talk.send(ACK).expect_at_backend().reply(ACK).expect_at_client();
            }
            promoted.push(talk.send(ACK).fast().who());
        } else {
            talk = talk.datagram().expect_at_backend();
            for _ in 0..3 {
                talk = talk.reply(NO_FLAGS).expect_at_client().datagram().expect_at_backend();
            }
            talk.world.wait(Duration::from_millis(2001));
            promoted.push(talk.datagram().expect_at_backend().datagram().fast().who());
        }
    }
    promoted
}

fn both_ways<F: Net>(talk: Talk<'_, F>) -> Talk<'_, F> {
    match talk.who.original.transport {
        crate::table::Transport::Udp => {
            talk.datagram().expect_at_backend().reply(NO_FLAGS).expect_at_client()
        }
        _ => talk.send(ACK).expect_at_backend().reply(ACK).expect_at_client(),
    }
}

fn flow<F: Net>(world: &World<F>, who: &Speakers<F>) -> Option<Flow<F>> {
    let flows = F::flows(&world.workers[0]);
    let found = flows.table.find(flows.table.hash(&who.original), &who.original)?;
    flows.get(found.id, F::tables(&world.snapshot))
}

/// A turn of the workers without packets.
fn turn<F: Net>(world: &mut World<F>) {
    world.wait_and_expire(Duration::from_millis(150));
}

fn promoted_flows_are_known_again<F: Net>() {
    let mut world = World::<F>::with_lane(1, 256, 512, 3);
    world.set_serving(&[0, 1, 2]);
    world.tell_lane();
    let clients = promoted(&mut world, 40);
    let keys = world.lane().keys();
    world.restart();
    for who in &clients {
        let talk = both_ways(world.resume(who));
        assert!(talk.outcome().slot.is_some(), "nobody is there, and it goes on");
        assert_eq!(talk.who.backend, who.backend);
    }
    // What control had published is published anew, and the lane's epochs are others.
    world.tables(|tables| tables.udp_epoch = 77);
    world.tell_lane();
    for _ in 0..4 {
        turn(&mut world);
    }
    let lane = world.workers[0].counters().lane;
    assert_eq!((lane.flows, lane.promoted, lane.demoted), (40, 0, 0));
    assert_eq!(world.lane().keys(), keys);
    for who in &clients {
        let known = flow(&world, who).expect("it is known");
        assert!(matches!(known.lane, FlowLane::Fast(_)));
        assert!(known.traffic[0].packets > 0 && known.traffic[1].packets > 0, "{:?}", known.traffic);
        let before = known.traffic[0].packets;
        let talk = both_ways(world.resume(who));
        assert!(talk.outcome().slot.is_some(), "by the lane, with the hops of this process");
        assert_eq!(talk.who.backend, who.backend);
        assert_eq!(flow(&world, who).unwrap().traffic[0].packets, before + 1);
    }
    // They end as flows do.
    let (tcp, udp) = (&clients[0], &clients[1]);
    world.resume(tcp).reply_with(RST, |packet| packet.seq = 1).slow();
    assert!(flow(&world, tcp).is_some_and(|flow| flow.state.get() == FlowState::Tcp(TcpState::Established)));
    world
        .resume(tcp)
        .reply(FIN_ACK)
        .slow()
        .expect_at_client()
        .expect_state(FlowState::Tcp(TcpState::FinWait));
    world.wait_and_expire(Duration::from_secs(119));
    assert!(flow(&world, udp).is_some());
    world.wait_and_expire(Duration::from_secs(5));
    turn(&mut world);
    assert!(flow(&world, udp).is_none());
    // New ones get other pairs, and none that has not rested.
    let before = world.workers[0].counters().lane.flows;
    let mut talk = world.client(100).connect();
    for _ in 0..5 {
        talk = talk.send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    }
    talk.send(ACK).fast();
    assert_eq!(world.workers[0].counters().lane.flows, before + 1);
}

fn what_is_not_published_yet_is_waited_for<F: Net>() {
    let mut world = World::<F>::with_lane(1, 64, 128, 3);
    let clients = promoted(&mut world, 6);
    let snapshot = world.snapshot.clone();
    world.restart();
    // The API server is away for a minute.
    world.snapshot = Default::default();
    for _ in 0..60 {
        world.wait_and_expire(Duration::from_secs(1));
    }
    assert!(clients.iter().all(|who| flow(&world, who).is_none()));
    // There are Services, and one neighbour is still asked for.
    world.snapshot = snapshot;
    let gone = clients[0].backend;
    let way = *F::tables(&world.snapshot).next_hop(NextHopId(gone as u32));
    let set = |world: &mut World<F>, way| {
        world.tables(|tables| tables.next_hops.set([(gone, way)], &NextHop::UNRESOLVED));
    };
    set(&mut world, NextHop::UNRESOLVED);
    turn(&mut world);
    turn(&mut world);
    for who in &clients {
        assert_eq!(flow(&world, who).is_some(), who.backend != gone);
        if who.original.transport == crate::table::Transport::Tcp {
            both_ways(world.resume(who));
        }
    }
    set(&mut world, way);
    world.tell_lane();
    turn(&mut world);
    turn(&mut world);
    assert!(clients.iter().all(|who| flow(&world, who).is_some()));
    assert_eq!(world.workers[0].counters().lane.flows, 6);
}

fn what_is_gone_ends<F: Net>() {
    let mut world = World::<F>::with_lane(1, 64, 128, 3);
    world.set_serving(&[0, 1, 2]);
    world.tell_lane();
    let clients = promoted(&mut world, 12);
    world.restart();
    let gone = clients[1].backend;
    let others: Vec<_> = (0..3).filter(|backend| *backend != gone).collect();
    world.set_backends(&others);
    world.set_serving(&others);
    world.tell_lane();
    turn(&mut world);
    turn(&mut world);
    let is_udp = |who: &Speakers<F>| who.original.transport == crate::table::Transport::Udp;
    for who in &clients {
        assert_eq!(flow(&world, who).is_some(), who.backend != gone);
        if is_udp(who) && who.backend == gone {
            let talk = world.resume(who).datagram().slow().expect_at_backend();
            assert_ne!(talk.who.backend, gone);
        }
    }
    // TCP to a backend that is no Service's goes on for a while, and then it ends.
    for _ in 0..12 {
        world.wait_and_expire(Duration::from_secs(1));
    }
    let live = world.workers[0].counters().lane.flows as usize;
    let keys = world.lane().keys();
    assert_eq!(live, clients.iter().filter(|who| who.backend != gone).count());
    assert_eq!(keys, 2 * live);
}

/// A segment that comes to the worker first makes a flow of its own, which stays.
fn who_comes_first_is_known_first<F: Net>() {
    let mut world = World::<F>::with_lane(1, 64, 128, 3);
    let who = promoted(&mut world, 1).remove(0);
    let snapshot = world.snapshot.clone();
    world.restart();
    world.snapshot = Default::default();
    turn(&mut world);
    world.snapshot = snapshot;
    // With a segment that the lane leaves to the worker.
    world
        .resume(&who)
        .send_with(ACK, |packet| packet.link.destination.0[5] ^= 1)
        .slow()
        .expect_at(who.backend);
    turn(&mut world);
    turn(&mut world);
    assert!(!matches!(flow(&world, &who).unwrap().lane, FlowLane::Fast(_)));
    assert_eq!(world.workers[0].counters().lane.flows, 0);
    assert!(world.lane().keys() == 0);
    world.resume(&who).reply(ACK).slow();
}

/// That control waits for them is not enough: it does not wait for all.
fn the_source_port_of_a_flow_that_is_not_known_yet_is_nobody_elses<F: Net>() {
    let only = |config: &mut PathConfig| {
        config.steering = Steering::new(SnatPorts::new(61000..=61000, 0, 1), 0, 1);
    };
    let mut world = World::<F>::with_lane_and(1, (64, 128), 3, only);
    world.set_backends(&[0]);
    world.tell_lane();
    let who = promoted(&mut world, 1).remove(0);
    world.restart();
    let way = *F::tables(&world.snapshot).next_hop(NextHopId(0));
    world.tables(|tables| tables.next_hops.set([(0, NextHop::UNRESOLVED)], &NextHop::UNRESOLVED));
    turn(&mut world);
    world.tables(|tables| tables.next_hops.set([(0, way)], &NextHop::UNRESOLVED));
    assert!(flow(&world, &who).is_none());
    world.client(9).syn().expect_drop(DropReason::SnatExhausted);
    both_ways(world.resume(&who)).fast();
}

/// That nobody else gets their ports is not enough: so control waits until they are adopted, with the epochs as they are.
fn udp_answers_of_a_flow_that_is_not_known_yet_need_the_epochs_of_its_process<F: Net>() {
    let answer = |are_in_force: bool| {
        let mut world = World::<F>::with_lane(1, 64, 128, 3);
        let who = promoted(&mut world, 2).remove(1);
        world.restart();
        world.tables(|tables| tables.udp_epoch = 77);
        if !are_in_force {
            world.tell_lane();
        }
        let outcome = world.resume(&who).reply(NO_FLAGS).outcome().clone();
        (outcome.slot.is_some(), outcome.verdict)
    };
    assert_eq!(answer(true), (true, Verdict::Forward(CLIENT_PORT)));
    assert_eq!(answer(false), (false, Verdict::Drop(DropReason::NoService)));
}

fn explained<F: Net>() {
    let mut world = World::<F>::with_lane(1, 64, 128, 3);
    let ask = |world: &World<F>, who: &Speakers<F>| -> LaneAnswer {
        let steering = &world.workers[0].config().steering;
        let (tables, remembered) = (F::tables(&world.snapshot), world.remembered(0));
        explain(tables, steering, &who.original, remembered, flow(world, who).as_ref()).lane
    };
    let who = world.client(9).who();
    assert!(ask(&world, &who).because.starts_with("no worker has a flow"));
    let who = world.client(9).connect().who();
    assert!(ask(&world, &who).because.contains("too few packets"));
    let who = promoted(&mut world, 1).remove(0);
    let answer = ask(&world, &who);
    assert!(answer.fast && answer.because.contains("longer than 1500 bytes"), "{answer:?}");
}

both_families!(
    promoted_flows_are_known_again,
    what_is_not_published_yet_is_waited_for,
    what_is_gone_ends,
    who_comes_first_is_known_first,
    the_source_port_of_a_flow_that_is_not_known_yet_is_nobody_elses,
    udp_answers_of_a_flow_that_is_not_known_yet_need_the_epochs_of_its_process,
    explained,
);
