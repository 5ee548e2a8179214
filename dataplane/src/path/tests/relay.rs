//! An address has moved from one gateway to another: flows of the former owner live on there, new ones are the new
//! owner's, and no packet goes round.

use super::super::{DropReason, Explanation, Verdict, explain, world::*};
use crate::{
    io::PortId,
    state::{FlowState, TcpState},
    table::{Link, Peers, Relay},
    wire::{EtherAddr, SctpChunk as Chunk, TcpFlags},
};
use std::sync::Arc;

both_families! {
    what_is_of_no_flow_here_is_relayed_as_it_came,
    what_begins_a_flow_is_ours,
    nonsense_is_dropped_here,
    other_addresses_are_not_relayed,
    the_relay_may_be_behind_another_port,
    a_connection_goes_on_where_it_was_opened,
    answers_leave_by_the_clients_own_way,
    relayed_packets_meet_their_flow_at_any_worker,
    a_packet_is_relayed_by_its_owner,
    what_a_gateway_sent_is_not_relayed,
    tables_that_contradict_each_other_make_no_loop,
    frames_to_or_from_a_group_are_not_relayed,
    sctp_is_relayed_but_for_its_init,
    fragments_are_relayed_in_any_order,
    icmp_errors_are_relayed,
    a_relay_is_explained,
}

/// The former owner, as its own world has it.
const A: EtherAddr = EtherAddr([2, 0, 0, 0, 0xff, CLIENT_PORT.0]);
/// The new one, and a third.
const B: EtherAddr = EtherAddr([2, 0, 0, 0xb, 0, 0]);
const C: EtherAddr = EtherAddr([2, 0, 0, 0xc, 0, 0]);

fn relay(source: EtherAddr, destination: EtherAddr) -> Relay {
    Relay { port: CLIENT_PORT, source, destination }
}

/// To a gateway with these others, the load-balancer IP has come from one of them, or from none.
fn set_peers<F: Net>(world: &mut World<F>, macs: &[EtherAddr], relay: Option<Relay>) {
    let relays = relay.map(|relay| (F::addr(Network::Vips, LB_IP), relay));
    let peers = Arc::new(Peers::new(macs.iter().copied(), relays));
    world.tables(|tables| tables.peers = peers);
}

/// The gateway that the address has come to.
fn new_owner<F: Net>(workers: u16) -> World<F> {
    let mut world = World::with(workers, |_| {});
    set_peers(&mut world, &[A, C], Some(relay(B, A)));
    world
}

/// The gateway that had it.
fn former_owner<F: Net>(workers: u16) -> World<F> {
    let mut world = World::with(workers, |_| {});
    set_peers(&mut world, &[B, C], None);
    world
}

impl<F: Net> Talk<'_, F> {
    /// The frame has left for the former owner, as it came but for its MACs.
    #[track_caller]
    fn expect_relayed(self) -> Self {
        expect_relayed(self.outcome(), CLIENT_PORT, &self.sent.bytes());
        self.expect_no_flow()
    }
}

#[track_caller]
fn expect_relayed(outcome: &Outcome, port: PortId, sent: &[u8]) {
    assert_eq!(outcome.verdict, Verdict::Relay(port));
    let (by, frame) = outcome.frame.as_ref().expect("it has left");
    assert_eq!((*by, &frame[..6], &frame[6..12]), (port, &A.0[..], &B.0[..]), "the link");
    assert_eq!(frame[12..], sent[12..], "tags, hops, checksums and all");
}

fn what_is_of_no_flow_here_is_relayed_as_it_came<F: Net>() {
    let mut world = new_owner::<F>(1);
    for flags in [ACK, ACK | TcpFlags::PSH, FIN_ACK, RST, RST | TcpFlags::ACK] {
        for ids in [&[][..], &[100], &[300, 7]] {
            for hops in [64, 1] {
                let talk = world.client(0).tagged(tags(ids)).send_with(flags, |packet| {
                    packet.payload = b"GET /".to_vec();
                    packet.hop_limit = hops;
                });
                talk.expect_relayed().moved("received relayed");
            }
        }
    }
    // Nor does it matter whether anybody serves the port: the former owner's flow may know a backend that did.
    let vip = F::addr(Network::Vips, LB_IP);
    world.client(0).to(vip, 81).send(ACK).expect_relayed().moved("received relayed");
}

fn what_begins_a_flow_is_ours<F: Net>() {
    let mut world = new_owner::<F>(1);
    let talk = world.client(0).syn().expect_at_backend().moved("flows forwarded opened received");
    // And so is the rest of it, to its end.
    let talk = talk.reply(SYN_ACK).expect_at_client().send(ACK).expect_at_backend();
    let talk = talk.send(FIN_ACK).expect_at_backend().reply(FIN_ACK).expect_at_client();
    let talk = talk.send(ACK).expect_at_backend().moved("forwarded received");
    let talk = talk.expect_state(FlowState::Tcp(TcpState::TimeWait)).syn().expect_at_backend();
    talk.moved("forwarded opened received");
    world.client(1).datagram().expect_at_backend().moved("flows forwarded opened received");
}

fn nonsense_is_dropped_here<F: Net>() {
    let mut world = new_owner::<F>(1);
    for flags in [SYN_ACK, NO_FLAGS, TcpFlags::FIN, SYN | TcpFlags::FIN] {
        world.client(0).send(flags).expect_drop(DropReason::TcpInvalid).moved("received tcp_invalid");
    }
}

fn other_addresses_are_not_relayed<F: Net>() {
    let mut world = new_owner::<F>(1);
    world.client(0).vip(EXTERNAL_IP).send(ACK).expect_at_backend().moved("flows forwarded opened received");
    world.client(0).node_port().send(ACK).expect_at_backend().moved("flows forwarded opened received");
    world.client(0).send(ACK).expect_relayed();
    // The control plane ends the relay.
    set_peers(&mut world, &[A, C], None);
    world.client(0).send(ACK).expect_at_backend().moved("flows forwarded opened received");
}

fn the_relay_may_be_behind_another_port<F: Net>() {
    let mut world = new_owner::<F>(1);
    set_peers(&mut world, &[], Some(Relay { port: PortId(2), ..relay(B, A) }));
    let talk = world.client(0).send(ACK);
    expect_relayed(talk.outcome(), PortId(2), &talk.sent.bytes());
}

/// Has the new owner relay what a client sends, and the former one take it.
#[track_caller]
fn relayed<F: Net>(from: &mut World<F>, to: &mut World<F>, sent: &Spec<F>) -> Outcome {
    let outcome = from.send(sent.link.port, &sent.bytes());
    expect_relayed(&outcome, CLIENT_PORT, &sent.bytes());
    let (port, frame) = outcome.frame.expect("it has left");
    to.send(port, &frame)
}

fn a_connection_goes_on_where_it_was_opened<F: Net>() {
    let (mut a, mut b) = (former_owner::<F>(1), new_owner::<F>(1));
    let mut who = a.client(0).connect().who();
    for flags in [ACK, FIN_ACK] {
        let outcome = relayed(&mut b, &mut a, &Spec::new(who.original, flags));
        a.moved("forwarded received");
        let seen = outcome.seen();
        assert_eq!((seen.port, seen.to), (BACKEND_PORT, backend_mac(who.backend)));
        assert_eq!(seen.ip.tuple::<F>(), who.at_backend.unwrap());
        assert_eq!(seen.ip.hop_limit, 63, "two gateways, one hop");
        a.resume(&who).reply(ACK).expect_at_client();
    }
    // A reset that answers the former owner's segments ends the connection there.
    who = a.client(1).connect().who();
    let mut reset = Spec::new(who.original, RST);
    reset.seq = 1001;
    assert_eq!(relayed(&mut b, &mut a, &reset).verdict, Verdict::Forward(BACKEND_PORT));
    a.resume(&who).expect_state(FlowState::Tcp(TcpState::Close));
}

fn answers_leave_by_the_clients_own_way<F: Net>() {
    let (mut a, mut b) = (former_owner::<F>(1), new_owner::<F>(1));
    let mut who = a.client(0).connect().who();
    for _ in 0..3 {
        relayed(&mut b, &mut a, &Spec::new(who.original, ACK));
        a.resume(&who).reply(ACK).expect_at_client();
    }
    // Another router is no gateway, and is followed; but not from there back to a gateway.
    who.client_link = Link { destination: EtherAddr([2, 0, 0, 1, 0, 0xee]), ..who.client_link };
    a.resume(&who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    relayed(&mut b, &mut a, &Spec::new(who.original, ACK));
    a.resume(&who).reply(ACK).expect_at_client();
}

fn relayed_packets_meet_their_flow_at_any_worker<F: Net>() {
    let (mut a, mut b) = (former_owner::<F>(3), new_owner::<F>(1));
    for client in 0..12 {
        let who = a.client(client).connect().who();
        let flow = a.flow(&who.original).unwrap();
        for worker in 0..3 {
            a.arrive_at = worker;
            let outcome = relayed(&mut b, &mut a, &Spec::new(who.original, ACK));
            assert_eq!(outcome.seen().ip.tuple::<F>(), who.at_backend.unwrap());
            a.resume(&who).reply(ACK).expect_at_client();
        }
        let now = a.flow(&who.original).unwrap();
        assert_eq!(now.traffic[0].packets, flow.traffic[0].packets + 3);
    }
}

fn a_packet_is_relayed_by_its_owner<F: Net>() {
    let mut world = new_owner::<F>(2);
    let owner = world.client(0).send(ACK).expect_relayed().outcome().worker;
    world.arrive_at = owner;
    world.client(0).send(ACK).expect_relayed().moved("received relayed");
    // Where it arrives nobody can know that its owner has no flow.
    world.arrive_at = 1 - owner;
    world.client(0).send(ACK).expect_relayed().moved("handed_off received+2 relayed");
    world.client(0).connect().send(ACK).expect_at_backend().moved("forwarded handed_off received+2");
}

fn what_a_gateway_sent_is_not_relayed<F: Net>() {
    for gateway in [A, C] {
        let mut world = new_owner::<F>(1);
        let talk = world.client(0).send_with(ACK, |packet| packet.link.destination = gateway);
        talk.expect_at_backend().moved("flows forwarded opened received");
    }
    // The former owner is known by its relay alone, too.
    let mut world = new_owner::<F>(1);
    set_peers(&mut world, &[], Some(relay(B, A)));
    world.client(0).send_with(ACK, |packet| packet.link.destination = A).expect_at_backend();
}

/// The address went from A to B, on to C and back, and nobody has forgotten anything. The packet of a flow that none of
/// them has is opened by whoever gets it from another.
fn tables_that_contradict_each_other_make_no_loop<F: Net>() {
    for ring in [&[A, B][..], &[A, B, C]] {
        let mut worlds: Vec<_> = ring.iter().map(|_| World::<F>::new()).collect();
        for (place, world) in worlds.iter_mut().enumerate() {
            let others: Vec<_> = ring.iter().filter(|mac| **mac != ring[place]).copied().collect();
            let before = ring[(place + ring.len() - 1) % ring.len()];
            set_peers(world, &others, Some(relay(ring[place], before)));
        }
        let client = worlds[0].client(0).who();
        let mut frame = Spec::new(client.original, ACK).bytes();
        let mut verdicts = Vec::new();
        for step in 0..4 {
            let at = (ring.len() - step % ring.len()) % ring.len();
            let outcome = worlds[at].send(CLIENT_PORT, &frame);
            verdicts.push(outcome.verdict);
            if outcome.verdict != Verdict::Relay(CLIENT_PORT) {
                break;
            }
            frame = outcome.frame.unwrap().1;
        }
        assert_eq!(verdicts, [Verdict::Relay(CLIENT_PORT), Verdict::Forward(BACKEND_PORT)]);
    }
}

fn frames_to_or_from_a_group_are_not_relayed<F: Net>() {
    const GROUP: EtherAddr = EtherAddr([1, 0, 0x5e, 0, 0, 1]);
    let mut world = new_owner::<F>(1);
    let talk = world.client(0).send_with(ACK, |packet| packet.link.source = GROUP);
    let talk = talk.expect_drop(DropReason::Martian).moved("martian received");
    talk.send_with(ACK, |packet| packet.link.destination = GROUP).expect_drop(DropReason::Martian);
}

fn sctp_is_relayed_but_for_its_init<F: Net>() {
    let (mut a, mut b) = (former_owner::<F>(1), new_owner::<F>(1));
    let who = a.client(0).sctp().chunk(Chunk::INIT).expect_at_backend().who();
    a.resume(&who).reply_chunk(Chunk::INIT_ACK).expect_at_client();
    for kind in [Chunk::COOKIE_ECHO, Chunk::DATA, Chunk::HEARTBEAT, Chunk::SHUTDOWN, Chunk::ABORT] {
        let talk = b.client(0).sctp().chunk(kind).expect_relayed().moved("received relayed");
        let (port, frame) = talk.outcome().frame.clone().unwrap();
        let seen = a.send(port, &frame).seen();
        assert_eq!(seen.ip.tuple::<F>(), who.at_backend.unwrap());
    }
    let talk = b.client(0).sctp().chunk(Chunk::INIT).expect_at_backend();
    talk.chunk(Chunk::DATA).expect_at_backend().moved("forwarded received");
    let without_chunks = b.client(1).sctp().send(NO_FLAGS);
    without_chunks.expect_drop(DropReason::SctpInvalid).moved("received sctp_invalid");
}

/// The parts of a segment, as frames that arrive over its link.
fn parts<F: Net>(spec: &Spec<F>, id: u16) -> Vec<(PortId, Vec<u8>)> {
    let parts = cut::<F>(&spec.ip(), id, 1400).into_iter();
    parts.map(|part| (spec.link.port, frame(&spec.link, F::ETHER_TYPE.0, &part))).collect()
}

fn long<F: Net>(who: &Speakers<F>, flags: TcpFlags) -> Spec<F> {
    let mut spec = Spec::new(who.original, flags);
    (spec.payload, spec.dont_fragment) = ((0..4000).map(|i| (i * 7) as u8).collect(), false);
    spec
}

fn fragments_are_relayed_in_any_order<F: Net>() {
    for (id, order) in [[0, 1, 2], [2, 0, 1], [1, 2, 0]].into_iter().enumerate() {
        let (mut a, mut b) = (former_owner::<F>(1), new_owner::<F>(1));
        let who = a.client(0).connect().who();
        let sent = long(&who, ACK);
        let frames = parts(&sent, id as u16);
        let mut left = Vec::new();
        for place in order {
            let outcomes = b.send_unchecked(&[frames[place].clone()]);
            for outcome in outcomes.iter().chain(&b.late).filter(|outcome| outcome.frame.is_some()) {
                let same =
                    frames.iter().find(|(_, sent)| sent[12..] == outcome.frame.as_ref().unwrap().1[12..]);
                expect_relayed(outcome, CLIENT_PORT, &same.expect("a part as it came").1);
                left.push(outcome.frame.clone().unwrap());
            }
        }
        assert_eq!(left.len(), frames.len(), "all of them");
        let at_backend: Vec<_> =
            a.send_unchecked(&left).into_iter().map(|outcome| outcome.frame.unwrap().1).collect();
        let seen = reassemble::<F>(&at_backend);
        assert_eq!((seen.tuple::<F>(), seen.payload()), (who.at_backend.unwrap(), &sent.payload[..]));
        a.resume(&who).reply(ACK).expect_at_client();
        // Those of a first segment are ours.
        let first = long(&b.client(7).who(), SYN);
        let opened = b.send_unchecked(&parts(&first, 99));
        assert!(opened.iter().all(|outcome| outcome.verdict == Verdict::Forward(BACKEND_PORT)), "{opened:?}");
    }
}

fn icmp_errors_are_relayed<F: Net>() {
    let (mut a, mut b) = (former_owner::<F>(1), new_owner::<F>(1));
    let router = F::addr(Network::Routers, 1);
    for kind in [IcmpErrorKind::TooBig(1300), IcmpErrorKind::PortUnreachable] {
        let who = a.client(0).connect().who();
        let about = who.original.reversed();
        let error = icmp_error::<F>(kind, router, about.source, &Spec::new(about, ACK).ip());
        let error = frame(&who.client_link, F::ETHER_TYPE.0, &error);
        let outcome = b.send(CLIENT_PORT, &error);
        b.moved("received relayed");
        expect_relayed(&outcome, CLIENT_PORT, &error);
        let seen = a.send(CLIENT_PORT, &outcome.frame.unwrap().1).seen();
        assert_eq!(seen.ip.destination, F::to_ip(backend_addr::<F>(who.backend)));
        a.resume(&who).reply(ACK).expect_at_client();
    }
    // One about a flow of ours is ours, and one about nothing of the address is dropped as ever.
    let who = b.client(3).connect().who();
    let outcome = b.resume(&who).icmp_from_client_side(IcmpErrorKind::TooBig(1300), router);
    assert_eq!(outcome.verdict, Verdict::Forward(BACKEND_PORT));
    let outcome = b.client(4).vip(EXTERNAL_IP).icmp_from_client_side(IcmpErrorKind::TooBig(1300), router);
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpUnrelated));
}

fn a_relay_is_explained<F: Net>() {
    fn explained<F: Net>(world: &World<F>, who: &Speakers<F>) -> Explanation {
        let (tables, steering) = (F::tables(&world.snapshot), &world.workers[0].config().steering);
        explain(tables, steering, &who.original, world.remembered(0), world.flow(&who.original).as_ref())
    }
    let mut world = new_owner::<F>(1);
    let who = world.client(0).who();
    let new = explained(&world, &who);
    assert_eq!((new.outcome, new.relayed_to), ("forward", Some(A)), "a first packet, and another");
    for other in [world.client(0).udp().who(), world.client(0).vip(EXTERNAL_IP).who()] {
        assert_eq!(explained(&world, &other).relayed_to, None);
    }
    let who = world.resume(&who).syn().expect_at_backend().who();
    assert_eq!(explained(&world, &who).relayed_to, None, "the flow is ours");
}
