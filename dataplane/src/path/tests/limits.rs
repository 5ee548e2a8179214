//! What is finite: SNAT ports, room for flows, the time a flow may idle.

use super::super::{DropReason, world::*};
use crate::{
    state::{FlowState, Millis, TcpState, Tuple},
    table::{Transport, VipKind},
    wire::TcpFlags,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

both_families! {
    a_range_of_n_ports_takes_n_flows_to_a_backend,
    ports_are_counted_by_snat_address,
    a_client_port_that_clashes_is_replaced_and_costs_no_snat_port,
    two_thousand_clients_with_one_port,
    a_full_table_evicts_half_open_flows_first,
    a_table_full_of_flows_in_use_refuses,
    flows_expire_by_their_state,
    timeouts_are_those_configured,
    the_clock_may_wrap,
    a_packet_keeps_a_flow_alive,
}

// S-127
fn a_range_of_n_ports_takes_n_flows_to_a_backend<F: Net>() {
    const PORTS: u16 = 37;
    let mut world = World::<F>::with_ports(1, 61_000..=61_000 + PORTS - 1, |_| {});
    world.set_backends(&[0]);
    let mut ports = HashSet::new();
    let mut flows = Vec::new();
    for client in 0..u32::from(PORTS) {
        let talk = world.client(client).datagram().expect_at(0).expect_masqueraded();
        assert!(ports.insert(talk.who.at_backend.unwrap().source_port), "a port twice");
        flows.push(talk.who());
    }
    let talk = world.client(999).datagram().expect_drop(DropReason::SnatExhausted);
    talk.moved("received snat_exhausted").expect_no_flow();
    // The other protocol and another backend have ports of their own.
    world.client(999).syn().expect_at(0);
    world.set_backends(&[1]);
    world.client(998).datagram().expect_at(1);
    world.set_backends(&[0]);
    // Flows that are there are not disturbed, and one that idles away makes room for exactly one.
    world.wait(Duration::from_secs(29));
    for who in &flows[1..] {
        world.resume(who).datagram().expect_at(0);
    }
    world.wait_and_expire(Duration::from_secs(1));
    world.moved("expired+2 flows-2");
    world.client(997).datagram().expect_at(0);
    world.client(996).datagram().expect_drop(DropReason::SnatExhausted);
}

/// Flows by way of an address that is no longer used do not count against the one that is.
fn ports_are_counted_by_snat_address<F: Net>() {
    let mut world = World::<F>::with_ports(1, 61_000..=61_002, |_| {});
    world.set_backends(&[0]);
    let pool = [F::addr(Network::Node, 20), F::addr(Network::Node, 21)];
    for (round, address) in pool.into_iter().enumerate() {
        world.tables(|tables| tables.snat_addresses = Arc::from([address]));
        for client in 0..3 {
            let talk = world.client(100 * round as u32 + client).syn().expect_at(0);
            assert_eq!(talk.who.at_backend.unwrap().source, address);
        }
        world.client(900).syn().expect_drop(DropReason::SnatExhausted);
    }
    world.tables(|tables| tables.snat_addresses = Arc::from([F::addr(Network::Node, 22), pool[0]]));
    for client in 200..203 {
        world.client(client).syn().expect_at(0);
    }
    world.client(900).syn().expect_drop(DropReason::SnatExhausted);
}

fn a_client_port_that_clashes_is_replaced_and_costs_no_snat_port<F: Net>() {
    let mut world = World::<F>::with_ports(1, 61_000..=61_000, |_| {});
    world.set_backends(&[0]);
    world.tables(|tables| Arc::make_mut(&mut tables.locality).pods = None);
    let other = F::addr(Network::Vips, 50);
    world.tables(|tables| {
        let vips = Arc::make_mut(&mut tables.vips);
        let target =
            vips.tuples.get(F::addr(Network::Vips, CLUSTER_IP), Transport::Tcp, SERVICE_PORT).unwrap();
        vips.tuples.insert(other, Transport::Tcp, SERVICE_PORT, target);
        vips.addresses.insert(other, VipKind::ClusterIp);
    });
    let first = world.client(0).vip(CLUSTER_IP).connect().expect_client_kept().who();
    let second = world.client(0).to(other, SERVICE_PORT).connect().who();
    let (one, two) = (first.at_backend.unwrap(), second.at_backend.unwrap());
    assert_eq!((one.source, one.destination), (two.source, two.destination));
    assert_ne!(one.source_port, two.source_port, "two connections with one tuple at the backend");
    assert!(two.source_port >= 1024);
    for who in [&first, &second] {
        world.resume(who).reply(ACK).expect_at_client().send(ACK).expect_at(0);
    }
    world.client(1).vip(LB_IP).syn().expect_at(0).expect_masqueraded();
    world.client(2).vip(LB_IP).syn().expect_drop(DropReason::SnatExhausted);
}

// S-126
fn two_thousand_clients_with_one_port<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0]);
    let mut seen = HashSet::new();
    for client in 0..2000 {
        let talk = world.client(client).syn().expect_at(0).expect_masqueraded();
        assert!(seen.insert(talk.who.at_backend.unwrap()), "client {client} shares a translation");
        talk.reply(SYN_ACK).expect_at_client();
    }
}

/// A world with room for `flows`.
fn small<F: Net>(flows: usize) -> World<F> {
    World::with(1, |config| (config.v4_flows, config.v6_flows) = (flows, flows))
}

// S-197
fn a_full_table_evicts_half_open_flows_first<F: Net>() {
    let mut world = small::<F>(4);
    let open = world.client(0).connect().who();
    let closing = world.client(1).connect().send(RST).expect_at_backend().who();
    let half_open = world.client(2).syn().expect_at_backend().who();
    let answered = world.client(3).datagram().expect_at_backend().reply(NO_FLAGS).expect_at_client().who();
    let alive = |world: &World<F>| {
        [&open, &closing, &half_open, &answered].map(|who| world.flow(&who.original).is_some())
    };
    let new = world.client(10).connect().who();
    assert_eq!(alive(&world), [true, true, false, true]);
    let newer = world.client(11).connect().who();
    world.moved("forwarded received");
    assert_eq!(alive(&world), [true, false, false, true]);
    for who in [&open, &new, &newer] {
        world.resume(who).send(ACK).expect_at_backend();
    }
    world.client(12).syn().expect_drop(DropReason::TableFull).moved("received table_full").expect_no_flow();
}

// S-197
fn a_table_full_of_flows_in_use_refuses<F: Net>() {
    let mut world = small::<F>(3);
    let flows: Vec<_> = (0..3).map(|client| world.client(client).connect().who()).collect();
    for _ in 0..5 {
        world.client(9).syn().expect_drop(DropReason::TableFull).moved("received table_full");
    }
    // Its SNAT port has not leaked.
    for who in &flows {
        world.resume(who).send(RST).expect_at_backend();
    }
    world.client(9).syn().expect_at_backend().moved("evicted forwarded opened received");
}

/// Flags of segments, and whether the client sends them.
type Segments = &'static [(bool, TcpFlags)];

// S-193
fn flows_expire_by_their_state<F: Net>() {
    let tcp = FlowState::Tcp;
    let cases: [(FlowState, u64, Segments); 8] = [
        (tcp(TcpState::SynSent), 120, &[]),
        (tcp(TcpState::SynRecv), 60, &[(false, SYN_ACK)]),
        (tcp(TcpState::Established), 86_400, &[(false, SYN_ACK), (true, ACK)]),
        (tcp(TcpState::FinWait), 120, &[(false, SYN_ACK), (true, ACK), (true, FIN_ACK)]),
        (tcp(TcpState::CloseWait), 3600, &[(false, SYN_ACK), (true, ACK), (true, FIN_ACK), (false, ACK)]),
        (tcp(TcpState::LastAck), 30, &[(false, SYN_ACK), (true, ACK), (true, FIN_ACK), (false, FIN_ACK)]),
        (
            tcp(TcpState::TimeWait),
            120,
            &[(false, SYN_ACK), (true, ACK), (true, FIN_ACK), (false, FIN_ACK), (true, ACK)],
        ),
        (tcp(TcpState::Close), 10, &[(false, SYN_ACK), (true, ACK), (true, RST)]),
    ];
    for (state, seconds, segments) in cases {
        let mut world = World::<F>::new();
        let mut talk = world.client(0).syn().expect_at_backend();
        for (forward, flags) in segments {
            talk = match forward {
                true => talk.send(*flags).expect_at_backend(),
                false => talk.reply(*flags).expect_at_client(),
            };
        }
        talk.expect_state(state);
        world.wait_and_expire(Duration::from_millis(seconds * 1000 - 1));
        world.moved("");
        world.wait_and_expire(Duration::from_millis(1));
        world.moved("expired flows-1");
    }
    for (replied, seconds) in [(false, 30), (true, 30)] {
        let mut world = World::<F>::new();
        let talk = world.client(0).datagram().expect_at_backend();
        if replied {
            talk.reply(NO_FLAGS).expect_at_client();
        }
        world.wait_and_expire(Duration::from_millis(seconds * 1000 - 1));
        world.moved("");
        world.wait_and_expire(Duration::from_millis(1));
        world.moved("expired flows-1");
    }
}

// S-193
fn timeouts_are_those_configured<F: Net>() {
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(7440));
    let mut world = World::<F>::with(1, |config| {
        config.timeouts.tcp_established = long;
        config.timeouts.udp = short;
    });
    world.client(0).connect();
    world.client(1).datagram().expect_at_backend();
    world.wait_and_expire(short - Duration::from_millis(1));
    world.moved("");
    world.wait_and_expire(Duration::from_millis(1));
    world.moved("expired flows-1");
    world.wait_and_expire(long - short - Duration::from_millis(1));
    world.moved("");
    world.wait_and_expire(Duration::from_millis(1));
    world.moved("expired flows-1");
}

fn the_clock_may_wrap<F: Net>() {
    for start in [u32::MAX - 10_000, u32::MAX, i32::MAX as u32 - 10_000] {
        let mut world = World::<F>::new();
        world.now = Millis(start);
        let who = world.client(0).connect().who();
        let udp = world.client(1).datagram().expect_at_backend().who();
        world.wait_and_expire(Duration::from_millis(29_999));
        world.moved("");
        world.resume(&udp).datagram().expect_at_backend();
        world.wait_and_expire(Duration::from_millis(29_999));
        world.moved("");
        world.wait_and_expire(Duration::from_millis(1));
        world.moved("expired flows-1");
        // A month of a packet an hour.
        for _ in 0..24 * 30 {
            world.resume(&who).send(ACK).expect_at_backend();
            world.wait_and_expire(Duration::from_secs(3600));
            world.moved("");
        }
        world.wait_and_expire(Duration::from_secs(86_400));
        world.moved("expired flows-1");
    }
}

fn a_packet_keeps_a_flow_alive<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).datagram().expect_at_backend().who();
    for _ in 0..5 {
        world.wait_and_expire(Duration::from_secs(29));
        world.resume(&who).datagram().expect_at_backend();
        world.wait_and_expire(Duration::from_secs(29));
        world.moved("");
        world.resume(&who).datagram().expect_at_backend();
    }
    let tuple: Tuple<F> = who.original;
    assert_eq!(world.flow(&tuple).unwrap().traffic[0].packets, 11);
}
