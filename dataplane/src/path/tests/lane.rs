//! The fast lane: when flows enter it and when they leave, with a stand-in for the classifier.

use super::super::world::*;
use crate::{
    io::BATCH,
    lane::{FLOWS_A_TURN, FlowLane, WhyNot},
    state::{Direction, Flow, FlowState, TcpState},
};
use std::time::Duration;

/// A world where the third packet of a direction makes a flow busy.
fn world<F: Net>() -> World<F> {
    World::with_lane(1, 64, 128, 3)
}

/// A client's connection that is in the lane.
fn promoted<F: Net>(world: &mut World<F>, number: u32) -> Speakers<F> {
    let talk = talk_on(world.client(number).connect().slow(), 10);
    talk.send(ACK).fast().expect_at_backend().reply(ACK).fast().expect_at_client().who()
}

/// Both say so much.
fn talk_on<F: Net>(mut talk: Talk<'_, F>, times: usize) -> Talk<'_, F> {
    for _ in 0..times {
        talk = talk.send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    }
    talk
}

/// The same with datagrams.
fn promoted_udp<F: Net>(world: &mut World<F>, number: u32) -> Speakers<F> {
    let mut talk = world.client(number).datagram().expect_at_backend();
    for _ in 0..3 {
        talk = talk.reply(NO_FLAGS).slow().expect_at_client().datagram().slow().expect_at_backend();
    }
    talk.world.wait(Duration::from_millis(2001));
    let talk = talk.datagram().slow().expect_at_backend().expect_state(FlowState::UdpStream);
    talk.datagram().fast().expect_at_backend().reply(NO_FLAGS).fast().expect_at_client().who()
}

/// The flow as views have it.
fn flow<F: Net>(world: &World<F>, who: &Speakers<F>) -> Option<Flow<F>> {
    let flows = F::flows(&world.workers[0]);
    let found = flows.table.find(flows.table.hash(&who.original), &who.original)?;
    flows.get(found.id, F::tables(&world.snapshot))
}

fn lane_of<F: Net>(world: &World<F>, who: &Speakers<F>) -> FlowLane {
    flow(world, who).expect("a flow").lane
}

fn busy_flows_take_it<F: Net>() {
    let mut world = world::<F>();
    let who = promoted(&mut world, 0);
    assert_eq!(world.workers[0].counters().lane.promoted, 1);
    let FlowLane::Fast(traffic) = lane_of(&world, &who) else { panic!("not fast") };
    assert_eq!(traffic.map(|traffic| traffic.packets), [9, 10], "but for three each with the handshake's");
    world.wait(Duration::from_secs(5));
    for _ in 0..1000 {
        world.resume(&who).send(ACK).fast().expect_at_backend();
    }
    let flow = flow(&world, &who).unwrap();
    assert_eq!(flow.traffic.map(|traffic| traffic.packets), [1013, 12], "of both lanes");
    assert_eq!(world.now.since(flow.last_seen), Duration::ZERO);
    assert_eq!(world.workers[0].counters().lane.demoted, 0);
}

fn what_needs_judgement_is_the_workers_and_changes_nothing<F: Net>() {
    let mut world = world::<F>();
    let who = promoted(&mut world, 0);
    for change in
        [(|packet| packet.hop_limit = 1) as fn(&mut Spec<F>), |packet| packet.payload = vec![1; 1600]]
    {
        let outcome = world.resume(&who).send_with(ACK, change).slow().outcome().clone();
        assert!(matches!(outcome.verdict, crate::path::Verdict::Reply(..)), "{outcome:?}");
    }
    // Out of the window of what its receiver acknowledged last, by the lane.
    world.resume(&who).send_with(ACK, |packet| packet.ack = 900_000).fast();
    world
        .resume(&who)
        .reply_with(RST, |packet| packet.seq = 5001)
        .slow()
        .expect_drop(crate::path::DropReason::TcpInvalid);
    world.resume(&who).send(SYN).slow().expect_at_backend();
    world.resume(&who).send(ACK).fast().reply(ACK).fast();
    assert_eq!(world.workers[0].counters().lane.demoted, 0);
}

fn what_changes_a_flow_takes_it_out_first<F: Net>() {
    for (flags, state) in [(FIN_ACK, TcpState::FinWait), (RST, TcpState::Close)] {
        for direction in [Direction::Forward, Direction::Reply] {
            let mut world = world::<F>();
            let who = promoted(&mut world, 0);
            world.resume(&who).send_with(ACK, |packet| packet.ack = 900_000).fast();
            world.resume(&who).reply_with(ACK, |packet| packet.ack = 700_000).fast();
            let before = flow(&world, &who).unwrap();
            let talk = world.resume(&who);
            match direction {
                Direction::Forward => talk.send_with(flags, |packet| packet.seq = 700_001).slow(),
                Direction::Reply => talk.reply_with(flags, |packet| packet.seq = 900_001).slow(),
            }
            .expect_state(FlowState::Tcp(state));
            let after = flow(&world, &who).unwrap();
            assert_eq!(after.lane, FlowLane::User(WhyNot::NotEstablished));
            let packets = |flow: &Flow<F>| flow.traffic.iter().map(|traffic| traffic.packets).sum::<u64>();
            assert_eq!(packets(&after), packets(&before) + 1, "nothing is lost");
            world.resume(&who).send(ACK).slow();
            world.resume(&who).reply(ACK).slow();
            assert!(world.lane().keys() == 0, "and its keys are out");
        }
    }
}

fn a_client_that_moves_is_followed<F: Net>() {
    let mut world = world::<F>();
    let mut who = promoted(&mut world, 0);
    let first = who.client_link;
    who.client_link.destination.0[5] ^= 1;
    world.resume(&who).send(ACK).slow().expect_at_backend().reply(ACK).slow().expect_at_client();
    let talk = talk_on(world.resume(&who), 3);
    talk.send(ACK).fast().expect_at_backend().reply(ACK).fast().expect_at_client();
    // The number of its first way is another's at once, and its place in the table is not.
    let mut other = first;
    other.destination.0[4] ^= 1;
    let talk = talk_on(world.client(1).over(other).connect(), 5).send(ACK).slow().expect_at_backend();
    talk.world.wait(Duration::from_secs(3));
    talk_on(talk, 256).send(ACK).fast().expect_at_backend().reply(ACK).fast().expect_at_client();
}

fn a_changed_way_is_one_write<F: Net>() {
    let mut world = world::<F>();
    let who = promoted(&mut world, 0);
    let moved = backend_link(77);
    world.tables(|tables| {
        let mut next_hop = *tables.next_hop(crate::table::NextHopId(who.backend as u32));
        next_hop.link = Some(moved);
        tables.next_hops.set([(who.backend, next_hop)], &crate::table::NextHop::UNRESOLVED);
    });
    world.tell_lane();
    let seen = world.resume(&who).send(ACK).fast().seen();
    assert_eq!(seen.to, moved.destination);
    world.tables(|tables| tables.port_mtus = [1200, 1500].into());
    world.resume(&who).send(SYN).slow();
    world.resume(&who).reply_with(ACK, |packet| packet.payload = vec![0; 1300]).slow();
    world.resume(&who).reply_with(ACK, |packet| packet.payload = vec![0; 1000]).fast();
}

fn retired_udp_flows_leave_at_the_epoch<F: Net>() {
    let mut world = world::<F>();
    world.set_serving(&[0, 1, 2]);
    world.tell_lane();
    let first = promoted_udp(&mut world, 0);
    let second = promoted_udp(&mut world, 1);
    let tcp = promoted(&mut world, 2);
    let others = |not: usize| (0..3).filter(|backend| *backend != not).collect::<Vec<_>>();
    let gone = first.backend;
    world.set_backends(&others(gone));
    world.set_serving(&others(gone));
    world.tell_lane();
    world.resume(&tcp).send(ACK).fast().expect_at(tcp.backend);
    let talk = world.resume(&first).datagram().slow().expect_at_backend();
    assert_ne!(talk.who.backend, gone);
    talk.reply(NO_FLAGS).slow().expect_at_client();
    let stays = second.backend != gone;
    let talk = world.resume(&second).datagram().slow().expect_at_backend();
    assert_eq!(talk.who.backend == second.backend, stays);
    if stays {
        let at_backend = talk.datagram().fast().expect_at(second.backend).who();
        world.resume(&at_backend).reply(NO_FLAGS).fast().expect_at_client();
    }
    let keys = world.lane().keys();
    assert_eq!(keys, if stays { 4 } else { 2 });
}

fn an_emptied_lane_fills_again<F: Net>() {
    let mut world = world::<F>();
    let who = promoted(&mut world, 0);
    let flushes = world.lane().flushes.get();
    world.lane().flushes.set(flushes + 1);
    world.tell_lane();
    for _ in 0..256 {
        world.resume(&who).send(ACK).expect_at_backend();
    }
    world.resume(&who).send(ACK).fast().expect_at_backend();
    // And stays out of a port that takes no redirects.
    let flushes = world.lane().flushes.get();
    world.lane().flushes.set(flushes + 1);
    world.lane().classifier.usable.set(CLIENT_PORT, false);
    world.tell_lane();
    for _ in 0..600 {
        world.resume(&who).send(ACK).slow().expect_at_backend();
    }
    assert_eq!(lane_of(&world, &who), FlowLane::User(WhyNot::PortUnusable));
    let lane = world.workers[0].counters().lane;
    assert_eq!((lane.flows, lane.demoted, lane.refused_way), (0, 1, 1));
}

fn idle_is_what_both_lanes_have_not_seen<F: Net>() {
    let mut world = world::<F>();
    let who = promoted_udp(&mut world, 0);
    for _ in 0..5 {
        world.wait_and_expire(Duration::from_secs(100));
        world.resume(&who).reply(NO_FLAGS).fast();
    }
    world.wait_and_expire(Duration::from_secs(119));
    assert!(flow(&world, &who).is_some());
    world.wait_and_expire(Duration::from_secs(2));
    world.wait_and_expire(Duration::from_millis(1));
    assert!(flow(&world, &who).is_none());
    let lane = world.workers[0].counters().lane;
    assert_eq!((lane.flows, lane.demoted, lane.packets), (0, 1, 7));
    assert!(world.lane().keys() == 0);
}

fn a_full_lane_is_slow_and_never_wrong<F: Net>() {
    // Room for the keys of one flow and a half.
    let mut world = World::<F>::with_lane(1, 64, 3, 3);
    let first = promoted(&mut world, 0);
    let mut talk = world.client(1).connect();
    for _ in 0..300 {
        talk = talk.send(ACK).slow().expect_at_backend().reply(ACK).slow().expect_at_client();
    }
    let second = talk.who();
    assert_eq!(world.lane().keys(), 2);
    let lane = world.workers[0].counters().lane;
    assert!(lane.refused_full > 1 && lane.promoted == 1 && lane.demoted == 0, "{lane:?}");
    world.resume(&first).send(RST).slow();
    for _ in 0..256 {
        world.resume(&second).send(ACK).expect_at_backend();
    }
    world.resume(&second).send(ACK).fast().expect_at_backend();
    // One pair, and it rests.
    let mut world = World::<F>::with_lane(1, 1, 128, 3);
    let first = promoted(&mut world, 0);
    world.resume(&first).send(RST).slow();
    let mut talk = world.client(1).connect();
    for _ in 0..256 {
        talk = talk.send(ACK).slow().expect_at_backend();
    }
    talk.world.wait(Duration::from_secs(3));
    for _ in 0..256 {
        talk = talk.send(ACK).expect_at_backend();
    }
    talk.send(ACK).fast();
}

fn other_protocols_and_tags_are_not_for_it<F: Net>() {
    let mut world = world::<F>();
    let who = talk_on(world.client(0).tagged(tags(&[5])).connect(), 10).send(ACK).slow().who();
    assert_eq!(lane_of(&world, &who), FlowLane::User(WhyNot::TagsDiffer));
    let who = world.client(1).connect().who();
    assert_eq!(lane_of(&world, &who), FlowLane::User(WhyNot::Quiet));
    let who = world.client(2).syn().expect_at_backend().who();
    assert_eq!(lane_of(&world, &who), FlowLane::User(WhyNot::NotEstablished));
    let mut off = World::<F>::new();
    let who = off.client(0).connect().who();
    assert_eq!(lane_of(&off, &who), FlowLane::User(WhyNot::Off));
}

/// A connection that was taken up in its middle has not been answered yet.
fn a_half_seen_connection_waits_for_its_other_half<F: Net>() {
    let mut world = world::<F>();
    let mut talk = world.client(0).send(ACK).expect_at_backend();
    for _ in 0..10 {
        talk = talk.send(ACK).slow();
    }
    talk_on(talk, 3).reply(ACK).fast().send(ACK).fast();
}

/// Flows are promoted between batches, and not too many at a time; they end when they end.
fn some_are_promoted_a_turn<F: Net>() {
    const FLOWS: usize = BATCH;
    let mut world = World::<F>::with_lane(1, 1 << 10, 1 << 12, 3);
    let clients: Vec<_> = (0..FLOWS as u32).map(|number| world.client(number).connect().who()).collect();
    // How many went by the lane, and how many have slots then.
    let mut send = |flags| {
        let packet = |who: &Speakers<F>| Spec::new(who.original, flags);
        let packets: Vec<_> =
            clients.iter().map(packet).map(|packet| (packet.link.port, packet.bytes())).collect();
        let sent = world.send_batch(&packets);
        (sent.iter().filter(|outcome| outcome.slot.is_some()).count(), world.lane().keys() / 2)
    };
    assert_eq!(send(ACK), (0, 0));
    assert_eq!(send(ACK), (0, FLOWS_A_TURN), "all are busy");
    assert_eq!(send(ACK), (FLOWS_A_TURN, FLOWS));
    assert_eq!(send(ACK), (FLOWS, FLOWS));
    assert_eq!(send(RST), (0, 0), "all end at once");
}

both_families!(
    busy_flows_take_it,
    what_needs_judgement_is_the_workers_and_changes_nothing,
    what_changes_a_flow_takes_it_out_first,
    a_client_that_moves_is_followed,
    a_changed_way_is_one_write,
    retired_udp_flows_leave_at_the_epoch,
    an_emptied_lane_fills_again,
    idle_is_what_both_lanes_have_not_seen,
    a_full_lane_is_slow_and_never_wrong,
    other_protocols_and_tags_are_not_for_it,
    a_half_seen_connection_waits_for_its_other_half,
    some_are_promoted_a_turn,
);
