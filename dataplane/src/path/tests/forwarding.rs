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
    a_reset_out_of_the_window_changes_nothing,
    a_refused_syn_ends_an_old_connection,
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
    // An invalid segment of a known connection changes nothing of it, and does not leave as it came.
    let pod = F::addr(Network::Pods, 9);
    for (from, kept) in [(F::addr(Network::Clients, 1), false), (pod, true)] {
        let mut world = World::<F>::new();
        let talk = world.client(0).from(from, 7).vip(CLUSTER_IP).connect();
        let who = if kept { talk.expect_client_kept() } else { talk.expect_masqueraded() }.who();
        let before = world.flow(&who.original).unwrap();
        world.wait(Duration::from_secs(5));
        for flags in [SYN_ACK, NO_FLAGS, SYN | RST] {
            let talk = world.resume(&who).send(flags).expect_drop(super::super::DropReason::TcpInvalid);
            talk.moved("received tcp_invalid");
        }
        for flags in [SYN, NO_FLAGS, SYN | FIN_ACK] {
            let talk = world.resume(&who).reply(flags).expect_drop(super::super::DropReason::TcpInvalid);
            talk.moved("received tcp_invalid");
        }
        assert_eq!(world.flow(&who.original).unwrap(), before);
    }
}

// S-195
fn a_reset_out_of_the_window_changes_nothing<F: Net>() {
    const WINDOW: u32 = 1 << 20;
    let mut world = World::<F>::new();
    // The client has acknowledged 5001, the backend 1001.
    let who = world.client(0).connect().send(ACK).expect_at_backend().reply(ACK).expect_at_client().who();
    let before = world.flow(&who.original).unwrap();
    world.wait(Duration::from_secs(5));
    let invalid = super::super::DropReason::TcpInvalid;
    for ahead in [u32::MAX, u32::MAX - 1000, WINDOW, 1 << 31] {
        for flags in [RST, RST | ACK] {
            let to_backend = move |packet: &mut Spec<F>| packet.seq = ahead.wrapping_add(1001);
            world
                .resume(&who)
                .send_with(flags, to_backend)
                .expect_drop(invalid)
                .moved("received tcp_invalid");
            let to_client = move |packet: &mut Spec<F>| packet.seq = ahead.wrapping_add(5001);
            let talk = world.resume(&who).reply_with(flags, to_client).expect_drop(invalid);
            talk.moved("received tcp_invalid");
        }
    }
    assert_eq!(world.flow(&who.original).unwrap(), before);
    // It goes on, and the window with what is acknowledged. Nothing that the client sends moves it.
    world.resume(&who).reply_with(ACK, |packet| packet.ack = 9001).expect_at_client();
    world.resume(&who).send_with(ACK, |packet| packet.ack = 1001).expect_at_backend();
    world.resume(&who).send(RST).expect_drop(invalid);
    let close = FlowState::Tcp(TcpState::Close);
    let exact = |packet: &mut Spec<F>| packet.seq = 9001;
    world.resume(&who).send_with(RST, exact).expect_at_backend().expect_state(close);
    // One that is ahead by what is under way counts.
    let ahead = |packet: &mut Spec<F>| packet.seq = 5001 + WINDOW - 1;
    world.client(1).connect().reply_with(RST | ACK, ahead).expect_at_client().expect_state(close);
}

/// Who has forgotten a connection answers the SYN that begins it again by a reset of sequence number 0.
fn a_refused_syn_ends_an_old_connection<F: Net>() {
    let refused = |packet: &mut Spec<F>| packet.seq = 0;
    let mut world = World::<F>::new();
    let talk = world.client(0).connect().syn().expect_at_backend().reply_with(RST | ACK, refused);
    talk.expect_at_client().expect_state(FlowState::Tcp(TcpState::Close));
    let talk = world.client(1).syn().expect_at_backend().reply_with(RST | ACK, refused);
    talk.expect_at_client().expect_state(FlowState::Tcp(TcpState::Close));
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
