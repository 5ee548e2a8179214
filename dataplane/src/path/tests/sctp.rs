//! SCTP: its states, its checksum, what may open an association, and answers where nobody serves it.

use super::super::{DropReason, ReplyKind, world::*};
use crate::{
    state::{FlowState, SctpState},
    wire::SctpChunk as Chunk,
};
use std::time::Duration;

both_families! {
    an_association_opens_and_shuts_down,
    timeouts_are_those_of_the_state,
    an_aborted_association_opens_anew,
    established_associations_keep_their_backend,
    an_endpoint_reaches_its_own_vip,
    an_init_nobody_serves_is_told_by_icmp,
    an_association_in_the_middle_is_taken_over,
    what_cannot_open_is_dropped,
    a_wrong_checksum_stays_wrong,
    icmp_errors_quote_sctp,
}

fn open<F: Net>(talk: Talk<'_, F>) -> Talk<'_, F> {
    let talk = talk.sctp().chunk(Chunk::INIT).expect_at_backend();
    talk.expect_state(FlowState::Sctp(SctpState::CookieWait))
        .reply_chunk(Chunk::INIT_ACK)
        .expect_at_client()
        .chunk(Chunk::COOKIE_ECHO)
        .expect_at_backend()
        .expect_state(FlowState::Sctp(SctpState::CookieEchoed))
        .reply_chunk(Chunk::COOKIE_ACK)
        .expect_at_client()
        .expect_state(FlowState::Sctp(SctpState::Established))
}

// S-200
fn an_association_opens_and_shuts_down<F: Net>() {
    let mut world = World::<F>::new();
    let talk = open(world.client(0)).expect_masqueraded();
    let talk = talk.chunk(Chunk::DATA).expect_at_backend().moved("forwarded received");
    let talk = talk.reply_chunk(Chunk::HEARTBEAT).expect_at_client();
    talk.expect_state(FlowState::Sctp(SctpState::Established))
        .chunk(Chunk::SHUTDOWN)
        .expect_at_backend()
        .expect_state(FlowState::Sctp(SctpState::Shutdown))
        .reply_chunk(Chunk::SHUTDOWN_ACK)
        .expect_at_client()
        .expect_state(FlowState::Sctp(SctpState::ShutdownAckSent))
        .chunk(Chunk::SHUTDOWN_COMPLETE)
        .expect_at_backend()
        .expect_state(FlowState::Sctp(SctpState::Closed));
}

// S-193
fn timeouts_are_those_of_the_state<F: Net>() {
    let cases: [(u64, &[u8]); 4] = [
        (3, &[Chunk::INIT]),
        (30, &[Chunk::HEARTBEAT]),
        (210, &[Chunk::DATA]),
        (10, &[Chunk::DATA, Chunk::ABORT]),
    ];
    for (seconds, chunks) in cases {
        let mut world = World::<F>::new();
        let mut talk = world.client(0).sctp();
        for chunk in chunks {
            talk = talk.chunk(*chunk).expect_at_backend();
        }
        drop(talk);
        world.wait_and_expire(Duration::from_millis(seconds * 1000 - 1));
        world.moved("");
        world.wait_and_expire(Duration::from_millis(1));
        world.moved("expired flows-1");
    }
}

fn an_aborted_association_opens_anew<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0]);
    let who = open(world.client(0)).who();
    world.set_backends(&[1]);
    world.resume(&who).chunk(Chunk::INIT).expect_at(0).reply_chunk(Chunk::ABORT).expect_at_client();
    world.resume(&who).chunk(Chunk::DATA).expect_at(0);
    world.resume(&who).chunk(Chunk::INIT).expect_at(1).moved("forwarded opened received");
}

// S-148
fn established_associations_keep_their_backend<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0]);
    let sctp = open(world.client(0)).who();
    let tcp = world.client(0).connect().who();
    for backends in [&[1, 2][..], &[]] {
        world.set_backends(backends);
        world.resume(&sctp).chunk(Chunk::DATA).expect_at(0).reply_chunk(Chunk::DATA).expect_at_client();
        world.resume(&tcp).send(ACK).expect_at(0).reply(ACK).expect_at_client();
    }
}

// S-125
fn an_endpoint_reaches_its_own_vip<F: Net>() {
    for vip in [CLUSTER_IP, LB_IP] {
        let mut world = World::<F>::new();
        world.set_backends(&[2]);
        let own = backend_addr::<F>(2);
        open(world.client(0).from(own, 5000).vip(vip)).expect_masqueraded();
        world.client(0).from(own, 5000).vip(vip).connect().expect_masqueraded();
        let talk = world.client(0).from(own, 5000).vip(vip).datagram().expect_at(2).expect_masqueraded();
        talk.reply(NO_FLAGS).expect_at_client();
    }
}

// S-108
fn an_init_nobody_serves_is_told_by_icmp<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[]);
    for talk in [CLUSTER_IP, LB_IP, EXTERNAL_IP] {
        let talk = world.client(0).sctp().vip(talk).chunk(Chunk::INIT);
        talk.expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable)
            .moved("port_unreachable received")
            .expect_no_flow();
    }
    let talk = world.client(0).sctp().node_port().chunk(Chunk::INIT);
    talk.expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable);
}

fn an_association_in_the_middle_is_taken_over<F: Net>() {
    let mut world = World::<F>::new();
    let talk = world.client(0).sctp().chunk(Chunk::DATA).expect_at_backend();
    let (at_backend, talk) =
        (talk.who.at_backend, talk.expect_state(FlowState::Sctp(SctpState::Established)));
    let who = talk.who();
    let mut peer = World::<F>::new();
    let talk = open(peer.resume(&who));
    assert_eq!(talk.who.at_backend, at_backend, "both gateways agree");
}

fn what_cannot_open_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    for kind in [Chunk::INIT_ACK, Chunk::COOKIE_ACK, Chunk::ABORT, Chunk::ERROR, Chunk::SHUTDOWN_COMPLETE] {
        let talk = world.client(0).sctp().chunk(kind).expect_drop(DropReason::SctpInvalid);
        talk.moved("received sctp_invalid").expect_no_flow();
    }
    let no_chunk = |packet: &mut Spec<F>| packet.payload.clear();
    world.client(0).sctp().send_with(NO_FLAGS, no_chunk).expect_drop(DropReason::SctpInvalid);
    let who = open(world.client(0)).who();
    world.resume(&who).send_with(NO_FLAGS, no_chunk).expect_drop(DropReason::SctpInvalid);
}

// S-200
fn a_wrong_checksum_stays_wrong<F: Net>() {
    let mut world = World::<F>::new();
    let mut bytes = open(world.client(0)).chunk(Chunk::DATA).sent.bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let outcome = world.send_unchecked(&[(CLIENT_PORT, bytes)]).remove(0);
    assert!(outcome.frame.is_some());
    assert!(std::panic::catch_unwind(|| outcome.seen()).is_err(), "the CRC has been repaired");
}

fn icmp_errors_quote_sctp<F: Net>() {
    let mut world = World::<F>::new();
    let mut talk = open(world.client(0));
    let router = F::addr(Network::Routers, 1);
    // Quoted whole, its CRC is checked with all others.
    let seen = talk.icmp_from_backend_side(IcmpErrorKind::TooBig(1300), router).seen();
    assert_eq!(seen.ip.source, F::to_ip(talk.who.original.destination));
    let whole = Ip::read(seen.ip.quoted());
    assert_eq!(whole.tuple::<F>(), talk.who.original);
    // Cut off behind the header, it is the same: the CRC covers what is not shown.
    let at_backend = talk.who.at_backend.unwrap();
    let mut quoted = Spec::new(at_backend, ACK);
    quoted.payload = b"question".to_vec();
    let quoted = &quoted.ip()[..F::MIN_HEADER + 12];
    let error = icmp_error::<F>(IcmpErrorKind::TooBig(1300), router, at_backend.source, quoted);
    let backend = talk.who.backend;
    let cut = world.send(BACKEND_PORT, &frame(&backend_link(backend), F::ETHER_TYPE.0, &error)).seen();
    assert_eq!(Ip::read(cut.ip.quoted()).l4, whole.l4[..12]);
}
