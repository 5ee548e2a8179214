//! Fragments: in order and out of it, both ways, at several workers; what is refused; packets cut by us.

use super::super::{DropReason, ReplyKind, Verdict, world::*};
use super::answers::set_next_hops;
use crate::{
    io::PortId,
    state::{HELD, PATIENCE, Tuple},
    table::{Link, TrafficPolicy, Transport},
    wire::SctpChunk,
};
use std::{sync::Arc, time::Duration};

both_families! {
    a_datagram_in_any_order_reaches_one_backend_and_its_answer_the_client,
    parts_arrive_at_any_worker,
    parts_go_to_another_worker_behind_their_first,
    a_first_that_never_comes,
    too_many_that_wait,
    a_tiny_first_is_dropped,
    nothing_reaches_into_the_first,
    parts_of_a_refused_first_are_dropped,
    an_identification_is_used_again,
    sctp_and_icmp_are_not_translated_in_parts,
    parts_that_are_nobodys_are_the_kernels,
    later_parts_are_not_answered,
    later_parts_are_accounted_to_their_flow,
    a_long_packet_is_cut_for_the_way,
    a_long_answer_is_cut_or_told,
}

const ORDERS: [[usize; 6]; 5] =
    [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 2, 3, 4, 5], [3, 5, 0, 1, 4, 2], [1, 2, 3, 4, 5, 0]];

fn spec<F: Net>(tuple: Tuple<F>, link: Link, len: usize) -> Spec<F> {
    let mut spec = Spec::new(tuple, ACK);
    spec.payload = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    (spec.link, spec.dont_fragment) = (link, false);
    spec
}

fn frames<F: Net>(spec: &Spec<F>, id: u16, most: usize) -> Vec<(PortId, Vec<u8>)> {
    let parts = cut::<F>(&spec.ip(), id, most).into_iter();
    parts.map(|part| (spec.link.port, frame(&spec.link, F::ETHER_TYPE.0, &part))).collect()
}

/// What has left, of these outcomes and of those that came late.
fn left<F: Net>(world: &World<F>, outcomes: &[Outcome]) -> Vec<(PortId, Vec<u8>)> {
    outcomes.iter().chain(&world.late).filter_map(|outcome| outcome.frame.clone()).collect()
}

fn arrived<F: Net>(left: &[(PortId, Vec<u8>)], port: PortId) -> Ip {
    assert!(left.iter().all(|(to, _)| *to == port), "all by one port");
    let to: Vec<_> = left.iter().map(|(_, frame)| &frame[..12]).collect();
    assert!(to.windows(2).all(|two| two[0] == two[1]), "all to one neighbour");
    let frames: Vec<_> = left.iter().map(|(_, frame)| frame.clone()).collect();
    reassemble::<F>(&frames)
}

/// Sends the parts in this order, one at a time or all at once.
fn deliver<F: Net>(
    world: &mut World<F>,
    parts: &[(PortId, Vec<u8>)],
    order: &[usize],
    at_once: bool,
) -> Vec<(PortId, Vec<u8>)> {
    let parts: Vec<_> = order.iter().map(|place| parts[*place].clone()).collect();
    if at_once {
        let outcomes = world.send_unchecked(&parts);
        return left(world, &outcomes);
    }
    let mut all = Vec::new();
    for part in parts {
        let outcomes = world.send_unchecked(&[part]);
        all.extend(left(world, &outcomes));
    }
    all
}

// S-202
fn a_datagram_in_any_order_reaches_one_backend_and_its_answer_the_client<F: Net>() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for vip in [LB_IP, CLUSTER_IP] {
            for (number, order) in ORDERS.into_iter().enumerate() {
                for at_once in [false, true] {
                    let mut world = World::<F>::new();
                    // A pod: its address is kept on the way to a cluster IP, and replaced on that to the other.
                    let mut who = world.client(0).from(F::addr(Network::Pods, 9), 4000).vip(vip).who();
                    who.original.transport = transport;
                    let question = spec(who.original, who.client_link, 8000);
                    let parts = frames(&question, number as u16, 1400);
                    assert_eq!(parts.len(), 6);
                    let left = deliver(&mut world, &parts, &order, at_once);
                    let seen = arrived::<F>(&left, BACKEND_PORT);
                    assert_eq!(seen.payload(), question.payload);
                    let at_backend = seen.tuple::<F>();
                    let flow = world.flow(&who.original).expect("one flow");
                    assert_eq!(at_backend, flow.reply.reversed());
                    assert_eq!(at_backend.source == who.original.source, vip == CLUSTER_IP);
                    let answer = spec(at_backend.reversed(), backend_link(0), 8100);
                    let parts = frames(&answer, 77, 1400);
                    let left = deliver(&mut world, &parts, &order, at_once);
                    let seen = arrived::<F>(&left, CLIENT_PORT);
                    assert_eq!(seen.tuple::<F>(), who.original.reversed());
                    assert_eq!(seen.payload(), answer.payload);
                    assert_eq!(world.flows_by_worker(), [1]);
                }
            }
        }
    }
}

// S-202
fn parts_arrive_at_any_worker<F: Net>() {
    for kept in [false, true] {
        let mut world = World::<F>::with(3, |_| {});
        if kept {
            world.service(|service| service.external_policy = TrafficPolicy::Local);
        }
        for client in 0..30 {
            let talk = world.client(client);
            let who = if client % 2 == 0 { talk.udp().node_port().who() } else { talk.udp().who() };
            let order = ORDERS[client as usize % ORDERS.len()];
            let mut there = |parts: &[(PortId, Vec<u8>)]| {
                let mut all = Vec::new();
                for place in order {
                    world.arrive_at = (place + client as usize) % 3;
                    let outcomes = world.send_unchecked(&[parts[place].clone()]);
                    all.extend(left(&world, &outcomes));
                }
                all
            };
            let question = spec(who.original, who.client_link, 8000);
            let seen = arrived::<F>(&there(&frames(&question, client as u16, 1400)), BACKEND_PORT);
            let answer = spec(seen.tuple::<F>().reversed(), backend_link(0), 8000);
            let seen = arrived::<F>(&there(&frames(&answer, client as u16, 1400)), CLIENT_PORT);
            assert_eq!(seen.tuple::<F>(), who.original.reversed());
        }
    }
}

// S-202
fn parts_go_to_another_worker_behind_their_first<F: Net>() {
    let mut world = World::<F>::with(3, |_| {});
    for client in 0..12 {
        let who = world.client(client).udp().who();
        let question = spec(who.original, who.client_link, 8000);
        for worker in 0..3 {
            world.arrive_at = worker;
            let id = (client * 3) as u16 + worker as u16;
            let outcomes = world.send_unchecked(&frames(&question, id, 1400));
            let held = outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Forward(BACKEND_PORT));
            assert_eq!(held.count(), 0, "none has to wait");
            assert_eq!(arrived::<F>(&left(&world, &outcomes), BACKEND_PORT).payload(), question.payload);
        }
    }
}

fn parts<F: Net>(world: &mut World<F>, id: u16) -> Vec<(PortId, Vec<u8>)> {
    let who = world.client(0).udp().who();
    frames(&spec(who.original, who.client_link, 3000), id, 1400)
}

fn verdict<F: Net>(world: &mut World<F>, frame: &(PortId, Vec<u8>)) -> Verdict {
    world.send_unchecked(std::slice::from_ref(frame)).remove(0).verdict
}

// S-202
fn a_first_that_never_comes<F: Net>() {
    let mut world = World::<F>::new();
    let parts = parts(&mut world, 1);
    assert!(matches!(verdict(&mut world, &parts[1]), Verdict::Hold(_)));
    world.moved("held received");
    world.wait_and_expire(PATIENCE - Duration::from_millis(1));
    world.moved("");
    world.wait_and_expire(Duration::from_millis(1));
    world.moved("fragment_lost received");
    assert_eq!(verdict(&mut world, &parts[2]), Verdict::Drop(DropReason::FragmentLost));
    // Better late than never: what follows the first is served.
    assert_eq!(verdict(&mut world, &parts[0]), Verdict::Forward(BACKEND_PORT));
    assert_eq!(verdict(&mut world, &parts[2]), Verdict::Forward(BACKEND_PORT));
}

fn too_many_that_wait<F: Net>() {
    let mut world = World::<F>::new();
    for id in 0..HELD as u16 {
        let parts = parts(&mut world, id);
        assert!(matches!(verdict(&mut world, &parts[1]), Verdict::Hold(_)));
    }
    let more = parts(&mut world, 9999);
    assert_eq!(verdict(&mut world, &more[1]), Verdict::Drop(DropReason::FragmentsFull));
    world.moved("fragments_full received");
    // Those in order do not wait.
    assert_eq!(verdict(&mut world, &more[0]), Verdict::Forward(BACKEND_PORT));
    assert_eq!(verdict(&mut world, &more[1]), Verdict::Forward(BACKEND_PORT));
    world.wait_and_expire(PATIENCE);
    world.moved(&format!("fragment_lost+{HELD} received+{HELD}"));
    let more = parts(&mut world, 9998);
    assert!(matches!(verdict(&mut world, &more[1]), Verdict::Hold(_)), "there is room again");
}

fn a_tiny_first_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).who();
    let syn = Spec::new(who.original, SYN).ip();
    let (head, tcp) = syn.split_at(F::MIN_HEADER);
    for len in [8, 16] {
        let tiny = frame(&who.client_link, F::ETHER_TYPE.0, &part(head, 1, 0, true, &tcp[..len]));
        assert_eq!(verdict(&mut world, &(CLIENT_PORT, tiny)), Verdict::Drop(DropReason::FragmentTiny));
        world.moved("fragment_tiny received");
    }
}

fn nothing_reaches_into_the_first<F: Net>() {
    let mut world = World::<F>::new();
    let parts = parts(&mut world, 5);
    let whole = spec(world.client(0).udp().who().original, parts_link(), 3000).ip();
    let head = &whole[..F::MIN_HEADER];
    let overlapping =
        |offset| (CLIENT_PORT, frame(&parts_link(), F::ETHER_TYPE.0, &part(head, 5, offset, true, &[6; 64])));
    // Whichever comes first.
    assert!(matches!(verdict(&mut world, &overlapping(8)), Verdict::Hold(_)));
    assert_eq!(verdict(&mut world, &parts[0]), Verdict::Forward(BACKEND_PORT));
    assert_eq!(world.late[0].verdict, Verdict::Drop(DropReason::FragmentOverlap));
    for offset in [8, 16, 1392] {
        let dropped = Verdict::Drop(DropReason::FragmentOverlap);
        assert_eq!(verdict(&mut world, &overlapping(offset)), dropped, "at {offset}");
        world.moved("fragment_overlap received");
    }
    assert_eq!(verdict(&mut world, &overlapping(1400)), Verdict::Forward(BACKEND_PORT));
}

fn parts_link() -> Link {
    Link {
        port: CLIENT_PORT,
        source: our_mac(CLIENT_PORT),
        destination: CLIENT_MAC,
        vlan: crate::wire::VlanTags::NONE,
    }
}

fn parts_of_a_refused_first_are_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let vip = F::addr(Network::Vips, LB_IP);
    let who = world.client(0).udp().to(vip, 81).who();
    let parts = frames(&spec(who.original, who.client_link, 3000), 1, 1400);
    let reject = Verdict::Reply(CLIENT_PORT, ReplyKind::PortUnreachable);
    assert_eq!(verdict(&mut world, &parts[0]), reject);
    assert_eq!(verdict(&mut world, &parts[1]), Verdict::Drop(DropReason::FragmentLost));
    world.moved("fragment_lost received");
}

fn an_identification_is_used_again<F: Net>() {
    let mut world = World::<F>::new();
    let mut seen = Vec::new();
    for port in [4001, 4002] {
        let who = world.client(0).udp().source_port(port).who();
        let parts = frames(&spec(who.original, who.client_link, 3000), 1, 1400);
        let left = deliver(&mut world, &parts, &[0, 1, 2], false);
        seen.push(arrived::<F>(&left, BACKEND_PORT).tuple::<F>());
    }
    assert_ne!(seen[0], seen[1], "two flows");
}

fn sctp_and_icmp_are_not_translated_in_parts<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).sctp().who();
    let mut data = spec(who.original, who.client_link, 3000);
    data.payload[..4].copy_from_slice(&[SctpChunk::DATA, 0, 0x0b, 0xb8]);
    let request = if F::ADDR_LEN == 4 { 8 } else { 128 };
    let echo = icmp::<F>(request, 0, 1, who.original.source, who.original.destination, &[5; 3000]);
    for packet in [data.ip(), echo] {
        for part in cut::<F>(&packet, 4, 1400) {
            let part = (CLIENT_PORT, frame(&who.client_link, F::ETHER_TYPE.0, &part));
            assert_eq!(verdict(&mut world, &part), Verdict::Drop(DropReason::Fragment));
            world.moved("fragment received");
        }
    }
}

/// A backend's own traffic with others.
fn parts_that_are_nobodys_are_the_kernels<F: Net>() {
    let mut world = World::<F>::new();
    let mut tuple = world.client(0).udp().who().original;
    (tuple.source, tuple.destination) = (backend_addr::<F>(0), F::addr(Network::Routers, 9));
    let link = backend_link(0);
    let parts = frames(&spec(tuple, link, 3000), 1, 1400);
    for part in &parts {
        assert_eq!(verdict(&mut world, part), Verdict::Pass);
        world.moved("passed received");
    }
    let early = frames(&spec(tuple, link, 3000), 2, 1400);
    assert!(matches!(verdict(&mut world, &early[1]), Verdict::Hold(_)));
    world.wait_and_expire(PATIENCE);
    world.moved("passed received");
    let request = if F::ADDR_LEN == 4 { 8 } else { 128 };
    let echo = icmp::<F>(request, 0, 1, tuple.source, tuple.destination, &[5; 3000]);
    for part in cut::<F>(&echo, 3, 1400) {
        let part = (BACKEND_PORT, frame(&link, F::ETHER_TYPE.0, &part));
        assert_eq!(verdict(&mut world, &part), Verdict::Pass);
    }
}

// S-204
fn later_parts_are_not_answered<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).udp().who();
    let mut packet = spec(who.original, who.client_link, 3000);
    assert_eq!(verdict(&mut world, &frames(&packet, 1, 1400)[0]), Verdict::Forward(BACKEND_PORT));
    packet.hop_limit = 1;
    let expired = frames(&packet, 1, 1400);
    assert_eq!(verdict(&mut world, &expired[1]), Verdict::Drop(DropReason::ReplyForbidden));
    assert_eq!(verdict(&mut world, &expired[0]), Verdict::Reply(CLIENT_PORT, ReplyKind::TimeExceeded));
    // But for what an IPv6 sender must know whichever part it is.
    if F::ADDR_LEN == 16 {
        packet.hop_limit = 64;
        world.tables(|tables| set_next_hops(tables, |hop| hop.mtu = 1300));
        let told = Verdict::Reply(CLIENT_PORT, ReplyKind::TooBig);
        assert_eq!(verdict(&mut world, &frames(&packet, 1, 1400)[1]), told);
    }
}

fn later_parts_are_accounted_to_their_flow<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).udp().who();
    let packet = spec(who.original, who.client_link, 3000);
    world.send_unchecked(&frames(&packet, 1, 1400));
    world.moved("flows forwarded+3 opened received+3");
    assert_eq!(world.flow(&who.original).unwrap().traffic[0].packets, 3);
    world.wait_and_expire(Duration::from_secs(29));
    assert_eq!(verdict(&mut world, &frames(&packet, 1, 1400)[1]), Verdict::Forward(BACKEND_PORT));
    world.wait_and_expire(Duration::from_secs(29));
    world.moved("");
}

/// The frames of what was cut.
fn pieces_of(outcome: &Outcome, port: PortId, mtu: u16) -> Vec<Vec<u8>> {
    assert_eq!(outcome.verdict, Verdict::Split(port, mtu));
    assert!(outcome.pieces.iter().all(|piece| piece.len() <= 14 + usize::from(mtu)));
    outcome.pieces.clone()
}

// S-151
fn a_long_packet_is_cut_for_the_way<F: Net>() {
    if F::ADDR_LEN == 16 {
        return;
    }
    for mtu in [68, 100, 576, 1400] {
        let mut world = World::<F>::new();
        world.tables(|tables| set_next_hops(tables, |hop| hop.mtu = mtu));
        let who = world.client(0).udp().who();
        let packet = spec(who.original, who.client_link, 1472);
        let outcome = world.send_unchecked(&[(CLIENT_PORT, packet.bytes())]).remove(0);
        world.moved("flows opened received split");
        let whole = reassemble::<F>(&pieces_of(&outcome, BACKEND_PORT, mtu));
        assert_eq!(whole.payload(), packet.payload);
        assert_eq!(whole.tuple::<F>(), world.flow(&who.original).unwrap().reply.reversed());
        // Fragments are cut once more.
        let packet = spec(who.original, who.client_link, 8000);
        let outcomes = world.send_unchecked(&frames(&packet, 3, 1480));
        let cut = |outcome: &Outcome| match outcome.verdict {
            Verdict::Forward(_) => vec![outcome.frame.clone().unwrap().1],
            _ => pieces_of(outcome, BACKEND_PORT, mtu),
        };
        let all: Vec<_> = outcomes.iter().flat_map(cut).collect();
        assert_eq!(reassemble::<F>(&all).payload(), packet.payload);
    }
}

// S-151
fn a_long_answer_is_cut_or_told<F: Net>() {
    let mut world = World::<F>::new();
    world.tables(|tables| tables.port_mtus = Arc::from([1300, 1500]));
    let who = world.client(0).datagram().expect_at_backend().who();
    let fits = 1300 - F::MIN_HEADER - 8;
    let data = |len: usize| move |packet: &mut Spec<F>| packet.payload = vec![3; len];
    world.resume(&who).reply_with(NO_FLAGS, data(fits)).expect_at_client();
    let talk = world.resume(&who).reply_with(NO_FLAGS, data(fits + 1));
    talk.expect_icmp(ReplyKind::TooBig, IcmpErrorKind::TooBig(1300)).moved("packet_too_big received");
    // The other way has its own limit.
    world.resume(&who).udp().send_with(NO_FLAGS, data(fits + 1)).expect_at_backend();
    if F::ADDR_LEN == 4 {
        let answer = spec(who.at_backend.unwrap().reversed(), backend_link(who.backend), fits + 1);
        let outcome = world.send_unchecked(&[(BACKEND_PORT, answer.bytes())]).remove(0);
        world.moved("received split");
        let whole = reassemble::<F>(&pieces_of(&outcome, CLIENT_PORT, 1300));
        assert_eq!((whole.tuple::<F>(), whole.payload()), (who.original.reversed(), &answer.payload[..]));
    }
}
