//! Answers of our own: resets and ICMP errors, and when there must be none.

use super::super::{DropReason, ReplyKind, TcpReject, world::*};
use crate::{
    io::PortId,
    state::FlowState,
    table::{NextHop, Tables, Transport},
    wire::{EtherAddr, TcpFlags},
};
use std::time::Duration;

both_families! {
    an_unserved_port_of_a_vip_is_reset,
    an_unserved_port_is_told_by_icmp_where_set,
    udp_to_an_unserved_port_is_told_by_icmp,
    a_reset_is_not_answered,
    multicast_and_broadcast_frames_are_not_answered,
    impossible_sources_are_dropped,
    answers_are_limited,
    time_exceeded_there_and_back,
    time_exceeded_names_the_gateway,
    a_packet_too_big_for_the_way_is_told,
    quotations_are_cut_to_what_is_sure_to_arrive,
    an_unknown_next_hop_drops_and_remembers_nothing,
    a_refused_packet_changes_nothing_of_its_flow,
}

pub(super) fn set_next_hops<F: Net>(tables: &mut Tables<F>, change: impl Fn(&mut NextHop<F>)) {
    tables.next_hops.iter_mut().for_each(change);
}

// S-156, S-158 (whoever announces a VIP answers for it)
fn an_unserved_port_of_a_vip_is_reset<F: Net>() {
    let mut world = World::<F>::new();
    for vip in [CLUSTER_IP, LB_IP, EXTERNAL_IP] {
        let vip = F::addr(Network::Vips, vip);
        world.client(0).to(vip, 81).syn().expect_reset().moved("received tcp_reset");
        world.client(0).to(vip, 81).send_with(SYN, |packet| packet.seq = u32::MAX).expect_reset();
        world.client(0).to(vip, 81).send_with(ACK, |packet| packet.ack = 0x8765_4321).expect_reset();
        let data = |packet: &mut Spec<F>| packet.payload = vec![1; 99];
        world.client(0).to(vip, 81).send_with(FIN_ACK, data).expect_reset();
        world.client(0).to(vip, 81).send_with(TcpFlags::FIN, data).expect_reset();
    }
    let nobody = F::addr(Network::Vips, 99);
    world.client(0).to(nobody, 80).syn().expect_pass();
}

fn an_unserved_port_is_told_by_icmp_where_set<F: Net>() {
    let mut world = World::<F>::with(1, |config| config.tcp_reject = TcpReject::Icmp);
    let vip = F::addr(Network::Vips, CLUSTER_IP);
    let talk = world.client(0).to(vip, 81).syn();
    talk.expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable);
}

// S-156, S-158
fn udp_to_an_unserved_port_is_told_by_icmp<F: Net>() {
    let mut world = World::<F>::new();
    for vip in [CLUSTER_IP, LB_IP, EXTERNAL_IP] {
        let talk = world.client(0).to(F::addr(Network::Vips, vip), 81).datagram();
        talk.expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable);
    }
}

// S-109
fn a_reset_is_not_answered<F: Net>() {
    for reject in [TcpReject::Reset, TcpReject::Icmp] {
        let mut world = World::<F>::with(1, |config| config.tcp_reject = reject);
        let vip = F::addr(Network::Vips, CLUSTER_IP);
        for flags in [RST, RST | ACK] {
            let talk = world.client(0).to(vip, 81).send(flags);
            talk.expect_drop(DropReason::ReplyForbidden).moved("received reply_forbidden");
        }
    }
}

// S-109
fn multicast_and_broadcast_frames_are_not_answered<F: Net>() {
    let mut world = World::<F>::new();
    for mac in [EtherAddr([0xff; 6]), EtherAddr([1, 0, 0x5e, 0, 0, 1]), EtherAddr([0x33, 0x33, 0, 0, 0, 1])] {
        let vip = F::addr(Network::Vips, CLUSTER_IP);
        let talk = world.client(0).to(vip, 81).send_with(SYN, |packet| packet.link.source = mac);
        talk.expect_drop(DropReason::ReplyForbidden);
    }
}

// S-109
fn impossible_sources_are_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let sources = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"];
    let sources = sources.iter().filter_map(|text| F::from_ip(text.parse().unwrap()));
    let mut tried = 0;
    for source in sources {
        world.client(0).from(source, 1).syn().expect_drop(DropReason::Martian).moved("martian received");
        tried += 1;
    }
    assert!(tried >= 3);
}

// S-109
fn answers_are_limited<F: Net>() {
    let mut world = World::<F>::with(1, |config| config.reply_rate = (10, 5));
    let vip = F::addr(Network::Vips, CLUSTER_IP);
    let answered = |world: &mut World<F>| {
        (0..20)
            .filter(|_| match world.client(0).to(vip, 81).syn().outcome().verdict {
                super::super::Verdict::Reply(..) => true,
                verdict => {
                    assert_eq!(verdict, super::super::Verdict::Drop(DropReason::ReplyLimited));
                    false
                }
            })
            .count()
    };
    assert_eq!(answered(&mut world), 5);
    world.wait(Duration::from_millis(300));
    assert_eq!(answered(&mut world), 3);
    world.wait(Duration::from_secs(60));
    assert_eq!(answered(&mut world), 5);
}

// S-204
fn time_exceeded_there_and_back<F: Net>() {
    let mut world = World::<F>::new();
    let expired = |packet: &mut Spec<F>| packet.hop_limit = 1;
    let (reply, kind) = (ReplyKind::TimeExceeded, IcmpErrorKind::TimeExceeded);
    let talk = world.client(0).send_with(SYN, expired);
    talk.expect_icmp(reply, kind).moved("received time_exceeded").expect_no_flow();
    world.client(0).send_with(SYN, |packet| packet.hop_limit = 2).expect_at_backend();
    let who = world.client(1).connect().who();
    world.resume(&who).send_with(ACK, expired).expect_icmp(reply, kind).moved("received time_exceeded");
    world.resume(&who).reply_with(ACK, expired).expect_icmp(reply, kind).moved("received time_exceeded");
    let zero = |packet: &mut Spec<F>| packet.hop_limit = 0;
    world.resume(&who).reply_with(ACK, zero).expect_icmp(reply, kind);
}

// S-204
fn time_exceeded_names_the_gateway<F: Net>() {
    let mut world = World::<F>::new();
    let addresses =
        [F::addr(Network::Routers, 7), F::addr(Network::Routers, 8), F::addr(Network::Routers, 9)];
    let ports = [CLIENT_PORT, BACKEND_PORT, CLIENT_PORT];
    world.tables(|tables| tables.port_addresses = ports.into_iter().zip(addresses).collect());
    let expired = |packet: &mut Spec<F>| packet.hop_limit = 1;
    let who = world.client(0).connect().who();
    let seen = world.resume(&who).send_with(ACK, expired).seen();
    assert_eq!(seen.ip.source, F::to_ip(addresses[0]));
    let seen = world.resume(&who).reply_with(ACK, expired).seen();
    assert_eq!(seen.ip.source, F::to_ip(addresses[1]));
    // What nobody serves is still refused in the name of the VIP.
    let vip = F::addr(Network::Vips, LB_IP);
    assert_eq!(world.client(0).to(vip, 81).udp().send(NO_FLAGS).seen().ip.source, F::to_ip(vip));
}

// S-151
fn a_packet_too_big_for_the_way_is_told<F: Net>() {
    let mut world = World::<F>::new();
    world.tables(|tables| set_next_hops(tables, |next_hop| next_hop.mtu = 1400));
    let fits = 1400 - F::MIN_HEADER - 20;
    let payload = |len: usize| move |packet: &mut Spec<F>| packet.payload = vec![9; len];
    let (reply, kind) = (ReplyKind::TooBig, IcmpErrorKind::TooBig(1400));
    let talk = world.client(0).send_with(ACK, payload(fits + 1));
    talk.expect_icmp(reply, kind).moved("packet_too_big received").expect_no_flow();
    let who = world.client(0).send_with(ACK, payload(fits)).expect_at_backend().who();
    let talk = world.resume(&who).send_with(ACK, payload(fits + 1));
    talk.expect_icmp(reply, kind).moved("packet_too_big received");
    if F::ADDR_LEN == 4 {
        let talk = world.resume(&who).send_with(ACK, |packet| {
            packet.dont_fragment = false;
            packet.payload = vec![9; fits + 1];
        });
        let outcome = talk.outcome().clone();
        assert_eq!(outcome.verdict, super::super::Verdict::Split(BACKEND_PORT, 1400));
        talk.moved("received split");
        assert_eq!(reassemble::<F>(&outcome.pieces).payload(), vec![9; fits + 1]);
    }
}

fn quotations_are_cut_to_what_is_sure_to_arrive<F: Net>() {
    let mut world = World::<F>::new();
    let vip = F::addr(Network::Vips, CLUSTER_IP);
    for len in [0, 1, 400, 519, 520, 521, 1182, 1183, 1184, 1400] {
        let talk = world.client(0).udp().to(vip, 81).send_with(NO_FLAGS, |packet| {
            packet.payload = (0..len).map(|i| i as u8).collect();
        });
        talk.expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable);
    }
}

fn an_unknown_next_hop_drops_and_remembers_nothing<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    world.tables(|tables| set_next_hops(tables, |next_hop| next_hop.link = None));
    world.client(1).syn().expect_drop(DropReason::NextHop).moved("next_hop received").expect_no_flow();
    world.resume(&who).send(ACK).expect_drop(DropReason::NextHop).moved("next_hop received");
    world.resume(&who).reply(ACK).expect_at_client();
    world.tables(|tables| tables.next_hops = Default::default());
    world.resume(&who).send(ACK).expect_drop(DropReason::NextHop);
    world.tables(|tables| {
        let hop = |number| NextHop { link: Some(backend_link(number)), source: None, mtu: 1500 };
        tables.next_hops = (0..3).map(hop).collect();
    });
    world.client(1).syn().expect_drop(DropReason::NoSnatAddress).moved("no_snat_address received");
    world.resume(&who).send(ACK).expect_at_backend();
}

fn a_refused_packet_changes_nothing_of_its_flow<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    let before = world.flow(&who.original).unwrap();
    world.wait(Duration::from_secs(3));
    let elsewhere = EtherAddr([2, 9, 9, 9, 9, 9]);
    world.resume(&who).send_with(FIN_ACK, |packet| {
        packet.hop_limit = 1;
        packet.link.destination = elsewhere;
        packet.link.port = PortId(2);
    });
    world.resume(&who).send_with(FIN_ACK, |packet| packet.payload = vec![0; 1500]);
    world.resume(&who).reply_with(RST, |packet| packet.hop_limit = 1);
    world.moved("received reply_forbidden");
    assert_eq!(world.flow(&who.original).unwrap(), before);
    assert!(matches!(before.state.get(), FlowState::Tcp(_)) && before.original.transport == Transport::Tcp);
}
