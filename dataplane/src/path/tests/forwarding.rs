//! Packets of flows, both ways: addresses, ports, hops, checksums, states.

use super::super::world::*;
use crate::{
    state::{FlowState, TcpState},
    table::Transport,
};
use std::time::Duration;

both_families! {
    tcp_there_and_back,
    udp_there_and_back,
    a_whole_tcp_life,
    a_reset_ends_a_connection,
    a_syn_after_the_end_is_decided_anew,
    a_segment_in_the_middle_is_picked_up,
    what_no_connection_can_start_with_is_dropped,
    a_syn_on_an_open_connection_keeps_its_mapping,
    udp_becomes_a_stream_after_two_seconds,
    counts_packets_and_bytes_of_both_directions,
    payloads_pass_untouched,
}

// S-128, S-204
fn tcp_there_and_back<F: Net>() {
    let mut world = World::<F>::new();
    let talk = world
        .client(0)
        .syn()
        .expect_at_backend()
        .expect_masqueraded()
        .moved("flows forwarded opened received");
    let backend = talk.who.backend;
    talk.reply(SYN_ACK)
        .expect_at_client()
        .moved("forwarded received")
        .send(ACK)
        .expect_at(backend)
        .moved("forwarded received");
}

fn udp_there_and_back<F: Net>() {
    let mut world = World::<F>::new();
    let talk = world
        .client(0)
        .datagram()
        .expect_at_backend()
        .expect_masqueraded()
        .moved("flows forwarded opened received");
    talk.reply_with(NO_FLAGS, |packet| packet.payload = b"answer".to_vec())
        .expect_at_client()
        .moved("forwarded received")
        .expect_state(FlowState::UdpReplied);
}

// S-192
fn a_whole_tcp_life<F: Net>() {
    let state = FlowState::Tcp;
    let mut world = World::<F>::new();
    world
        .client(0)
        .syn()
        .expect_at_backend()
        .expect_state(state(TcpState::SynSent))
        .reply(SYN_ACK)
        .expect_at_client()
        .expect_state(state(TcpState::SynRecv))
        .send(ACK)
        .expect_at_backend()
        .expect_state(state(TcpState::Established))
        .reply_with(ACK, |packet| packet.payload = vec![7; 1000])
        .expect_at_client()
        .expect_state(state(TcpState::Established))
        .send(FIN_ACK)
        .expect_at_backend()
        .expect_state(state(TcpState::FinWait))
        .reply(ACK)
        .expect_at_client()
        .expect_state(state(TcpState::CloseWait))
        .reply(FIN_ACK)
        .expect_at_client()
        .expect_state(state(TcpState::LastAck))
        .send(ACK)
        .expect_at_backend()
        .expect_state(state(TcpState::TimeWait));
    world.wait_and_expire(Duration::from_secs(120));
    world.moved("expired flows-1");
}

fn a_reset_ends_a_connection<F: Net>() {
    let mut world = World::<F>::new();
    let who = world
        .client(0)
        .connect()
        .reply(RST)
        .expect_at_client()
        .expect_state(FlowState::Tcp(TcpState::Close))
        .who();
    world.resume(&who).send(ACK).expect_at_backend().expect_state(FlowState::Tcp(TcpState::Close));
    world.wait_and_expire(Duration::from_secs(10));
    world.moved("expired flows-1");
}

// S-194
fn a_syn_after_the_end_is_decided_anew<F: Net>() {
    for end in [TcpState::TimeWait, TcpState::Close] {
        let mut world = World::<F>::new();
        world.set_backends(&[1]);
        let talk = world.client(0).connect();
        let who = match end {
            TcpState::Close => talk.send(RST).expect_at(1),
            _ => talk.send(FIN_ACK).expect_at(1).reply(FIN_ACK).expect_at_client().send(ACK).expect_at(1),
        }
        .expect_state(FlowState::Tcp(end))
        .who();
        world.set_backends(&[2]);
        world.resume(&who).syn().expect_at(2).moved("forwarded opened received");
        let syn_sent = FlowState::Tcp(TcpState::SynSent);
        world.resume(&who).syn().expect_at(2).expect_state(syn_sent).moved("forwarded received");
    }
}

// S-196
fn a_segment_in_the_middle_is_picked_up<F: Net>() {
    let mut world = World::<F>::new();
    world
        .client(0)
        .send_with(ACK, |packet| packet.payload = vec![1; 100])
        .expect_at_backend()
        .moved("flows forwarded opened received")
        .expect_state(FlowState::Tcp(TcpState::Established))
        .reply(ACK)
        .expect_at_client();
}

// S-195
fn what_no_connection_can_start_with_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    for flags in [SYN_ACK, FIN_ACK, RST, NO_FLAGS, SYN | FIN_ACK] {
        world
            .client(0)
            .send(flags)
            .expect_drop(super::super::DropReason::TcpInvalid)
            .moved("received tcp_invalid")
            .expect_no_flow();
    }
    // An invalid segment of a known connection changes nothing of it.
    let who = world.client(0).connect().who();
    let before = *world.flow(&who.original).unwrap();
    world.wait(Duration::from_secs(5));
    for flags in [SYN_ACK, NO_FLAGS] {
        world.resume(&who).send(flags).expect_drop(super::super::DropReason::TcpInvalid);
    }
    world.resume(&who).reply(SYN).expect_drop(super::super::DropReason::TcpInvalid);
    assert_eq!(*world.flow(&who.original).unwrap(), before);
}

// S-194
fn a_syn_on_an_open_connection_keeps_its_mapping<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[1]);
    let who = world.client(0).connect().who();
    world.set_backends(&[2]);
    world
        .resume(&who)
        .syn()
        .expect_at(1)
        .moved("forwarded received")
        .expect_state(FlowState::Tcp(TcpState::Established));
}

// S-193
fn udp_becomes_a_stream_after_two_seconds<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).datagram().expect_at_backend().expect_state(FlowState::UdpUnreplied).who();
    world.wait(Duration::from_secs(1));
    let reply = world.resume(&who).reply(NO_FLAGS).expect_at_client();
    reply
        .expect_state(FlowState::UdpReplied)
        .datagram()
        .expect_at_backend()
        .expect_state(FlowState::UdpReplied);
    world.wait(Duration::from_millis(1001));
    world.resume(&who).datagram().expect_at_backend().expect_state(FlowState::UdpStream);
    world.wait_and_expire(Duration::from_millis(119_999));
    world.moved("");
    world.wait_and_expire(Duration::from_millis(1));
    world.moved("expired flows-1");
}

fn counts_packets_and_bytes_of_both_directions<F: Net>() {
    let mut world = World::<F>::new();
    let who = world
        .client(0)
        .datagram()
        .expect_at_backend()
        .reply_with(NO_FLAGS, |packet| packet.payload = vec![0; 100])
        .expect_at_client()
        .datagram()
        .expect_at_backend()
        .who();
    let [forward, reply] = world.flow(&who.original).unwrap().traffic;
    let header = F::MIN_HEADER as u64 + 8;
    assert_eq!((forward.packets, forward.bytes), (2, 2 * (header + 8)));
    assert_eq!((reply.packets, reply.bytes), (1, header + 100));
    assert_eq!(who.original.transport, Transport::Udp);
}

fn payloads_pass_untouched<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    for len in [0, 1, 2, 3, 699, 1400] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let there = payload.clone();
        world
            .resume(&who)
            .send_with(ACK, |packet| packet.payload = there)
            .expect_at_backend()
            .reply_with(ACK, |packet| packet.payload = payload)
            .expect_at_client();
    }
}
