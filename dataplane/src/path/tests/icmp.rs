//! ICMP errors about flows: §3.13 as conversations.

use super::super::{DropReason, Echo, EchoPolicy, ReplyKind, Verdict, world::*};
use crate::{io::PortId, state::Tuple};
use std::time::Duration;

both_families! {
    an_error_of_the_backend_side_reaches_the_client,
    an_error_of_the_client_side_reaches_the_backend,
    a_short_quotation_is_translated_too,
    an_error_changes_nothing_of_its_flow,
    errors_about_no_flow_are_dropped,
    an_error_for_somebody_else_is_dropped,
    a_wrong_checksum_is_dropped,
    an_echo_is_dealt_with_by_setting,
    echo_replies_are_limited,
    an_echo_from_its_own_destination_is_dropped,
    other_icmp_is_dropped,
    an_error_without_hops_left_is_dropped,
}

const KINDS: [IcmpErrorKind; 3] =
    [IcmpErrorKind::PortUnreachable, IcmpErrorKind::TooBig(1300), IcmpErrorKind::TimeExceeded];

fn speak<F: Net>(world: &mut World<F>, udp: bool, vip: u32) -> Speakers<F> {
    let client = world.client(0).vip(vip).from(F::addr(Network::Pods, 3), 40_000);
    let talk = if udp { client.datagram().expect_at_backend().reply(NO_FLAGS) } else { client.connect() };
    talk.who()
}

/// Masqueraded and not, TCP and UDP; the source is a pod, so that a cluster IP keeps it.
fn cases() -> [(bool, u32); 4] {
    [(false, LB_IP), (true, LB_IP), (false, CLUSTER_IP), (true, CLUSTER_IP)]
}

fn original_quote<F: Net>(seen: &Ip) -> Tuple<F> {
    let quoted = Ip::read(seen.quoted());
    quoted.tuple()
}

// S-150, S-151, S-154
fn an_error_of_the_backend_side_reaches_the_client<F: Net>() {
    for (udp, vip) in cases() {
        for kind in KINDS {
            let mut world = World::<F>::new();
            let who = speak(&mut world, udp, vip);
            let routers = [F::addr(Network::Routers, 1), backend_addr::<F>(who.backend)];
            for router in routers {
                let outcome = world.resume(&who).icmp_from_backend_side(kind, router);
                world.moved("forwarded received");
                let seen = outcome.seen();
                assert_eq!(seen.port, CLIENT_PORT);
                assert_eq!((seen.to, seen.from), (CLIENT_MAC, our_mac(CLIENT_PORT)));
                assert_eq!(seen.ip.source, F::to_ip(who.original.destination), "from the VIP");
                assert_eq!(seen.ip.destination, F::to_ip(who.original.source));
                assert_eq!(seen.ip.icmp_numbers(), kind.numbers::<F>());
                assert_eq!(seen.ip.hop_limit, 63);
                assert_eq!(original_quote::<F>(&seen.ip), who.original, "what the client had sent");
            }
        }
    }
}

// S-151, S-154
fn an_error_of_the_client_side_reaches_the_backend<F: Net>() {
    for (udp, vip) in cases() {
        for kind in KINDS {
            let mut world = World::<F>::new();
            let who = speak(&mut world, udp, vip);
            let at_backend = who.at_backend.unwrap();
            let outcome = world.resume(&who).icmp_from_client_side(kind, F::addr(Network::Routers, 2));
            world.moved("forwarded received");
            let seen = outcome.seen();
            assert_eq!(seen.port, BACKEND_PORT);
            assert_eq!(seen.to, backend_mac(who.backend));
            assert_eq!(seen.ip.destination, F::to_ip(at_backend.destination));
            assert_eq!(seen.ip.source, F::to_ip(at_backend.source), "whom the backend speaks with");
            assert_eq!(seen.ip.icmp_numbers(), kind.numbers::<F>());
            assert_eq!(original_quote::<F>(&seen.ip), at_backend.reversed(), "what the backend had sent");
        }
    }
}

/// Eight bytes of the transport header are all that RFC 792 promises; fewer than its ports are no use.
fn a_short_quotation_is_translated_too<F: Net>() {
    for udp in [false, true] {
        let mut world = World::<F>::new();
        let who = speak(&mut world, udp, LB_IP);
        let at_backend = who.at_backend.unwrap();
        let whole = Spec::new(at_backend, ACK).ip();
        for len in [3, 4, 7, 8, 12, 17, 18, 19] {
            let quoted = &whole[..whole.len().min(F::MIN_HEADER + len)];
            let kind = IcmpErrorKind::PortUnreachable;
            let error = icmp_error::<F>(kind, F::addr(Network::Routers, 1), at_backend.source, quoted);
            let outcome =
                world.send(BACKEND_PORT, &frame(&backend_link(who.backend), F::ETHER_TYPE.0, &error));
            if len < 4 {
                assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpMalformed));
                continue;
            }
            let seen = outcome.seen();
            assert_eq!(original_quote::<F>(&seen.ip), who.original, "{len} bytes quoted");
            assert_eq!(seen.ip.quoted().len(), quoted.len());
        }
    }
}

// S-152
fn an_error_changes_nothing_of_its_flow<F: Net>() {
    let mut world = World::<F>::new();
    let who = speak(&mut world, true, LB_IP);
    let before = world.flow(&who.original).unwrap();
    world.wait(Duration::from_secs(20));
    let (kind, router) = (IcmpErrorKind::PortUnreachable, F::addr(Network::Routers, 1));
    world.resume(&who).icmp_from_backend_side(kind, router).seen();
    world.resume(&who).icmp_from_client_side(kind, router).seen();
    assert_eq!(world.flow(&who.original).unwrap(), before);
    world.wait_and_expire(Duration::from_secs(10));
    world.moved("expired flows-1");
    let outcome = world.resume(&who).icmp_from_backend_side(kind, router);
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpUnrelated));
}

// S-153
fn errors_about_no_flow_are_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let who = speak(&mut world, false, LB_IP);
    let (kind, router) = (IcmpErrorKind::PortUnreachable, F::addr(Network::Routers, 1));
    let mut other = who.clone();
    other.original.source_port += 1;
    let outcome = world.resume(&other).icmp_from_client_side(kind, router);
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpUnrelated));
    world.moved("icmp_unrelated received");
    // About a packet that the receiver has sent to the client, not one it has got from it: the wrong way round.
    let answer = who.original;
    let quoted = Spec::new(answer, ACK).ip();
    let error = icmp_error::<F>(kind, router, answer.source, &quoted);
    let link = who.client_link;
    let outcome = world.send(CLIENT_PORT, &frame(&link, F::ETHER_TYPE.0, &error));
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpUnrelated));
}

/// Whoever complains to an address complains about a packet from it; anything else is made up.
fn an_error_for_somebody_else_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let who = speak(&mut world, false, LB_IP);
    let at_backend = who.at_backend.unwrap();
    let quoted = Spec::new(at_backend, ACK).ip();
    let somebody = F::addr(Network::Vips, CLUSTER_IP);
    let kind = IcmpErrorKind::PortUnreachable;
    let error = icmp_error::<F>(kind, F::addr(Network::Routers, 1), somebody, &quoted);
    let outcome = world.send(BACKEND_PORT, &frame(&backend_link(who.backend), F::ETHER_TYPE.0, &error));
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpUnrelated));
}

// S-153
fn a_wrong_checksum_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let who = speak(&mut world, true, LB_IP);
    let at_backend = who.at_backend.unwrap();
    let quoted = Spec::new(at_backend, NO_FLAGS).ip();
    let kind = IcmpErrorKind::PortUnreachable;
    let error = icmp_error::<F>(kind, F::addr(Network::Routers, 1), at_backend.source, &quoted);
    let whole = frame(&backend_link(who.backend), F::ETHER_TYPE.0, &error);
    let message = 14 + F::MIN_HEADER;
    for at in message..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0x10;
        let outcome = world.send_unchecked(&[(PortId(1), broken)]).remove(0);
        assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpMalformed), "byte {at} is wrong");
    }
    world.moved("icmp_malformed received");
    world.send(BACKEND_PORT, &whole).seen();
}

fn echo<F: Net>(reply: bool, from: F::Addr, to: F::Addr) -> Vec<u8> {
    let number = match (F::ADDR_LEN, reply) {
        (4, false) => 8,
        (4, true) => 0,
        (_, false) => 128,
        (_, true) => 129,
    };
    icmp::<F>(number, 0, 7 << 16 | 1, from, to, b"ping")
}

fn ping<F: Net>(world: &mut World<F>, vip: u32) -> Outcome {
    let link = world.client(0).who.client_link;
    let echo = echo::<F>(false, F::addr(Network::Clients, 1), F::addr(Network::Vips, vip));
    world.send_unchecked(&[(CLIENT_PORT, frame(&link, F::ETHER_TYPE.0, &echo))]).remove(0)
}

// S-155
fn an_echo_is_dealt_with_by_setting<F: Net>() {
    let (client, drop) = (F::addr(Network::Clients, 1), Verdict::Drop(DropReason::IcmpQuery));
    let answered = |outcome: &Outcome, vip: u32| {
        assert_eq!(outcome.verdict, Verdict::Reply(CLIENT_PORT, ReplyKind::Echo));
        let (port, bytes) = outcome.frame.clone().unwrap();
        let mut expected = echo::<F>(true, F::addr(Network::Vips, vip), client);
        if F::ADDR_LEN == 4 {
            expected[6] = bytes[14 + 6];
            fix_ipv4(&mut expected);
        }
        assert_eq!((port, &bytes[14..]), (CLIENT_PORT, &expected[..]));
        assert_eq!((&bytes[..6], &bytes[6..12]), (&CLIENT_MAC.0[..], &our_mac(CLIENT_PORT).0[..]));
    };
    let mut world = World::<F>::new();
    assert_eq!(ping(&mut world, CLUSTER_IP).verdict, drop);
    world.moved("icmp_query received");
    for vip in [LB_IP, EXTERNAL_IP] {
        answered(&ping(&mut world, vip), vip);
        world.moved("echo_reply received");
    }
    assert_eq!(ping(&mut world, 99).verdict, Verdict::Pass, "not a VIP");
    let mut world = World::<F>::with(1, |config| {
        config.echo = EchoPolicy { external: Echo::Drop, cluster_ip: Echo::Answer };
    });
    answered(&ping(&mut world, CLUSTER_IP), CLUSTER_IP);
    assert_eq!(ping(&mut world, LB_IP).verdict, drop);
    let mut world = World::<F>::with(1, |config| {
        config.echo = EchoPolicy { external: Echo::Reject, cluster_ip: Echo::Reject };
    });
    for vip in [LB_IP, CLUSTER_IP] {
        let outcome = ping(&mut world, vip);
        assert_eq!(outcome.verdict, Verdict::Reply(CLIENT_PORT, ReplyKind::PortUnreachable));
        let sent = Ip::read(&outcome.frame.unwrap().1[14..]);
        assert_eq!(sent.icmp_numbers(), IcmpErrorKind::PortUnreachable.numbers::<F>());
        assert_eq!(sent.quoted(), echo::<F>(false, client, F::addr(Network::Vips, vip)));
    }
    assert_eq!(world.flows_by_worker(), [0], "no flow of any");
}

fn an_echo_from_its_own_destination_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    for vip in [CLUSTER_IP, LB_IP].map(|host| F::addr(Network::Vips, host)) {
        let link = world.client(0).who.client_link;
        let land = frame(&link, F::ETHER_TYPE.0, &echo::<F>(false, vip, vip));
        assert_eq!(world.send(CLIENT_PORT, &land).verdict, Verdict::Drop(DropReason::Martian));
        world.moved("martian received");
    }
}

// S-109
fn echo_replies_are_limited<F: Net>() {
    let mut world = World::<F>::with(1, |config| config.reply_rate = (10, 5));
    for number in 0..8 {
        let outcome = ping(&mut world, LB_IP);
        assert_eq!(outcome.frame.is_some(), number < 5, "ping {number}");
    }
    world.moved("received reply_limited");
    // Others are answered all the same.
    let vip = F::addr(Network::Vips, LB_IP);
    world.client(0).to(vip, 81).syn().expect_reset();
}

fn other_icmp_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let (client, vip) = (F::addr(Network::Clients, 1), F::addr(Network::Vips, LB_IP));
    let link = world.client(0).who.client_link;
    let redirect = icmp::<F>(if F::ADDR_LEN == 4 { 5 } else { 137 }, 1, 0, client, vip, &[0; 40]);
    for message in [echo::<F>(true, client, vip), redirect] {
        let outcome = world.send(CLIENT_PORT, &frame(&link, F::ETHER_TYPE.0, &message));
        assert_eq!(outcome.verdict, Verdict::Drop(DropReason::IcmpQuery));
        world.moved("icmp_query received");
    }
}

fn an_error_without_hops_left_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let who = speak(&mut world, true, LB_IP);
    let at_backend = who.at_backend.unwrap();
    let quoted = Spec::new(at_backend, NO_FLAGS).ip();
    let kind = IcmpErrorKind::PortUnreachable;
    let mut error = icmp_error::<F>(kind, F::addr(Network::Routers, 1), at_backend.source, &quoted);
    if F::ADDR_LEN == 4 {
        error[8] = 1;
        error[10..12].copy_from_slice(&[0, 0]);
        let sum = !ones_complement_sum(&error[..20]);
        error[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        error[7] = 1;
    }
    let outcome = world.send(BACKEND_PORT, &frame(&backend_link(who.backend), F::ETHER_TYPE.0, &error));
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::ReplyForbidden));
}
